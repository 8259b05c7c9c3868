"""Gray values and turns: what holds for any picture."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from specimens import png

from xray_infer.images.decode import decode, read_picture
from xray_infer.images.gray import full_scale, to_eight_bits, upright

SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=12)
BYTES = arrays(np.uint8, SHAPES)
WORDS = arrays(np.uint16, SHAPES)
ORIENTATIONS = st.integers(1, 8)

# What undoes each orientation: the quarter turns undo each other, every other one undoes itself.
INVERSE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
# Where EXIF says that row 0 and column 0 of the stored picture are when it is seen (CIPA DC-008, 4.6.4, tag
# 274).
ROW_0 = {1: "top", 2: "top", 3: "bottom", 4: "bottom", 5: "left", 6: "right", 7: "right", 8: "left"}
COLUMN_0 = {1: "left", 2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "bottom", 8: "bottom"}


@given(WORDS)
def test_full_scale_is_the_smallest_bit_depth_that_holds_the_picture(pixels):
    white, brightest = full_scale(pixels), int(pixels.max())
    assert white & (white + 1) == 0  # ones alone
    assert white >= max(255, brightest)
    assert white == 255 or white // 2 < brightest


@given(BYTES)
def test_a_deep_copy_of_a_picture_decodes_to_the_picture(pixels):
    """Times 257, as programs store 8 bits in 16; from 128 on, where the copy needs all 16 bits."""
    assume(pixels.max() >= 128)
    deep = pixels.astype(np.uint16) * 257
    np.testing.assert_array_equal(to_eight_bits(deep), pixels)
    np.testing.assert_array_equal(decode(png(deep)), decode(png(pixels)))
    np.testing.assert_array_equal(decode(png(deep)), pixels)


@given(WORDS)
def test_eight_bits_keep_the_order_of_gray_values(pixels):
    """Within half a level of where a straight line from 0 to the full scale puts them."""
    eight = to_eight_bits(pixels)
    assert eight.dtype == np.uint8
    straight = pixels * (255 / full_scale(pixels))
    assert np.abs(eight - straight).max() <= 0.5 + 1e-9


@given(WORDS)
def test_what_is_looked_at_is_what_is_decoded(pixels):
    """A deep picture, shown between its black and its white, is the decoded one within one level."""
    picture = read_picture(png(pixels))
    shown = 255 * (picture.values.astype(float) - picture.black) / (picture.white - picture.black)
    assert np.abs(np.clip(shown, 0, 255) - decode(png(pixels))).max() <= 1


def seen(orientation: int) -> tuple[str, str]:
    """Say where row 0 and column 0 are after the turn."""
    marked = np.zeros((3, 5), np.uint8)
    marked[0], marked[:, 0] = 1, 2
    marked[0, 0] = 3
    turned = upright(marked, orientation)
    sides = {"top": turned[0], "bottom": turned[-1], "left": turned[:, 0], "right": turned[:, -1]}
    of = {frozenset({1, 3}): "row", frozenset({2, 3}): "column"}
    found = {of.get(frozenset(map(int, side))): name for name, side in sides.items()}
    return found["row"], found["column"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_exif_s(orientation):
    assert seen(orientation) == (ROW_0[orientation], COLUMN_0[orientation])


def composed() -> dict[tuple[int, int], list[int]]:
    """Which single orientations do what two do, one after the other, on a picture without symmetry."""
    picture = np.arange(6, dtype=np.uint8).reshape(2, 3)
    return {
        (first, second): [
            one
            for one in range(1, 9)
            if np.array_equal(upright(upright(picture, first), second), upright(picture, one))
        ]
        for first in range(1, 9)
        for second in range(1, 9)
    }


def test_the_eight_orientations_are_the_dihedral_group_of_a_square():
    """Two in turn are always one of the eight: closed, associative, with inverses, and not commutative."""
    table = composed()
    assert all(len(found) == 1 for found in table.values())
    product = {pair: found[0] for pair, found in table.items()}
    assert all(product[1, one] == product[one, 1] == one for one in range(1, 9))
    assert {one: next(two for two in range(1, 9) if product[one, two] == 1) for one in range(1, 9)} == INVERSE
    for a in range(1, 9):
        for b in range(1, 9):
            assert all(product[product[a, b], c] == product[a, product[b, c]] for c in range(1, 9))
    quarter, mirror = 6, 2
    assert product[product[quarter, quarter], product[quarter, quarter]] == 1
    assert product[mirror, mirror] == 1
    # The relation that makes it D4: mirror, turn, mirror is the turn back.
    assert product[product[mirror, quarter], mirror] == INVERSE[quarter] != quarter


@given(st.one_of(BYTES, WORDS), ORIENTATIONS)
def test_the_inverse_restores_the_picture(pixels, orientation):
    turned = upright(pixels, orientation)
    assert turned.dtype == pixels.dtype
    assert turned.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(upright(turned, INVERSE[orientation]), pixels)
    assert sorted(turned.ravel()) == sorted(pixels.ravel())


@given(WORDS, st.lists(ORIENTATIONS, max_size=6))
def test_any_number_of_turns_is_one_of_the_eight(pixels, turns):
    turned = pixels
    for orientation in turns:
        turned = upright(turned, orientation)
    assert any(np.array_equal(turned, upright(pixels, one)) for one in range(1, 9))


@given(BYTES, ORIENTATIONS)
def test_turning_and_flattening_commute(pixels, orientation):
    """Colour is turned to gray before the picture is turned; the other way round would be the same."""
    colour = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    flat = decode(png(colour))
    turned = np.dstack([upright(np.ascontiguousarray(colour[..., one]), orientation) for one in range(3)])
    np.testing.assert_array_equal(decode(png(turned)), upright(flat, orientation))

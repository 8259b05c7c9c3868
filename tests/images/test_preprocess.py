"""What a model is given of a picture: the whole or the lungs' box, at the model's own side."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from places import SAMPLES
from specimens import jpeg

from xray_infer.images import preprocess
from xray_infer.images.decode import decode, prepare
from xray_infer.images.limits import DEFAULT_LIMITS
from xray_infer.images.lungs import Box, find_lungs
from xray_infer.images.preprocess import (
    LUNGS,
    SIDES,
    STUDY,
    VERSIONS,
    WHOLE,
    WHOLE_PICTURE,
    Area,
    Preprocessing,
    lungs_area,
    to_input,
)
from xray_infer.run.results import RowMaker, Rules

FILMS = sorted(SAMPLES.glob("phantom_*"))


@pytest.fixture(params=FILMS, ids=lambda path: path.name)
def film(request) -> np.ndarray:
    return decode(request.param.read_bytes())


@pytest.fixture
def at(monkeypatch):
    """Let the lungs be found at a box."""
    return lambda *edges: monkeypatch.setattr(preprocess, "find_lungs", lambda gray: Box(*edges))


def test_the_study_s_networks_are_given_whole_pictures(film):
    made = STUDY(film)
    assert (STUDY.version, STUDY.side, STUDY.shape) == (WHOLE_PICTURE, 224, (224, 224, 1))
    assert made.area is None
    assert np.array_equal(made.pixels, to_input(film, side=224))


def test_the_lungs_of_a_film_are_cut_out_with_a_margin(film):
    made = Preprocessing(LUNGS, 96)(film)
    height, width = film.shape
    box = find_lungs(film)
    aside, above = 0.05 * (box.right - box.left), 0.05 * (box.bottom - box.top)
    edges = box.left - aside, box.top - above, box.right + aside, box.bottom + above
    assert made.area == Area(edges[0] / width, edges[1] / height, edges[2] / width, edges[3] / height)
    left, top, right, bottom = map(round, edges)
    assert np.array_equal(made.pixels, to_input(film[top:bottom, left:right], side=96))
    assert made.pixels.shape == (96, 96, 1)


def test_a_mirrored_film_has_its_lungs_where_the_mirror_shows_them(film):
    area, mirrored = lungs_area(film), lungs_area(np.ascontiguousarray(film[:, ::-1]))
    assert mirrored.left == pytest.approx(1 - area.right, abs=0.08)
    assert mirrored.right == pytest.approx(1 - area.left, abs=0.08)
    assert (mirrored.top, mirrored.bottom) == pytest.approx((area.top, area.bottom), abs=0.08)


@pytest.mark.parametrize("change", [lambda film: film // 2 + 60, lambda film: film // 4, lambda film: film])
def test_the_lungs_are_found_at_any_size_and_exposure(film, change):
    large = cv2.resize(change(film), None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    found, expected = lungs_area(large), lungs_area(film)
    assert [found.left, found.top, found.right, found.bottom] == pytest.approx(
        [expected.left, expected.top, expected.right, expected.bottom], abs=0.05
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (64, 64), (3000, 2000)])
@pytest.mark.parametrize("level", [0, 9, 255])
def test_what_shows_nothing_is_taken_whole(shape, level):
    flat = np.full(shape, level, np.uint8)
    assert find_lungs(flat) is None
    made = Preprocessing(LUNGS, 64)(flat)
    assert made.area is None
    assert np.array_equal(made.pixels, to_input(flat, side=64))


def test_what_is_no_film_is_taken_whole(xray):
    assert Preprocessing(LUNGS)(xray).area is None


def test_the_margin_ends_with_the_picture(at):
    at(0, 10, 190, 290)
    assert lungs_area(np.zeros((300, 200), np.uint8)) == Area(0.0, 0.0, 199.5 / 200, 1.0)
    at(60, 100, 140, 200)
    assert lungs_area(np.zeros((300, 200), np.uint8)) == Area(56 / 200, 95 / 300, 144 / 200, 205 / 300)


def test_lungs_that_fill_the_picture_are_told_from_none(at):
    at(0, 10, 200, 290)
    picture = np.random.default_rng(0).integers(0, 256, (300, 200)).astype(np.uint8)
    area = lungs_area(picture)
    assert area == Area()
    assert np.array_equal(picture[area.of(300, 200)], picture)
    row = RowMaker("m", "0", "r 1", Rules(), LUNGS).judged("a.png", (0.7, 0.2, 0.1), None, area)
    assert row.lungs == "0.0000 0.0000 1.0000 1.0000"


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (448, 448), (3000, 1)])
def test_a_part_of_any_picture_has_a_pixel_at_least(size):
    rng = np.random.default_rng(0)
    for _ in range(200):
        (left, right), (top, bottom) = np.sort(rng.random((2, 2)), axis=1).tolist()
        rows, columns = Area(left, top, right, bottom).of(*size)
        assert 0 <= rows.start < rows.stop <= size[0]
        assert 0 <= columns.start < columns.stop <= size[1]
    assert WHOLE.of(*size) == (slice(0, size[0]), slice(0, size[1]))


def test_a_large_jpeg_of_lungs_is_decoded_for_what_is_cut_out(film):
    """At twice the side the box of two thirds keeps more pixels than the input has."""
    made = Preprocessing(LUNGS, 128)
    large = jpeg(cv2.resize(film, (2400, 2400), interpolation=cv2.INTER_CUBIC))
    given, whole = prepare(large, made, limits=DEFAULT_LIMITS), made(decode(large))
    pixels = decode(large, side=made.decode_side)
    assert pixels.shape == (600, 600)
    assert min(pixels[given.area.of(*pixels.shape)].shape) > 128
    assert np.abs(given.input.astype(int) - whole.pixels).mean() < 3


def test_many_threads_find_the_same(film):
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lungs_area, [film] * 32))
    assert found == {lungs_area(film)}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("bad", [np.zeros((2, 2)), np.zeros((0, 4), np.uint8), np.zeros((2, 2, 1), np.uint8)])
def test_other_arrays_are_refused(version, bad):
    with pytest.raises(ValueError, match="expected a non-empty"):
        Preprocessing(version)(bad)


def test_sides_are_what_densenet_can_halve_five_times():
    assert STUDY.side in SIDES
    assert all(side % 32 == 0 for side in SIDES)

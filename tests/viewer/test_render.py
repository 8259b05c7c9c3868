"""What the viewer shows of a picture: where it stands, how gray, with how much heat. Without Qt."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from xray_infer.images.gray import Picture
from xray_infer.images.preprocess import Area
from xray_infer.outputs.heatmaps.blend import blend
from xray_infer.outputs.heatmaps.methods import METHODS, heatmaps_for
from xray_infer.outputs.heatmaps.overlay import lay_heat
from xray_infer.run.results import RowMaker, Rules
from xray_infer.viewer.render import (
    LARGEST,
    SMALLEST_LEVEL,
    ImagePyramid,
    Placement,
    WindowLevel,
    render,
    stretch,
)

ROW = RowMaker("m", "0" * 64, "r 1", Rules()).judged("a.png", (0.7, 0.2, 0.1), None)


def smooth(height, width, dtype=np.uint8, seed=0):
    rough = np.random.default_rng(seed).integers(0, 256, (9, 7)).astype(np.float32)
    pixels = np.clip(cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255)
    return (pixels * (np.iinfo(dtype).max / 255)).astype(dtype)


def pyramid_of(values):
    return ImagePyramid.of(Picture(values, 0.0, float(np.iinfo(values.dtype).max)))


@pytest.fixture
def heatmaps():
    maps = np.random.default_rng(1).random((7, 7, 3)).astype(np.float32)
    maps[..., 2] = 0
    return heatmaps_for("all", maps, METHODS["gradcam"], ROW)


def test_heat_covers_the_area_that_was_judged_and_nothing_else():
    maps = np.full((2, 2, 3), 1.0, np.float32)
    row = replace(ROW, area=Area(0.25, 0.125, 0.75, 0.5), preprocessing_version=2)
    (heatmap,) = heatmaps_for("predicted", maps, METHODS["gradcam"], row)
    heat = stretch(heatmap)
    inside = np.zeros((448, 448), bool)
    inside[56:224, 112:336] = True
    assert (heat[inside] == heat.max()).all()
    assert (heat[~inside] == 0).all()
    values = smooth(300, 260)
    placed = Placement.fitting(values.shape, values.shape)
    shown = render(pyramid_of(values), WindowLevel(0, 255), placed, values.shape, heat, 1.0).pixels
    drawn = np.empty_like(shown)
    lay_heat(values, heatmap, drawn)
    coloured, expected = (np.ptp(one.astype(int), axis=2) > 0 for one in (shown, drawn))
    assert (coloured == expected).mean() > 0.98  # all but the box's edge, which is between pixels
    rows, columns = heatmap.area.of(*values.shape)
    assert not expected[: rows.start].any()
    assert not expected[:, columns.stop :].any()


def test_at_its_own_size_a_picture_is_shown_as_it_is():
    values = smooth(300, 260)
    shown = render(
        pyramid_of(values), WindowLevel(0, 255), Placement.fitting(values.shape, values.shape), values.shape
    )
    assert (shown.x, shown.y) == (0, 0)
    assert np.array_equal(shown.pixels, values)


def test_sixteen_bits_are_shown_through_the_window():
    values = smooth(80, 90, np.uint16)
    pyramid = pyramid_of(values)
    placed = Placement.fitting(values.shape, values.shape)
    narrow = render(pyramid, WindowLevel(10_000, 12_000), placed, values.shape).pixels
    expected = np.rint(np.clip(255 * (values.astype(float) - 10_000) / 2_000, 0, 255))
    assert np.array_equal(narrow, expected)
    assert len(np.unique(narrow)) > 100  # of 8 bits, 8 levels would be left
    inverted = render(pyramid, WindowLevel(10_000, 12_000, inverted=True), placed, values.shape).pixels
    assert np.array_equal(inverted, 255 - narrow)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("screen", [(150, 130), (77, 400), (901, 640)])
def test_fitted_it_is_what_resizing_gives(dtype, screen):
    values = smooth(1200, 1000, dtype)
    pyramid = pyramid_of(values)
    shown = render(pyramid, WindowLevel.of(pyramid.picture), Placement.fitting(values.shape, screen), screen)
    height, width = shown.pixels.shape
    scale = min(screen[0] / 1200, screen[1] / 1000)
    assert 0 <= height - 1200 * scale < 2
    assert 0 <= width - 1000 * scale < 2
    # Of so smooth a picture a small area's mean is what stands in its middle.
    eight = cv2.convertScaleAbs(values, alpha=255 / np.iinfo(dtype).max)
    left, top = (screen[1] - 1000 * scale) / 2, (screen[0] - 1200 * scale) / 2
    columns = ((np.arange(width) + shown.x + 0.5 - left) / scale - 0.5).astype(np.float32)
    rows = ((np.arange(height) + shown.y + 0.5 - top) / scale - 0.5).astype(np.float32)
    places = np.meshgrid(columns, rows)
    expected = cv2.remap(eight, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(shown.pixels.astype(int) - expected)[1:-1, 1:-1].max() <= 4


def test_zoomed_in_each_pixel_stands_where_it_belongs():
    values = np.zeros((100, 100), np.uint8)
    values[30, 70] = 255
    placed = Placement(8.0, 70.5, 30.5)  # the middle of that pixel in the middle of the screen
    shown = render(pyramid_of(values), WindowLevel(0, 255), placed, (200, 200))
    rows, columns = np.nonzero(shown.pixels > 200)
    assert abs(rows.mean() + shown.y - 99.5) < 0.6
    assert abs(columns.mean() + shown.x - 99.5) < 0.6
    assert render(pyramid_of(values), WindowLevel(0, 255), Placement(8.0, 1000, 50), (200, 200)) is None


def test_the_point_under_the_mouse_stays_there_and_zoom_has_its_ends():
    placed = Placement(2.0, 40, 30)
    at = (50.0, -20.0)
    larger = placed.zoomed(1.5, at, smallest=0.1)
    for one in (placed, larger):
        assert (one.x + at[0] / one.scale, one.y + at[1] / one.scale) == pytest.approx((65, 20))
    assert placed.zoomed(1e9, at, smallest=0.1).scale == LARGEST
    assert placed.zoomed(1e-9, at, smallest=0.1).scale == 0.1
    assert placed.moved(10, -6) == Placement(2.0, 35, 33)
    assert Placement(1.0, -5, 900).kept_in((100, 200)) == Placement(1.0, 0, 100)


def test_a_picture_with_a_side_that_opencv_cannot_warp():
    """60,000 pixels: warpAffine ends at 32,767."""
    values = np.tile(np.arange(256, dtype=np.uint8), (8, 240))[:, :60_000]
    pyramid = pyramid_of(np.ascontiguousarray(values))
    assert len(pyramid.levels) == 1
    for placed in (Placement.fitting((8, 60_000), (600, 800)), Placement(4.0, 59_990, 4)):
        shown = render(pyramid, WindowLevel(0, 255), placed, (600, 800))
        assert shown.pixels.size
    assert shown.pixels[0, -1] == values[0, -1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
def test_the_smallest_pictures(shape):
    values = np.full(shape, 90, np.uint8)
    for placed in (Placement.fitting(shape, (300, 400)), Placement(1.0, shape[1] / 2, shape[0] / 2)):
        shown = render(pyramid_of(values), WindowLevel(0, 255), placed, (300, 400))
        assert (shown.pixels == 90).all()


def test_smaller_copies_end_where_there_is_nothing_to_gain():
    pyramid = pyramid_of(smooth(2000, 1501, np.uint16))
    shapes = [one.shape for one in pyramid.levels]
    assert shapes == [(2000, 1501), (1000, 751), (500, 376)]
    assert min(shapes[-1]) < 2 * SMALLEST_LEVEL
    assert pyramid.size_bytes == sum(2 * height * width for height, width in shapes)
    assert {one.dtype for one in pyramid.levels} == {np.dtype(np.uint16)}


def test_heat_lies_where_the_files_have_it(heatmaps):
    """At the picture's own size, full strength is the overlay of `--heatmap`, within a few gray levels."""
    values = smooth(448, 392)
    expected = np.empty((*values.shape, 3), np.uint8)
    lay_heat(values, heatmaps[0], expected)
    placed = Placement.fitting(values.shape, values.shape)

    def shown(strength):
        heat = stretch(heatmaps[0])
        return render(pyramid_of(values), WindowLevel(0, 255), placed, values.shape, heat, strength).pixels

    assert np.abs(shown(1.0).astype(int) - expected).max() <= 4
    # Half the strength is half the way.
    half = (expected.astype(int) + values[..., None]) / 2
    assert np.abs(shown(0.5) - half).max() <= 4
    assert np.array_equal(shown(0.0), values)


def test_a_class_that_nothing_speaks_for_has_no_heat(heatmaps):
    assert heatmaps[2].peak == 0
    assert stretch(heatmaps[2]) is None


def test_full_strength_is_what_the_command_draws(heatmaps):
    gray = smooth(64, 448)
    heat = stretch(heatmaps[1])[:64]
    whole, named = np.empty((64, 448, 3), np.uint8), np.empty((64, 448, 3), np.uint8)
    blend(gray, heat, whole)
    blend(gray, heat, named, strength=1.0)
    assert np.array_equal(whole, named)
    assert not np.array_equal(whole, np.repeat(gray[..., None], 3, axis=2))


def test_window_and_level_change_by_dragging():
    own = WindowLevel(100, 300)
    wider = own.changed(wider=1.0, brighter=0.0, reach=1000)
    assert wider.width == pytest.approx(200 * np.e)
    assert wider.level == own.level
    brighter = own.changed(wider=0.0, brighter=0.25, reach=1000)
    assert (brighter.black, brighter.white) == (50, 250)
    table, before = brighter.table(np.dtype(np.uint16)), own.table(np.dtype(np.uint16))
    assert table[200] > before[200]
    turned = WindowLevel(100, 300, inverted=True).changed(wider=0.0, brighter=0.25, reach=1000)
    assert turned.table(np.dtype(np.uint16))[200] > 255 - before[200]
    for step in (-100.0, 100.0):  # nothing breaks at the ends
        end = own.changed(wider=step, brighter=step, reach=1000)
        assert 0 < end.width <= 8000
        assert end.table(np.dtype(np.uint8)).dtype == np.uint8


def test_a_window_that_is_a_step_can_be_widened_to_all_values():
    """Of width 1, as some files have it: the values that occur say how far it may go."""
    values = smooth(40, 40, np.uint16) >> 4
    pyramid = ImagePyramid.of(Picture(values, 2000.0, 2001.0))
    assert pyramid.reach == int(values.max()) - int(values.min())
    window = WindowLevel.of(pyramid.picture)
    assert window.changed(wider=-1.0, brighter=0.0, reach=pyramid.reach).width == 1
    for _ in range(100):
        window = window.changed(wider=0.1, brighter=0.0, reach=pyramid.reach)
    assert window.width > pyramid.reach

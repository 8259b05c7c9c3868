"""Heat maps: how they are drawn."""

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from approved import approved

from xray_infer.classes import HEATMAP_NOTICE, RESEARCH_NOTICE
from xray_infer.outputs.heatmaps.blend import COLOURS, MAX_OPACITY, PER_CELL, blend, upsample, widen
from xray_infer.outputs.heatmaps.caption import BACKGROUND, MIN_LETTER, NO_BREAK, Style, wrap
from xray_infer.outputs.heatmaps.methods import METHODS, Heatmap, heatmaps_for
from xray_infer.outputs.heatmaps.overlay import ENCODERS, MOST_SIDE, draw_overlay, encode
from xray_infer.run.artifact import HEATMAP_METHODS, OVERLAY_SUFFIXES
from xray_infer.run.results import OK, Row

SAYS = approved("xray-infer")

ROW = Row("a.png", OK, "tiny", "ab" * 32, "onnxruntime 1", (0.2, 0.7, 0.1), "pneumonia")
SIZES = [(1, 1), (64, 64), (300, 260), (260, 300), (30, 900), (900, 30), (2000, 1500)]  # height, width


def random_map(seed: int = 3) -> np.ndarray:
    """Much of it zero, as in real maps."""
    return np.maximum(np.random.default_rng(seed).normal(size=(7, 7)), 0).astype(np.float32)


def heatmap(values: np.ndarray, scale: float | None = None) -> Heatmap:
    return Heatmap(values, "pneumonia", "Grad-CAM", float(values.max()) if scale is None else scale)


# Up-sampling


def heat_of(values: np.ndarray, scale: float, size: tuple[int, int]) -> np.ndarray:
    return widen(upsample(values, scale, size[1]), size[0])


def cubic(cells: np.ndarray, at: float) -> np.ndarray:
    """Fritsch and Butland's monotone cubic along the first axis, in the simplest words."""

    def slope(index: int) -> np.ndarray:
        if index in (0, len(cells) - 1):
            return np.zeros_like(cells[0])
        before, after = cells[index] - cells[index - 1], cells[index + 1] - cells[index]
        same = before * after > 0
        return np.where(same, 2 * before * after / np.where(same, before + after, 1), 0)

    at = min(max(at, 0), len(cells) - 1)
    left = min(int(at), len(cells) - 2)
    t = at - left
    return (
        cells[left] * (1 + 2 * t) * (1 - t) ** 2
        + cells[left + 1] * t**2 * (3 - 2 * t)
        + slope(left) * t * (1 - t) ** 2
        - slope(left + 1) * t**2 * (1 - t)
    )


def reference(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The heat, 0..1, at every pixel's own place, in double precision."""
    width, height = size
    shares = values.astype(float) / values.max()
    rows = [(y + 0.5) * values.shape[0] / height - 0.5 for y in range(height)]
    columns = [(x + 0.5) * values.shape[1] / width - 0.5 for x in range(width)]
    rows_first = np.array([cubic(shares, y) for y in rows])
    rows_first = np.array([cubic(rows_first.T, x) for x in columns]).T
    columns_first = np.array([cubic(shares.T, x) for x in columns]).T
    columns_first = np.array([cubic(columns_first, y) for y in rows])
    return (rows_first + columns_first) / 2


@pytest.mark.parametrize("size", [(500, 300), (300, 500), (64, 64), (20, 400), (7, 7)])
def test_heat_is_that_of_a_plain_interpolation(size):
    values = random_map()
    heat = heat_of(values, values.max(), size)
    assert heat.dtype == np.uint16
    assert heat.shape == size[::-1]
    off = np.abs(heat / 256 - 255 * reference(values, size))
    assert off.max() < 0.75  # of a level


@pytest.mark.parametrize("size", [(700, 350), (301, 997), (64, 64)])
@pytest.mark.parametrize("cell", [(0, 0), (1, 5), (3, 3), (6, 2), (6, 6)])
def test_a_cell_is_hottest_at_its_own_place(size, cell):
    values = np.zeros((7, 7), np.float32)
    values[cell] = 0.25
    heat = heat_of(values, 0.25, size).astype(int)
    (width, height), (row, column) = size, cell
    centre = np.array([(row + 0.5) * height / 7 - 0.5, (column + 0.5) * width / 7 - 0.5])
    cell_size, step = np.array([height, width]) / 7, 1 + np.array([height, width]) / 7 / PER_CELL
    hottest = np.argwhere(heat == heat.max())
    assert heat.max() >= 0.98 * 255 * 256
    if 0 < row < 6 and 0 < column < 6:
        assert np.abs(hottest.mean(axis=0) - centre).max() <= 0.5
    else:  # an outer cell's outer half is as hot as its centre
        assert (np.abs(hottest - centre).min(axis=0) <= step).all()
        assert (np.abs(hottest - centre) <= cell_size / 2 + step).all()
    # There is no heat beyond its neighbours' centres.
    assert (np.abs(np.argwhere(heat) - centre) <= cell_size + step).all()


@pytest.mark.parametrize("seed", range(5))
def test_nothing_rings(seed):
    """No heat where the cells around have none, none above the hottest of them; a cell has 100 pixels."""
    values = random_map(seed)
    heat = heat_of(values, values.max(), (700, 700)) / (256 * 255)
    shares = values / values.max()
    for row in range(6):
        for column in range(6):
            around = shares[row : row + 2, column : column + 2]
            between = heat[100 * row + 51 : 100 * row + 149, 100 * column + 51 : 100 * column + 149]
            assert between.max() <= around.max() + 1e-4
            assert between.min() >= around.min() - 1e-4


def test_both_sides_of_a_picture_are_treated_alike():
    values = random_map()
    heat = heat_of(values, values.max(), (320, 200)).astype(int)
    turned = heat_of(np.ascontiguousarray(values.T), values.max(), (200, 320)).astype(int)
    mirrored = heat_of(np.ascontiguousarray(values[:, ::-1]), values.max(), (320, 200)).astype(int)
    assert np.abs(heat - turned.T).max() <= 2
    assert np.abs(heat - mirrored[:, ::-1]).max() <= 2


def test_a_map_of_another_size_and_a_common_scale():
    values = np.full((14, 10), 0.1, np.float32)
    assert set(np.unique(heat_of(values, 0.4, (90, 70)))) == {round(255 * 256 / 4)}
    assert set(np.unique(heat_of(values, 0.05, (90, 70)))) == {255 * 256}  # above the scale: the hottest


# Drawing


@pytest.mark.parametrize("shape", [(300, 260), (64, 90), (700, 1100)])
def test_the_picture_is_blended_as_in_floats(shape):
    pixels = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    values = random_map()
    overlay = draw_overlay(pixels, heatmap(values), ROW)
    heat = reference(values, shape[::-1])
    colours = np.stack(
        [np.interp(255 * heat, np.arange(256), COLOURS[:, 0, channel]) for channel in range(3)], axis=-1
    )
    opacity = MAX_OPACITY * heat[..., None]
    expected = pixels[..., None] * (1 - opacity) + colours * opacity
    off = np.abs(overlay[: shape[0], : shape[1]] - expected)
    assert off.max() <= 2.5  # half of it is rounding
    assert off.mean() < 0.6


def test_colour_and_opacity_rise_with_the_heat_over_any_gray():
    """The brighter of two grays stays the brighter below any heat."""
    heat = np.arange(0, 255 * 256 + 1, 256, dtype=np.uint16)[None].repeat(256, axis=0)
    gray = np.arange(256, dtype=np.uint8)[:, None].repeat(256, axis=1)
    out = np.empty((256, 256, 3), np.uint8)
    blend(gray, heat, out)
    assert (out[:, 0] == gray[:, :1]).all()
    assert (np.diff(out.astype(int), axis=0) >= 0).all()
    assert (out[255].astype(int) - out[0] >= 255 * (1 - MAX_OPACITY) - 2).all()
    lab = cv2.cvtColor(out.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)
    colour = np.hypot(lab[..., 1], lab[..., 2]).mean(axis=0)
    assert colour[51:].min() > 10  # told from gray; a difference of 2 is just seen
    assert colour.argmax() > 245


def test_blending_writes_into_a_part_of_a_canvas_only():
    canvas = np.full((50, 80, 3), 7, np.uint8)
    blend(np.zeros((40, 60), np.uint8), np.full((40, 60), 255 * 256, np.uint16), canvas[:40, :60])
    assert (canvas[40:] == 7).all()
    assert (canvas[:, 60:] == 7).all()
    assert (canvas[:40, :60] != 7).any(axis=2).all()


@pytest.mark.parametrize("shape", SIZES)
def test_all_that_a_reader_needs_stands_below_the_picture(shape, written):
    pixels = np.full(shape, 90, np.uint8)
    overlay = draw_overlay(pixels, heatmap(0.3125 * random_map() / random_map().max()), ROW)
    text = " ".join(line for line, _, _ in written)
    for part in (
        "0 0.312 logit",
        "Label: pneumonia. Probabilities: covid 20.0%, pneumonia 70.0%, normal 10.0%.",
        f"Grad-CAM of 'pneumonia'. {HEATMAP_NOTICE}",
        RESEARCH_NOTICE,
    ):
        assert part in text
    height, width = shape
    assert overlay.shape[0] > height
    assert overlay.shape[1] >= width
    below = overlay[height:]
    letter = Style.beside(shape).letter
    assert letter >= MIN_LETTER
    assert max(shape) / letter < 70 or min(shape) < 6 * letter
    assert all(right <= overlay.shape[1] - letter / 2 for _, right, _ in written)
    assert all(base < len(below) - letter / 4 for _, _, base in written)  # there is room for a g
    assert (below[:, -letter // 2 :] == BACKGROUND).all()
    assert (overlay[:height, width:] == BACKGROUND).all()
    for _, _, base in written:
        assert below[base - letter : base].max() > 220  # letters were drawn where they should stand


@pytest.mark.parametrize("shape", SIZES)
def test_without_heat_the_picture_is_as_it_was(shape, written):
    pixels = np.random.default_rng(2).integers(0, 256, shape).astype(np.uint8)
    overlay = draw_overlay(pixels, heatmap(np.zeros((7, 7), np.float32)), ROW)
    assert (overlay[: shape[0], : shape[1]] == pixels[..., None]).all()
    text = " ".join(line for line, _, _ in written)
    assert text.startswith("Label: ")  # no bar
    assert SAYS["no-region-speaks-for"].format(value=HEATMAP_NOTICE) in text


def test_an_uncertain_answer_shows_the_map_of_the_most_probable_class(written):
    row = replace(ROW, label="uncertain")
    maps = np.stack([random_map(seed) for seed in range(3)], axis=-1)
    (found,) = heatmaps_for("predicted", maps, METHODS["gradcam"], row)
    draw_overlay(np.zeros((300, 300), np.uint8), found, row)
    text = " ".join(line for line, _, _ in written)
    assert SAYS["label-uncertain-probabilities-covid"] in text
    assert "Grad-CAM of 'pneumonia'." in text


def test_a_map_that_is_next_to_nothing_beside_anothers_says_so(written):
    maps = np.zeros((7, 7, 3), np.float32)
    maps[2, 3] = 0.05, 1.0, 0.2
    weak, strong, enough = heatmaps_for("all", maps, METHODS["gradcam"], ROW)
    (alone,) = heatmaps_for("covid", maps, METHODS["gradcam"], ROW)
    assert [one.weak for one in (weak, strong, enough, alone)] == [True, False, False, True]
    draw_overlay(np.full((900, 800), 90, np.uint8), alone, ROW)
    text = " ".join(line for line, _, _ in written)
    assert SAYS["grad-cam-of-covid"] in text


def test_maps_in_one_scale_say_their_own_maximum(written):
    values = random_map()
    overlay = draw_overlay(np.zeros((400, 400), np.uint8), heatmap(values, scale=4 * values.max()), ROW)
    text = " ".join(line for line, _, _ in written)
    peak = float(values.max())
    assert f"{4 * peak:.3g} logit" in text
    assert SAYS["pneumonia-at-most-one"].format(peak=peak) in text
    alone = draw_overlay(np.zeros((400, 400), np.uint8), heatmap(values), ROW)
    assert overlay[:400].max() < alone[:400].max() / 2


def test_lines_are_as_long_as_they_may_be():
    style = Style(20, 700)
    text = f"{HEATMAP_NOTICE} {RESEARCH_NOTICE}"
    lines = list(wrap(style, text, 400))
    assert " ".join(lines) == text
    assert len(lines) > 2
    for line, following in pairwise(lines):
        assert style.measure(line) <= 400
        assert style.measure(f"{line} {following.split()[0]}") > 400
    assert list(wrap(style, "overlong words", 10)) == ["overlong", "words"]
    assert list(wrap(style, f"stay{NO_BREAK}together here", 10)) == ["stay together", "here"]


def test_the_size_of_letters_is_that_asked_for():
    for letter in (MIN_LETTER, 40):
        canvas = np.zeros((100, 100, 3), np.uint8)
        Style(letter, 100).write(canvas, "H", 10, 80)
        rows = np.nonzero((canvas[..., 0] > 100).any(axis=1))[0]
        assert 0.6 * letter <= rows[-1] - rows[0] + 1 <= 1.3 * letter
        assert abs(rows[-1] - 80) <= 0.2 * letter


# Encoding


def test_the_options_choices_are_the_tables():
    assert set(HEATMAP_METHODS) == set(METHODS)
    assert set(OVERLAY_SUFFIXES) == set(ENCODERS)
    assert all(OVERLAY_SUFFIXES[name].endswith(ENCODERS[name][0]) for name in ENCODERS)


def test_files_keep_colours_and_text_clean():
    pixels = cv2.resize(np.random.default_rng(5).integers(0, 256, (20, 20)).astype(np.uint8), (500, 600))
    overlay = draw_overlay(pixels, heatmap(random_map()), ROW)
    as_png, as_jpeg = (
        cv2.imdecode(np.frombuffer(encode(overlay, name), np.uint8), cv2.IMREAD_COLOR)
        for name in ("png", "jpeg")
    )
    assert np.array_equal(as_png, overlay)
    assert cv2.PSNR(overlay, as_jpeg) > 40
    assert np.abs(as_jpeg.astype(int) - overlay).max() < 60
    data = encode(overlay, "jpeg")
    frame = data.index(b"\xff\xc0")  # start of frame, baseline (ITU-T T.81 B.2.2)
    assert [data[frame + 11 + 3 * part] for part in range(3)] == [0x11] * 3  # no colour at half resolution


@pytest.mark.parametrize("shape", [(20, MOST_SIDE + 6000), (MOST_SIDE + 6000, 20)])
@pytest.mark.parametrize("format", ["jpeg", "png"])
def test_a_picture_longer_than_the_formats_take_is_made_shorter(shape, format):
    overlay = draw_overlay(np.full(shape, 90, np.uint8), heatmap(random_map()), ROW)
    data = np.frombuffer(encode(overlay, format), np.uint8)
    assert max(cv2.imdecode(data, cv2.IMREAD_COLOR).shape) >= MOST_SIDE

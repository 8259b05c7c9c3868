"""Heat maps: how they are drawn, which files they are, and how these behave in a run."""

import csv
import io
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from full_disk import fill_disk
from specimens import jpeg, ordinary_user, png

from xray_infer import Classifier
from xray_infer.classes import CLASS_NAMES, HEATMAP_NOTICE, RESEARCH_NOTICE
from xray_infer.cli import METHOD_CHOICES, OVERLAY_CHOICES, main
from xray_infer.heatmaps.blend import COLOURS, MAX_OPACITY, blend
from xray_infer.heatmaps.caption import BACKGROUND, MIN_LETTER, NO_BREAK, Style, wrap
from xray_infer.heatmaps.methods import METHODS, Heatmap, heatmaps_for
from xray_infer.heatmaps.overlay import ENCODERS, MOST_SIDE, draw_overlay, encode
from xray_infer.heatmaps.upsample import PER_CELL, upsample, widen
from xray_infer.results import OK, Row
from xray_infer.sources.selection import MADE_SUFFIXES, OVERLAY_SUFFIXES, judge_name

GOOD = ["film0.png", "film1.png", "film2.png", "ward b/film0.jpg", "ward b/film1.jpg", "ward b/film2.jpg"]
ROW = Row("a.png", OK, "tiny", "ab" * 32, "onnxruntime 1", (0.2, 0.7, 0.1), "pneumonia")
SIZES = [(1, 1), (64, 64), (300, 260), (260, 300), (30, 900), (900, 30), (2000, 1500)]  # height, width


def run(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def visible(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]


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


@pytest.fixture
def written(monkeypatch) -> list[tuple[str, int, int]]:
    """The lines that are drawn, each with its right end and the row that it stands on."""
    lines: list[tuple[str, int, int]] = []
    really = Style.write

    def write(style, canvas, text, left, base):
        lines.append((text, left + style.measure(text), base))
        really(style, canvas, text, left, base)

    monkeypatch.setattr(Style, "write", write)
    return lines


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
    assert f"No region speaks for 'pneumonia'. {HEATMAP_NOTICE}" in text


def test_an_uncertain_answer_shows_the_map_of_the_most_probable_class(written):
    row = replace(ROW, label="uncertain")
    maps = np.stack([random_map(seed) for seed in range(3)], axis=-1)
    (found,) = heatmaps_for("predicted", maps, METHODS["gradcam"], row.raw_label)
    draw_overlay(np.zeros((300, 300), np.uint8), found, row)
    text = " ".join(line for line, _, _ in written)
    assert "Label: uncertain. Probabilities: covid 20.0%, pneumonia 70.0%, normal 10.0%." in text
    assert "Grad-CAM of 'pneumonia'." in text


def test_maps_in_one_scale_say_their_own_maximum(written):
    values = random_map()
    overlay = draw_overlay(np.zeros((400, 400), np.uint8), heatmap(values, scale=4 * values.max()), ROW)
    text = " ".join(line for line, _, _ in written)
    peak = float(values.max())
    assert f"{4 * peak:.3g} logit" in text
    assert f"'pneumonia', {peak:.3g} at most; one scale for all classes." in text
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
    assert set(METHOD_CHOICES) == set(METHODS)
    assert set(OVERLAY_CHOICES) == set(OVERLAY_SUFFIXES) == set(ENCODERS)
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


# Files


def test_heat_maps_are_written_beside_each_other(folder, tiny_onnx, tmp_path, xray):
    (folder / "film0.jpg").write_bytes(jpeg(xray))
    (folder / "bad.png").write_bytes(b"")
    result = run(folder, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--heatmap", tmp_path / "maps")
    assert result.exit_code == 1
    assert files_in(tmp_path / "maps") == sorted(f"{name}.heatmap.jpg" for name in [*GOOD, "film0.jpg"])
    overlay = cv2.imread(str(tmp_path / "maps" / "film0.png.heatmap.jpg"))
    assert overlay.shape[0] > xray.shape[0]
    assert overlay.shape[1] >= xray.shape[1]
    assert np.ptp(overlay[: xray.shape[0], : xray.shape[1]].astype(int), axis=2).max() > 30


@pytest.mark.parametrize(
    ("options", "suffixes"),
    [
        ([], [".heatmap.jpg"]),
        (["--heatmap-for", "predicted", "--heatmap-format", "png"], [".heatmap.png"]),
        (["--heatmap-for", "covid"], [".covid.heatmap.jpg"]),
        (["--heatmap-for", "all"], [f".{name}.heatmap.jpg" for name in CLASS_NAMES]),
        (["--heatmap-raw", "--heatmap-method", "gradcam"], [".heatmap.jpg", ".heatmap.npz"]),
    ],
)
def test_which_files_an_image_gets(folder, tiny_onnx, tmp_path, options, suffixes):
    maps = tmp_path / "maps"
    out = tmp_path / "r.csv"
    result = run(folder, "--model", tiny_onnx, "--out", out, "--heatmap", maps, *options)
    assert result.exit_code == 0, result.stderr
    assert files_in(maps) == sorted(f"{name}{suffix}" for name in GOOD for suffix in suffixes)


def test_all_classes_have_one_scale(folder, tiny_onnx, tmp_path, written):
    one = folder / "film0.png"
    result = run(one, "--model", tiny_onnx, "--heatmap", tmp_path / "maps", "--heatmap-for", "all")
    assert result.exit_code == 0, result.stderr
    ends = [text for text, _, _ in written if text.endswith("logit")]
    assert len(ends) == 3
    assert len(set(ends)) == 1


@pytest.mark.parametrize(
    "option",
    [
        ("--heatmap-for", "all"),
        ("--heatmap-format", "png"),
        ("--heatmap-method", "gradcam"),
        ("--heatmap-raw",),
    ],
)
def test_what_goes_with_a_folder_for_heat_maps_is_refused_without(folder, option):
    result = run(folder, "--out", folder / "r.csv", *option)
    assert result.exit_code == 2
    assert f"{option[0]} goes with --heatmap DIR" in result.stderr
    assert not (folder / "r.csv").exists()


def test_rows_are_the_same_with_and_without(folder, tiny_onnx, tmp_path, xray):
    """Large JPEGs are reduced while decoding for the model, and drawn at full size."""
    large = cv2.resize(xray, (1500, 1900), interpolation=cv2.INTER_CUBIC)
    (folder / "large.jpg").write_bytes(jpeg(large))
    plain, drawn = tmp_path / "plain.csv", tmp_path / "drawn.csv"
    assert run(folder, "--model", tiny_onnx, "--out", plain).exit_code == 0
    options = ["--heatmap", tmp_path / "maps", "--heatmap-format", "png"]
    assert run(folder, "--model", tiny_onnx, "--out", drawn, *options).exit_code == 0
    assert plain.read_bytes() == drawn.read_bytes()
    isolated = run(
        folder, "--model", tiny_onnx, "--out", drawn, *options, "--isolate", "--restart", "--workers", 1
    )
    assert isolated.exit_code == 0, isolated.stderr
    assert plain.read_bytes() == drawn.read_bytes()
    overlay = cv2.imread(str(tmp_path / "maps" / "large.jpg.heatmap.png"))
    assert overlay.shape[1] == 1500
    assert overlay.shape[0] > 1900


def test_deep_pixels_dicom_archives_and_lists(folder, tiny_onnx, tmp_path, xray):
    pytest.importorskip("pydicom")
    from dicom_files import dicom

    deep = xray.astype(np.uint16) * 16
    files = {
        "deep.png": png(deep),
        "deep.tif": cv2.imencode(".tif", deep)[1].tobytes(),
        "IM01": dicom(deep, bits=12),
        "x/a.webp": cv2.imencode(".webp", xray)[1].tobytes(),
    }
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    maps = tmp_path / "maps"
    options = ["--model", tiny_onnx, "--heatmap", maps, "--heatmap-format", "png"]
    result = run(tmp_path / "films.zip", "--out", tmp_path / "r.csv", *options)
    assert result.exit_code == 0, result.stderr
    assert files_in(maps) == sorted(f"{name}.heatmap.png" for name in files)
    for name in files:
        overlay = cv2.imread(str(maps / f"{name}.heatmap.png"))
        assert overlay.shape[0] > 300
        assert overlay[:300, :260].std() > 20
    (tmp_path / "list.txt").write_text(f"{folder / 'film0.png'}\n{folder / 'film1.png'}\n")
    result = run("--from-list", tmp_path / "list.txt", "--out", tmp_path / "l.csv", *options)
    assert result.exit_code == 0, result.stderr
    written = sorted(path.name for path in maps.rglob("film?.png.*"))
    assert written == ["film0.png.heatmap.png", "film1.png.heatmap.png"]


@pytest.mark.parametrize("suffix", MADE_SUFFIXES)
def test_what_a_run_makes_is_no_input(suffix):
    assert judge_name(f"a/film.png{suffix}") is False


def test_heat_maps_of_an_earlier_run_are_no_input(folder, tiny_onnx, tmp_path):
    options = ["--heatmap", folder, "--heatmap-raw", "--heatmap-for", "all"]
    for _ in range(2):
        result = run(folder, "--model", tiny_onnx, "--out", tmp_path / "r.csv", *options)
    assert len([name for name in files_in(folder) if ".heatmap." in name]) == 6 * 4
    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as stream:
        assert [row["path"] for row in csv.DictReader(stream)] == GOOD
    assert "26 other files were skipped" in result.stderr


def test_the_maps_themselves(folder, tiny_onnx, tmp_path):
    contents = []
    for number in range(2):
        maps = tmp_path / f"maps{number}"
        result = run(folder / "film1.png", "--model", tiny_onnx, "--heatmap", maps, "--heatmap-raw")
        assert result.exit_code == 0, result.stderr
        contents.append((maps / "film1.png.heatmap.npz").read_bytes())
    assert contents[0] == contents[1]
    with Classifier(tiny_onnx) as classifier:
        prediction = classifier.predict(folder / "film1.png")
    with np.load(io.BytesIO(contents[0]), allow_pickle=False) as kept:
        assert kept["maps"].dtype == np.float32
        assert np.array_equal(kept["maps"], np.maximum(prediction.cam, 0) / 49)
        assert tuple(kept["class_names"]) == CLASS_NAMES
        assert dict(zip(kept["class_names"], kept["probabilities"], strict=True)) == pytest.approx(
            prediction.probabilities
        )
        assert (kept["method"], kept["unit"], kept["model"]) == ("gradcam", "logit", "tiny")
        assert kept["model_sha256"] == prediction.row.model_sha256
        assert RESEARCH_NOTICE in str(kept["notice"])


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a.png", "a.png.heatmap.jpg"),
        ("ward b/a.jpg", "ward b/a.jpg.heatmap.jpg"),
        ("/etc/a.png", "%2F/etc/a.png.heatmap.jpg"),
        ("../../a.png", "%2E%2E/%2E%2E/a.png.heatmap.jpg"),
        ("s3://bucket/a.png", "s3%3A/%2F/bucket/a.png.heatmap.jpg"),
        ("C:\\films\\a\n.png", "C%3A%5Cfilms%5Ca%0A.png.heatmap.jpg"),
        ("50%2E.png", "50%252E.png.heatmap.jpg"),
    ],
)
def test_heat_maps_stay_in_their_folder_whatever_the_name(tmp_path, name, place):
    from xray_infer.artifacts.naming import file_for

    assert file_for(tmp_path, name, ".heatmap.jpg") == tmp_path / place


def test_heat_maps_of_long_names_are_written_and_do_not_collide(folder, tiny_onnx, tmp_path):
    data = (folder / "film0.png").read_bytes()
    for last in "ab":
        (folder / f"{'é' * 124}{last}.png").write_bytes(data)
    result = run(folder, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--heatmap", tmp_path / "maps")
    assert result.exit_code == 0, result.stderr
    assert len(list((tmp_path / "maps").rglob("*.heatmap.jpg"))) == 8


# Runs


def test_an_interrupted_run_makes_good_what_is_missing(folder, tiny_onnx, tmp_path, stop_after):
    maps, out = tmp_path / "maps", tmp_path / "r.csv"
    options = ["--model", tiny_onnx, "--out", out, "--heatmap", maps, "--heatmap-for", "all", "--heatmap-raw"]
    for number in range(8):
        (folder / f"more{number}.png").write_bytes((folder / "film0.png").read_bytes())
    read = stop_after(4)
    assert run(folder, *options, "--workers", 1).exit_code == 130
    done = list(read)
    assert 4 <= len(done) < 14
    times = {name: (maps / name).stat().st_mtime_ns for name in files_in(maps)}
    assert len(times) == 4 * len(done)
    lost = [f"{done[0]}.normal.heatmap.jpg", f"{done[2]}.heatmap.npz"]
    for name in lost:
        (maps / name).unlink()
    read.clear()
    result = run(folder, *options)
    assert result.exit_code == 0, result.stderr
    assert {done[0], done[2]} <= set(read)
    assert not {done[1], *done[3:]} & set(read)
    assert len(read) == 14 - len(done) + 2
    assert len(files_in(maps)) == 4 * 14
    untouched = [f"{name}.covid.heatmap.jpg" for name in (done[1], *done[3:])]
    assert all((maps / name).stat().st_mtime_ns == times[name] for name in untouched)


def test_killed_runs_leave_whole_files_and_end_as_an_undisturbed_one(folder, tiny_onnx, tmp_path):
    """SIGKILL, at moments of its own choosing."""
    for number in range(40):
        (folder / f"more{number:02}.png").write_bytes((folder / f"film{number % 3}.png").read_bytes())
    options = ["--model", tiny_onnx, "--heatmap-raw", "--heatmap-for", "all", "--quiet"]
    whole, maps = tmp_path / "whole", tmp_path / "maps"
    assert run(folder, "--out", tmp_path / "w.csv", "--heatmap", whole, *options).exit_code == 0
    command = [sys.executable, "-m", "xray_infer", folder, "--out", tmp_path / "r.csv", "--heatmap", maps]
    killed = 0
    while not (tmp_path / "r.csv").exists():
        wanted = len(list(maps.rglob("*.npz"))) + 9
        process = subprocess.Popen([str(part) for part in (*command, *options)], stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(maps.rglob("*.npz"))) < wanted:
            time.sleep(0.002)
        killed += process.poll() is None
        process.kill()
        process.wait()
        for path in visible(maps):
            assert path.read_bytes() == (whole / path.relative_to(maps)).read_bytes()
    assert killed >= 1
    assert len(visible(maps)) == len(visible(whole)) == 46 * 4
    assert (tmp_path / "r.csv").read_bytes() == (tmp_path / "w.csv").read_bytes()


@pytest.mark.parametrize(
    ("option", "difference"),
    [
        (["--heatmap-for", "covid"], "heatmap_for was 'predicted', is 'covid'"),
        (["--heatmap-format", "png"], "heatmap_format was 'jpeg', is 'png'"),
        (["--heatmap-raw"], "heatmap_raw was False, is True"),
    ],
)
def test_a_run_goes_on_only_with_the_same_heat_maps(
    folder, tiny_onnx, tmp_path, stop_after, option, difference
):
    options = ["--model", tiny_onnx, "--out", tmp_path / "r.csv", "--heatmap", tmp_path / "maps"]
    stop_after(2)
    assert run(folder, *options, "--workers", 1).exit_code == 130
    result = run(folder, *options, *option)
    assert result.exit_code == 2
    assert difference in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_full_disk_is_one_line_and_no_half_file(folder, tiny_onnx, tmp_path, monkeypatch):
    maps, out = tmp_path / "maps", tmp_path / "r.csv"
    options = ["--model", tiny_onnx, "--out", out, "--heatmap", maps, "--workers", 1]
    run(folder, *options)
    sizes = [path.stat().st_size for path in maps.rglob("*.jpg")]
    with monkeypatch.context() as patch:
        fill_disk(patch, tmp_path / "full", room=int(2.5 * max(sizes)))
        result = run(folder, *options[:-4], "--heatmap", tmp_path / "full", "--restart", "--workers", 1)
    assert result.exit_code == 2
    *_, last = result.stderr.splitlines()
    assert "No space left on device; free some space or write to another disk" in last
    assert "Traceback" not in result.stderr
    whole = files_in(tmp_path / "full")
    assert 2 <= len(whole) < 6
    assert all((tmp_path / "full" / name).read_bytes() == (maps / name).read_bytes() for name in whole)


def test_a_file_in_the_folders_place_is_one_line(folder, tiny_onnx, tmp_path):
    (tmp_path / "maps").write_text("mine")
    for place in ("maps", "maps/deeper"):
        result = run(
            folder,
            "--model",
            tiny_onnx,
            "--out",
            tmp_path / "r.csv",
            "--heatmap",
            tmp_path / place,
            "--quiet",
        )
        assert result.exit_code == 2
        assert "cannot make the folder" in result.stderr
        assert "a file stands in its place; choose another folder" in result.stderr
        assert result.stderr.count("\n") == 1
    assert (tmp_path / "maps").read_text() == "mine"


def test_a_folder_that_may_not_be_written_to_is_one_line(folder, tiny_onnx, tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps").chmod(0o555)
    (tmp_path / "out").mkdir()
    run(folder / "film0.png", "--model", tiny_onnx)  # loads what an ordinary user may not be able to load
    options = ["--out", tmp_path / "out" / "r.csv", "--heatmap", tmp_path / "maps", "--quiet"]
    with ordinary_user(tiny_onnx, tmp_path / "out"):
        result = run(folder, "--model", tiny_onnx, *options)
    assert result.exit_code == 2, result.stderr
    assert "Permission denied; choose a folder that you may write to" in result.stderr
    assert result.stderr.count("\n") == 1
    assert files_in(tmp_path / "maps") == []


# From Python


def test_a_prediction_draws_what_the_command_draws(folder, tiny_onnx, tmp_path, xray):
    path = folder / "film0.png"
    options = ["--heatmap", tmp_path, "--heatmap-format", "png"]
    assert run(path, "--model", tiny_onnx, *options).exit_code == 0
    with Classifier(tiny_onnx) as classifier:
        prediction = classifier.predict(path)
        bad = classifier.predict(b"no image")
    drawn = prediction.heatmap(path)
    assert np.array_equal(drawn, cv2.imread(str(tmp_path / "film0.png.heatmap.png")))
    assert np.array_equal(prediction.heatmap(path.read_bytes()), drawn)
    assert np.array_equal(prediction.heatmap(xray), drawn)
    others = [prediction.heatmap(xray, of=name) for name in CLASS_NAMES]
    assert sum(np.array_equal(other, drawn) for other in others) == 1
    with pytest.raises(ValueError, match="there is no heat map: error, not an image"):
        bad.heatmap(path)
    with pytest.raises(ValueError, match="no such class: flu"):
        prediction.heatmap(path, of="flu")


def test_real_pictures_of_every_size(shared_data, tmp_path):
    names = ["085_covid_333x277.jpg", "027_normal_1024x1024.png", "052_covid_2836x2336.jpg"]
    (tmp_path / "films").mkdir()
    for name in names:
        (tmp_path / "films" / name).symlink_to(shared_data / "originals" / name)
    result = run(tmp_path / "films", "--out", tmp_path / "r.csv", "--heatmap", tmp_path / "maps")
    assert result.exit_code == 0, result.stderr
    for name in names:
        picture = cv2.imread(str(shared_data / "originals" / name), cv2.IMREAD_GRAYSCALE)
        height, width = picture.shape
        overlay = cv2.imread(str(tmp_path / "maps" / f"{name}.heatmap.jpg"))
        assert overlay.shape[1] == width
        # The anatomy is visible: the overlay follows the picture's detail.
        blurred = [
            cv2.GaussianBlur(one, (0, 0), 8).astype(float) for one in (picture, overlay[:height, :, 2])
        ]
        detail = [
            one.astype(float) - smooth
            for one, smooth in zip((picture, overlay[:height, :, 2]), blurred, strict=True)
        ]
        assert np.corrcoef(detail[0].ravel(), detail[1].ravel())[0, 1] > 0.9

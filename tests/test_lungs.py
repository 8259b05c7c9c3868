"""A model that is given the lungs, at a side of its own: rows, heat maps and objects; and older models."""

import csv
import json
import shutil
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from places import SAMPLES
from report_pages import ReadPage
from specimens import example_manifest, png

from xray_infer import Classifier
from xray_infer.cli import main
from xray_infer.images.decode import decode
from xray_infer.images.preprocess import STUDY, WHOLE, Area, Preprocessing, lungs_area
from xray_infer.model.runtimes import find_model
from xray_infer.run.sources.folder import FileItem

SAYS = approved("xray-infer")

MADE = Preprocessing(2, 64)
FILMS = sorted(SAMPLES.glob("phantom_*"))
WITHOUT = "noise.png"  # the only picture without lungs


def run(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def rows_in(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return {row["path"]: row for row in csv.DictReader(stream)}


def edges_in(row: dict[str, str]) -> list[float]:
    return [float(edge) for edge in row["lungs"].split()]


@pytest.fixture(scope="module")
def of_lungs(make_tiny_onnx) -> Path:
    return make_tiny_onnx(example_manifest(preprocessing_version=2, input_shape=MADE.shape))


@pytest.fixture
def films(tmp_path, xray) -> Path:
    """The samples, one of them large, a picture without lungs, and a file that is none."""
    root = tmp_path / "films"
    root.mkdir()
    for film in FILMS:
        shutil.copy(film, root)
    large = cv2.resize(decode(FILMS[0].read_bytes()), (3000, 2600), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(root / "large.jpg"), large)
    (root / WITHOUT).write_bytes(png(xray))
    (root / "bad.png").write_bytes(b"")
    return root


@pytest.fixture
def rows(films, of_lungs, tmp_path) -> dict[str, dict[str, str]]:
    result = run(films, "--model", of_lungs, "--out", tmp_path / "rows.csv")
    assert result.exit_code == 1, result.stderr
    return rows_in(tmp_path / "rows.csv")


def test_every_row_says_what_was_judged(rows, films):
    assert set(rows) == {path.name for path in films.iterdir()}
    assert {row["preprocessing_version"] for row in rows.values()} == {"2"}
    assert {row["row_schema"] for row in rows.values()} == {"3"}
    assert (rows["bad.png"]["status"], rows["bad.png"]["lungs"]) == ("error", "")
    assert (rows[WITHOUT]["status"], rows[WITHOUT]["lungs"]) == ("ok", "none")
    for film in FILMS:
        area = lungs_area(decode(film.read_bytes(), side=MADE.decode_side))
        expected = [area.left, area.top, area.right, area.bottom]
        assert edges_in(rows[film.name]) == pytest.approx(expected, abs=5e-5)
    # Decoded at a quarter of its size, which moves the box by next to nothing.
    assert edges_in(rows["large.jpg"]) == pytest.approx(edges_in(rows[FILMS[0].name]), abs=0.02)


def test_the_answer_is_the_one_to_the_lungs(rows, films, of_lungs):
    session = find_model(of_lungs).open()
    for name in (FILMS[0].name, "large.jpg", WITHOUT):
        pixels = decode((films / name).read_bytes(), side=MADE.decode_side)
        given = MADE(pixels).pixels
        expected = session.run(given[None]).probabilities[0]
        found = [float(rows[name][f"prob_{label}"]) for label in ("covid", "pneumonia", "normal")]
        assert found == pytest.approx(expected, abs=1e-6)
        whole = session.run(Preprocessing(1, 64)(pixels).pixels[None]).probabilities[0]
        assert (found == pytest.approx(whole, abs=1e-6)) == (name == WITHOUT)


@pytest.mark.parametrize("options", [["--isolate"], ["--workers", 3, "--batch-size", 4]])
def test_children_workers_and_batches_give_the_same_rows(rows, films, of_lungs, tmp_path, options):
    run(films, "--model", of_lungs, "--out", tmp_path / "other.csv", *options)
    assert rows_in(tmp_path / "other.csv") == rows


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_other_formats_hold_the_same(rows, films, of_lungs, tmp_path, suffix):
    if suffix == "parquet":
        table = pytest.importorskip("pyarrow.parquet")
    run(films, "--model", of_lungs, "--out", tmp_path / f"r.{suffix}")
    path = tmp_path / f"r.{suffix}"
    if suffix == "parquet":
        found = table.read_table(path).to_pylist()
    else:
        found = [json.loads(line) for line in path.read_text().splitlines()]
    assert {row["path"]: row["lungs"] for row in found} == {name: one["lungs"] for name, one in rows.items()}


def test_a_heat_map_lies_within_the_lungs_of_the_whole_film(rows, films, of_lungs, tmp_path):
    maps = tmp_path / "maps"
    options = ("--heatmap", maps, "--heatmap-for", "all", "--heatmap-format", "png", "--heatmap-raw")
    for method in ("gradcam", "occlusion"):
        given = (films, "--model", of_lungs, "--out", tmp_path / f"{method}.csv", "--restart")
        assert run(*given, *options, "--heatmap-method", method).exit_code == 1
        assert rows_in(tmp_path / f"{method}.csv") == rows  # whatever is drawn
        for name in (FILMS[0].name, "large.jpg", WITHOUT):
            pixels = decode((films / name).read_bytes())
            drawn = cv2.imread(str(maps / f"{name}.covid.heatmap.png"))
            drawn = drawn[: pixels.shape[0], : pixels.shape[1]]
            with np.load(maps / f"{name}.heatmap.npz") as stored:
                area, cells = Area(*stored["area"].tolist()), stored["maps"]
            assert cells.shape == ((2, 2, 3) if method == "gradcam" else (8, 8, 3))
            assert (area == WHOLE) == (name == WITHOUT)
            outside = np.ones(pixels.shape, bool)
            outside[area.of(*pixels.shape)] = False
            assert np.array_equal(drawn[outside], np.stack([pixels] * 3, axis=-1)[outside])
            coloured = np.ptp(drawn.astype(int), axis=2) > 0
            assert coloured[~outside].any() == bool(cells[..., 0].any())


def test_a_stopped_run_goes_on_with_the_boxes_that_it_has(
    rows, films, of_lungs, tmp_path, stop_after, monkeypatch
):
    out = tmp_path / "r.csv"
    given = (films, "--model", of_lungs, "--out", out, "--workers", 1)
    read = stop_after(6)
    assert run(*given).exit_code == 130
    before = set(read)
    read.clear()
    assert run(*given).exit_code == 1
    assert not (before & set(read)) - {"bad.png"}  # what was answered is not read again
    assert rows_in(out) == rows


def test_another_preprocessing_is_another_run(films, of_lungs, make_tiny_onnx, tmp_path, stop_after):
    out = tmp_path / "r.csv"
    stop_after(4)
    assert run(films, "--model", of_lungs, "--out", out, "--workers", 1).exit_code == 130
    other = make_tiny_onnx(example_manifest(input_shape=MADE.shape))
    result = run(films, "--model", other, "--out", out)
    assert result.exit_code == 2
    assert SAYS["preprocessing-version-was-is"] in result.stderr


def test_the_page_says_where_no_lungs_were_found(rows, films, of_lungs, tmp_path):
    page = tmp_path / "page.html"
    run(films, "--model", of_lungs, "--out", tmp_path / "r.csv", "--report", page)
    shown = {row["path"]: row["lungs"] for row in ReadPage(page).rows}
    assert shown == {name: row["lungs"] for name, row in rows.items()}
    assert SAYS["no-lungs-were-found"] in page.read_text(encoding="utf-8")


def test_a_dicom_object_shows_heat_in_the_lungs_and_its_report_says_where(of_lungs, tmp_path):
    hd = pytest.importorskip("highdicom")
    from dicom_results import film, said_in

    folder, out = tmp_path / "films", tmp_path / "objects"
    folder.mkdir()
    pixels = decode(FILMS[0].read_bytes())
    noise = np.random.default_rng(0).integers(0, 256, (300, 260)).astype(np.uint8)
    (folder / "a.dcm").write_bytes(film(pixels))
    (folder / "b.dcm").write_bytes(film(noise, SOPInstanceUID="1.2.826.0.1.3680043.8.498.77"))
    run(folder, "--model", of_lungs, "--out", tmp_path / "r.csv", "--dicom-out", out)
    found = rows_in(tmp_path / "r.csv")
    texts, _ = said_in(hd.sr.srread(out / "a.dcm.report.dcm"))
    assert {f"lungs={found['a.dcm']['lungs']}", "preprocessing_version=2"} <= texts
    assert SAYS["no-lungs-were-found"] not in texts
    texts, _ = said_in(hd.sr.srread(out / "b.dcm.report.dcm"))
    assert {"lungs=none", SAYS["no-lungs-were-found"]} <= texts
    drawn = hd.imread(out / "a.dcm.heatmap.dcm").get_frame(1)[: pixels.shape[0], : pixels.shape[1]]
    outside = np.ones(pixels.shape, bool)
    outside[Area(*edges_in(found["a.dcm"])).of(*pixels.shape)] = False
    assert (np.ptp(drawn[outside].astype(int), axis=1) <= 1).mean() > 0.999
    assert (np.ptp(drawn[~outside].astype(int), axis=1) > 8).any()


def test_the_python_interface_gives_the_commands_rows_and_boxes(rows, films, of_lungs):
    with Classifier(of_lungs) as classifier:
        for name, row in rows.items():
            found = classifier.predict(films / name)
            assert (found.row.lungs, found.status) == (row["lungs"], row["status"])
            assert (found.lungs is None) == (row["lungs"] in ("", "none"))
            if found.status == "ok":
                assert found.cam.shape == (2, 2, 3)
                assert {one.area for one in found.heatmaps()} == {found.lungs or WHOLE}
        of_pixels = classifier.predict(decode(FILMS[0].read_bytes()))
        assert of_pixels.row.lungs == rows[FILMS[0].name]["lungs"]


def test_many_threads_give_the_same_boxes(of_lungs):
    items = [FileItem(film, f"{number}/{film.name}") for number in range(5) for film in FILMS]
    before = threading.active_count()
    with Classifier(of_lungs) as classifier:
        found = {one.row.path: one.row.lungs for one in classifier.predict_many(items)}
    for film in FILMS:
        assert len({found[f"{number}/{film.name}"] for number in range(5)}) == 1
    assert threading.active_count() <= before + 1


def test_a_model_of_whole_pictures_answers_as_before(films, tiny_onnx, tmp_path):
    """The column that is new is empty, and all others are what they were."""
    run(films, "--model", tiny_onnx, "--out", tmp_path / "r.csv")
    session = find_model(tiny_onnx).open()
    text = (tmp_path / "r.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == (
        "path,status,label,prob_covid,prob_pneumonia,prob_normal,confidence,raw_label,ood_score,reason,"
        "lungs,model,model_sha256,preprocessing_version,runtime,row_schema"
    )
    for name, row in rows_in(tmp_path / "r.csv").items():
        assert (row["lungs"], row["preprocessing_version"], row["row_schema"]) == ("", "1", "3")
        if row["status"] == "ok":
            pixels = decode((films / name).read_bytes(), side=224)
            expected = session.run(STUDY(pixels).pixels[None]).probabilities[0]
            found = [float(row[f"prob_{label}"]) for label in ("covid", "pneumonia", "normal")]
            assert found == pytest.approx(expected, abs=1e-6)


def test_a_file_whose_manifest_says_another_side_is_refused(films, make_tiny_onnx, tmp_path):
    for changes, message in (
        ({"input_shape": (100, 100, 1)}, SAYS["input-shape-is"]),
        ({"preprocessing_version": 3}, SAYS["preprocessing-version-is"]),
    ):
        result = run(
            films, "--model", make_tiny_onnx(example_manifest(**changes)), "--out", tmp_path / "r.csv"
        )
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert message in result.stderr

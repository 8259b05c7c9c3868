"""Rows, heat maps, page and DICOM objects of a model with other classes than the study's: 2, 5 and 50."""

import csv
import json
from collections import Counter

import numpy as np
import pytest

hd = pytest.importorskip("highdicom")

from any_classes import FIVE, TWO  # noqa: E402
from dicom_results import film, run  # noqa: E402
from report_pages import ReadPage  # noqa: E402
from specimens import example_manifest, png  # noqa: E402

from xray_infer.outputs.dicom.structured_report import LABEL, label_code, probability_code  # noqa: E402
from xray_infer.run.results import columns  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(params=[TWO, FIVE, tuple(f"class {number:02d}" for number in range(50))], ids=len)
def names(request):
    return request.param


@pytest.fixture
def model(names, make_tiny_onnx):
    return make_tiny_onnx(example_manifest(class_names=names))


@pytest.fixture
def films(tmp_path, xray):
    root = tmp_path / "films"
    root.mkdir()
    (root / "film.dcm").write_bytes(film(xray))
    (root / "film.png").write_bytes(png(255 - xray))
    (root / "bad.png").write_bytes(b"")
    return root


def test_a_run_takes_them_from_its_model(films, model, names, tmp_path):
    places = {name: tmp_path / name for name in ("r.csv", "maps", "p.html", "objects")}
    options = ("--heatmap", places["maps"], "--heatmap-for", "all", "--heatmap-raw")
    outputs = ("--out", places["r.csv"], "--report", places["p.html"], "--dicom-out", places["objects"])
    result = run(films, "--model", model, *outputs, *options)
    assert result.exit_code == 1, result.output
    with places["r.csv"].open(newline="", encoding="utf-8") as stream:
        rows = {row["path"]: row for row in csv.DictReader(stream)}
    assert all(list(row) == list(columns(names)) for row in rows.values())
    for name in ("film.dcm", "film.png"):
        chances = [float(rows[name][f"prob_{one}"]) for one in names]
        assert sum(chances) == pytest.approx(1, abs=1e-4)
        assert rows[name]["label"] == names[int(np.argmax(chances))]
        assert all((places["maps"] / f"{name}.{one}.heatmap.jpg").stat().st_size > 1000 for one in names)
        with np.load(places["maps"] / f"{name}.heatmap.npz") as kept:
            assert tuple(kept["class_names"]) == names
            assert kept["maps"].shape[-1] == len(names)
    assert rows["bad.png"][f"prob_{names[0]}"] == ""
    labels = Counter(row["label"] for row in rows.values() if row["label"])
    assert f"2 classified: {', '.join(f'{labels[one]} {one}' for one in names)}" in result.stderr
    _page_has(places["p.html"], rows, names)
    _report_has(places["objects"] / "film.dcm.report.dcm", rows["film.dcm"], names)
    assert json.loads((tmp_path / "r.csv.run.json").read_text())["model"]["class_names"] == list(names)


def _page_has(path, rows, names):
    page = ReadPage(path)
    assert page.facts["classes"] == list(names)
    shown = {row["path"]: row for row in page.rows}
    for one in names:
        assert shown["film.png"][f"prob_{one}"] == pytest.approx(float(rows["film.png"][f"prob_{one}"]))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert not [one for one in ids if " " in one]  # an id with a blank is two for aria-labelledby


def _report_has(path, row, names):
    (group,) = hd.sr.srread(path).content.get_image_measurement_groups()
    values = {one.name.value: one.value for one in group.get_measurements()}
    for one in names:
        assert values[probability_code(one).value] == pytest.approx(float(row[f"prob_{one}"]), abs=1e-6)
    (label,) = group.get_qualitative_evaluations(LABEL)
    assert label.value.value == label_code(row["label"]).value


def test_codes_fit_their_fields_and_differ():
    """PS3.5 6.2: SH holds 16 characters, LO 64. Names that begin alike have other codes."""
    long = ["x" * 60 + end for end in ("1", "2")]
    codes = [of(name) for of in (probability_code, label_code) for name in (*FIVE, *TWO, *long, "covid")]
    assert len({code.value for code in codes}) == len({*FIVE, *TWO, *long, "covid"}) * 2
    assert all(len(code.value) <= 16 and len(code.meaning) <= 64 for code in codes)
    assert (probability_code("covid").value, label_code("covid").value) == ("PROB_COVID", "COVID")


def test_a_class_that_the_model_has_not_is_refused(films, model, names, tmp_path):
    options = ("--heatmap", tmp_path / "maps", "--heatmap-for", "covid")
    result = run(films, "--model", model, "--out", tmp_path / "r.csv", *options)
    assert result.exit_code == 2
    assert f"--heatmap-for: the model has no class 'covid'; it has {names[0]}" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["a:b?", "50 % <b>", "=1+1", "'", '"x", y', "Ж" * 32])
def test_any_name_can_be_a_files_and_a_columns(films, make_tiny_onnx, tmp_path, name):
    model = make_tiny_onnx(example_manifest(class_names=(name, "other")))
    options = ("--heatmap", tmp_path / "maps", "--heatmap-for", "all", "--report", tmp_path / "p.html")
    result = run(films, "--model", model, "--out", tmp_path / "r.csv", *options)
    assert result.exit_code == 1, result.output
    assert len(list((tmp_path / "maps").rglob("*.heatmap.jpg"))) == 4
    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as stream:
        assert f"prob_{name}" in next(csv.reader(stream))
    assert ReadPage(tmp_path / "p.html").facts["classes"] == [name, "other"]

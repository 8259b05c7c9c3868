"""All that is made beside the rows, together: one method, and its maps made once an image."""

import csv
from dataclasses import replace

import cv2
import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner

pytest.importorskip("pydicom")
pytest.importorskip("highdicom")

import pydicom
from dicom_files import dicom
from specimens import example_manifest

from xray_infer.cli import main
from xray_infer.outputs.heatmaps.methods import METHODS

SAYS = approved("xray-infer")


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def counted(monkeypatch):
    """The names of the images that each method was asked to explain."""
    asked = {name: [] for name in METHODS}
    for name, method in METHODS.items():

        def explain(classified, name=name, method=method):
            asked[name].append(classified.item.name)
            return method.explain(classified)

        monkeypatch.setitem(METHODS, name, replace(method, explain=explain))
    return asked


@pytest.mark.parametrize("method", METHODS)
def test_overlays_report_and_dicom_objects_show_one_map_of_one_method(
    method, tmp_path, tiny_onnx, xray, counted
):
    films = tmp_path / "films"
    films.mkdir()
    (films / "a.dcm").write_bytes(dicom(xray, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1"))
    result = run(
        films,
        *("--model", tiny_onnx, "--out", tmp_path / "r.csv", "--heatmap-method", method),
        *("--heatmap", tmp_path / "maps", "--heatmap-raw", "--report", tmp_path / "page.html"),
        *("--dicom-out", tmp_path / "objects"),
    )
    assert result.exit_code == 0, result.stderr
    assert counted.pop(method) == ["a.dcm"]
    assert not any(counted.values())
    with np.load(tmp_path / "maps" / "a.dcm.heatmap.npz") as kept:
        assert (str(kept["method"]), str(kept["unit"])) == (method, METHODS[method].unit)
    title = METHODS[method].title
    assert title in (tmp_path / "page.html").read_text(encoding="utf-8")
    made = pydicom.dcmread(tmp_path / "objects" / "a.dcm.heatmap.dcm")
    assert made.DerivationDescription.startswith(f"{title} of the class")
    drawn = cv2.imread(str(tmp_path / "maps" / "a.dcm.heatmap.jpg")).astype(int)[..., ::-1]
    assert drawn.shape == made.pixel_array.shape
    assert np.abs(drawn - made.pixel_array).mean() < 2  # one is JPEG


def test_the_report_without_overlays_has_its_own_by_the_method(tmp_path, tiny_onnx, folder, counted):
    result = run(
        folder,
        *("--model", tiny_onnx, "--out", tmp_path / "r.csv", "--heatmap-method", "occlusion"),
        *("--report", tmp_path / "page.html"),
    )
    assert result.exit_code == 0, result.stderr
    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as stream:
        names = [row["path"] for row in csv.DictReader(stream)]
    assert sorted(counted["occlusion"]) == sorted(names)
    assert not counted["gradcam"]


def test_a_method_for_nothing_is_refused(folder, tiny_onnx, tmp_path):
    result = run(folder, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--heatmap-method", "occlusion")
    assert result.exit_code == 2
    assert SAYS["heatmap-method-goes-with"] in result.stderr


def test_another_method_is_another_run(tmp_path):
    from xray_infer.outputs.artifacts import ArtifactOptions, open_artifacts
    from xray_infer.run.settings import EngineOptions

    for one in ("gradcam", "occlusion"):
        wanted = ArtifactOptions(one, report=tmp_path / "page.html")
        made = open_artifacts(wanted, tmp_path / "r.csv", example_manifest(), EngineOptions())
        assert [artifact.facts()["heatmap_method"] for artifact in made.all] == [one]


def test_the_help_says_what_occlusion_costs():
    said, passes = " ".join(run("--help").stdout.split()), METHODS["occlusion"].passes
    assert f"many passes per image, {passes(96)} for an input of 96 pixels" in said
    assert f"{passes(224)} for one of 224" in said

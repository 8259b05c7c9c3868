"""Classes are the data's and the model's: two, merged, and five of any names, from folders to files."""

import csv
import json

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")
pytest.importorskip("ai_edge_quantizer")

from any_classes import FIVE, MERGED, METHOD, SIDE, TRAINING, TWO, run_train
from click.testing import CliRunner

from xray_infer.cli import main as infer_main
from xray_infer.errors import DataError
from xray_infer.export.cli import main as export_main
from xray_infer.model.runtimes import find_model
from xray_infer.run.results import columns
from xray_infer.study.datasets import read_dataset, read_input
from xray_infer.train.predictions import read_predictions

pytestmark = pytest.mark.tensorflow
FORMATS = ("onnx", "tflite")
RECIPES = ("fp32", "int8-static")


@pytest.fixture(params=["two_classes", "five_classes"])
def made(request):
    return request.getfixturevalue(request.param)


def record_of(made):
    return json.loads((made.run / f"{METHOD}.json").read_text())


def test_a_run_has_the_classes_of_its_data(made):
    record = record_of(made)
    assert tuple(record["class_names"]) == made.classes
    assert {name for row in record["counts"].values() for name in row} == set(made.classes)
    assert np.shape(record["test"]["confusion"]) == (len(made.classes),) * 2
    assert tuple(record["test"]["classes"]) == made.classes
    assert json.loads((made.run / "run.json").read_text())["classes"] == list(made.classes)
    predictions = read_predictions(made.run / f"{METHOD}.predictions.csv", splits=("val", "test"))
    assert {one.classes for one in predictions.values()} == {made.classes}
    with (made.run / "split.csv").open(newline="", encoding="utf-8") as stream:
        assert {row["label"] for row in csv.DictReader(stream)} == set(made.classes)
    page = (made.run / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in made.classes)
    assert "pneumonia" not in page.replace("Viral Pneumonia", "")


def test_a_choice_of_classes_stands_in_the_record(two_classes, five_classes):
    parts = {"sick": ["COVID", "Viral Pneumonia", "Lung_Opacity"], "Normal": ["Normal"]}
    assert record_of(two_classes)["class_choice"] == parts
    assert sum(map(sum, (row.values() for row in record_of(two_classes)["counts"].values()))) == 80
    assert "class_choice" not in record_of(five_classes)


def test_the_same_choice_goes_on_with_the_run(two_classes):
    options = ("--out", two_classes.run, *TRAINING, "--resume", "--classes", MERGED)
    again = run_train(two_classes.tree, *options)
    assert again.exit_code == 0, again.output
    assert "epoch" not in again.stderr  # nothing is left to train


def test_another_list_of_classes_is_another_run(five_classes):
    for choice in (MERGED, ",".join(reversed(FIVE))):
        options = ("--out", five_classes.run, *TRAINING, "--resume", "--classes", choice)
        refused = run_train(five_classes.tree, *options)
        assert (refused.exit_code, refused.stderr.splitlines()[-1].count("holds a run that differs")) == (
            2,
            1,
        )
        assert "differs in classes" in refused.stderr


@pytest.mark.parametrize("model_format", FORMATS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_exported_files_answer_for_the_classes(made, model_format, recipe):
    session = find_model(made.file(model_format, recipe)).open()
    manifest = session.manifest
    assert manifest.class_names == made.classes
    assert f"{made.classes[-2]} or {made.classes[-1]}. Research use only" in manifest.intended_use
    images = read_dataset(made.run / "split.csv", classes=made.classes).split("test")
    output = session.run(np.stack([read_input(one, manifest.preprocessing) for one in images]))
    assert output.probabilities.shape == (len(images), len(made.classes))
    assert output.cam.shape == (len(images), SIDE // 32, SIDE // 32, len(made.classes))
    right = output.probabilities.argmax(axis=1) == [one.label for one in images]
    assert right.mean() >= 0.7
    assert manifest.parity.result.accuracy == pytest.approx(right.mean())


@pytest.mark.parametrize("model_format", FORMATS)
def test_a_folder_is_classified_with_heat_maps_and_a_page(made, model_format, tmp_path):
    outputs = ("--out", str(tmp_path / "r.jsonl"), "--report", str(tmp_path / "p.html"))
    options = ("--heatmap", str(tmp_path / "maps"), "--heatmap-for", made.classes[-1])
    model = ("--model", str(made.file(model_format, "int8-static")), "--ood-threshold", "inf")
    found = CliRunner().invoke(infer_main, [str(made.tree / "Normal"), *model, *outputs, *options])
    assert found.exit_code == 0, found.output
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == len(list((tmp_path / "maps").glob(f"*.{made.classes[-1]}.heatmap.jpg"))) == 20
    assert all(list(row) == list(columns(made.classes)) for row in rows)
    assert sum(row["label"] == "Normal" for row in rows) >= 14
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert all(f"prob_{name}" in page.replace("\\u00e4", "\u00e4") for name in made.classes)


def test_files_are_verified_on_data_of_any_labels(made):
    """On the tree itself, in which a merged class has other names: images are known by their pixels."""
    arguments = ["verify", str(made.file("onnx")), "--data", str(made.tree)]
    found = CliRunner().invoke(export_main, arguments)
    assert found.exit_code == 0, found.output


def test_data_of_other_classes_is_refused_in_one_line(two_classes, five_classes, tmp_path):
    data = str(five_classes.run / "split.csv")
    found = CliRunner().invoke(
        export_main, [str(two_classes.keras), "--data", data, "--out", str(tmp_path / "out")]
    )
    assert (found.exit_code, found.stdout) == (2, "")
    (line,) = [one for one in found.stderr.splitlines() if "split.csv, image 1: unknown class" in one]
    assert line.endswith(f"expected one of {', '.join(TWO)}")
    assert not (tmp_path / "out").exists()


def test_a_benchmark_has_the_classes_of_its_models(made, tmp_path):
    from xray_infer.benchmarks.cli import main
    from xray_infer.benchmarks.results_file import read_results

    models = ("--models", str(made.keras), "--models", str(made.file("onnx", "int8-static")))
    arguments = ("accuracy", *models, "--data", str(made.run / "split.csv"), "--out", str(tmp_path / "bench"))
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code == 0, found.output
    assert "no source probe" in found.stderr
    results = read_results(tmp_path / "bench")
    assert results.classes == made.classes
    assert {np.shape(one.probabilities)[1] for one in results.answers} == {len(made.classes)}
    page = (tmp_path / "bench" / "results.md").read_text(encoding="utf-8")
    assert f"rows true, columns predicted, {', '.join(made.classes)}" in page.replace("\\", "")
    header = (tmp_path / "bench" / "results.csv").read_text(encoding="utf-8").splitlines()[0]
    assert all(f"{name}_recall" in header for name in made.classes)


def test_models_of_other_classes_are_not_measured_together(two_classes, five_classes):
    from xray_infer.benchmarks.model_rows import find_rows

    with pytest.raises(DataError, match=r"fp32\.onnx has the classes sick, Normal, .* measure them one at a"):
        find_rows([five_classes.keras, two_classes.file("onnx")])


@pytest.mark.parametrize("command", ["split", "inspect"])
def test_other_commands_take_the_choice_too(five_classes, tmp_path, command):
    options = ("--out", tmp_path / "new.csv") if command == "split" else ()
    found = run_train(command, five_classes.tree, *options, "--classes", MERGED)
    assert "images of no class in --classes, left out: 20 (Tuberkulose \u00e4 20)" in found.stderr
    assert found.exit_code in (0, 1)
    assert " sick " in found.stdout
    wrong = run_train(command, five_classes.tree, *options, "--classes", "covid,Normal")
    assert wrong.exit_code == 2
    assert f"no class 'covid', which --classes names; there are {', '.join(FIVE)}" in wrong.stderr

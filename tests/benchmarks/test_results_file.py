"""results.json and the pieces of a run: what is written is read, what is not ours is refused."""

import json
import zipfile
from dataclasses import replace

import pytest
from approved import approved
from click.testing import CliRunner
from specimens import example_manifest
from training_records import DAMAGES, example_record

from xray_infer.benchmarks.cli import main
from xray_infer.benchmarks.model_rows import baseline_of, find_rows, reference_of
from xray_infer.benchmarks.results_file import RESULTS_FILE, PartStore, read_results, write_results
from xray_infer.benchmarks.results_schema import SCHEMA, LimitRun, Machine, ModelFile, Results, RowKey
from xray_infer.errors import DataError, ModelError
from xray_infer.images.preprocess import Preprocessing
from xray_infer.model.runtimes import find_model
from xray_infer.study.training_record import write_training_record

SAYS = approved("xray-bench")

KEY = RowKey("fine_tuning", "onnx", "fp32", "onnxruntime")


def some_results() -> Results:
    return Results(
        schema=SCHEMA,
        command=["xray-bench"],
        started="2026-01-01T00:00:00+00:00",
        seconds=1.5,
        version="0",
        options={"rounds": 2},
        machine=Machine("cpu", ["avx2"], 2, [0, 1], None, 1.0, "Linux", None, "unavailable", 0.5, {}),
        gmac=2.87,
        models=[ModelFile(KEY, "a.onnx", "00", 12, 1.25, "")],
        limits=[LimitRun(0, 90.0, 130.5)],
    )


def test_results_are_read_as_they_were_written(tmp_path):
    write_results(tmp_path / RESULTS_FILE, some_results())
    assert read_results(tmp_path) == read_results(tmp_path / RESULTS_FILE) == some_results()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("not json", "is no results.json"),
        ("[]", "is no results.json"),
        (json.dumps({"schema": SCHEMA + 1}), "measure again"),
        (json.dumps({"schema": SCHEMA, "command": 3}), "is no results.json"),
    ],
)
def test_what_is_no_results_file_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message) as found:
        read_results(path)
    assert str(path) in str(found.value)


def test_a_finished_piece_is_not_measured_again(tmp_path):
    asked = []

    def measure() -> LimitRun:
        asked.append(1)
        return LimitRun(len(asked), 1.0, 2.0)

    first = PartStore(tmp_path, {"rounds": 2}).get("limit/0", LimitRun, measure)
    again = PartStore(tmp_path, {"rounds": 2}).get("limit/0", LimitRun, measure)
    assert first == again == LimitRun(1, 1.0, 2.0)
    assert len(asked) == 1


def test_a_folder_of_another_run_is_refused(tmp_path):
    PartStore(tmp_path, {"rounds": 2})
    with pytest.raises(DataError, match=SAYS["holds-a-run-of"]):
        PartStore(tmp_path, {"rounds": 3})


def test_a_failed_measurement_leaves_no_piece(tmp_path):
    def fail() -> LimitRun:
        raise RuntimeError("killed")

    parts = PartStore(tmp_path, {})
    with pytest.raises(RuntimeError):
        parts.get("limit", LimitRun, fail)
    assert parts.get("limit", LimitRun, lambda: LimitRun(0, 3.0, 4.0)).float32 == 3.0


def test_a_file_is_a_row_in_every_runtime_that_is_installed(tiny_onnx):
    rows = find_rows([tiny_onnx])
    assert [row.key.runtime for row in rows] == [
        one.name for one in find_model(tiny_onnx).runtimes() if one.installed()
    ]
    assert rows[0].model.sha256 == find_model(tiny_onnx).digest
    assert baseline_of(rows[-1].key, [row.key for row in rows]) == rows[0].key
    assert reference_of(rows[0].key, [row.key for row in rows]) is None


def test_two_files_of_one_row_are_refused(tiny_onnx, tmp_path):
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(tiny_onnx.read_bytes())
    with pytest.raises(DataError, match="give one of them"):
        find_rows([tiny_onnx, copy])


def test_a_keras_file_is_named_by_its_method(tmp_path):
    path = tmp_path / "mine.keras"
    path.write_bytes(b"")
    with pytest.raises(ModelError, match=r"feature_extraction\.keras"):
        find_rows([path])


def keras_file(path, side=96):
    """A file whose description says no more than its input."""
    layers = [{"class_name": "InputLayer", "config": {"batch_shape": [None, side, side, 1]}}]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "config.json", json.dumps({"class_name": "Functional", "config": {"layers": layers}})
        )
    return path


def test_a_keras_file_is_a_row_and_the_reference_of_its_method(tmp_path):
    path = keras_file(tmp_path / "fine_tuning.keras")
    record = example_record(temperature=0.5, data_sha256="ab")
    record = replace(record, facts=replace(record.facts, preprocessing_version=2))
    write_training_record(path.with_suffix(".json"), record)
    (row,) = find_rows([tmp_path])
    size = path.stat().st_size
    assert (row.model.temperature, row.model.data_digest, row.model.size_bytes) == (0.5, "ab", size)
    assert row.model.preprocessing == Preprocessing(2, 96)
    assert reference_of(KEY, [row.key, KEY]) == row.key


def test_a_trained_model_has_the_temperature_of_its_exported_files(tmp_path, make_tiny_onnx):
    """As `--evidence` gives them one that is not of the training record."""
    record = example_record(temperature=0.5, data_sha256="ab")
    write_training_record(tmp_path / "fine_tuning.json", record)
    keras_file(tmp_path / "fine_tuning.keras", side=224)
    for number, (temperature, data, expected) in enumerate(
        ((2.0, "ab", 2.0), (3.0, "cd", 2.0), (4.0, "ab", 0.5))
    ):
        manifest = example_manifest(
            temperature=temperature,
            training={"data_sha256": data},
            recipe=("fp32", "fp16", "int8-static")[number],
        )
        (tmp_path / f"{number}.onnx").write_bytes(make_tiny_onnx(manifest).read_bytes())
        rows = {row.key.format: row.model.temperature for row in find_rows([tmp_path])}
        assert rows["keras"] == expected


def test_without_a_record_a_keras_file_is_given_whole_pictures(tmp_path):
    (row,) = find_rows([keras_file(tmp_path / "fine_tuning.keras", side=64)])
    assert row.model.preprocessing == Preprocessing(1, 64)


@pytest.mark.parametrize("content", [b"weights", b""])
def test_a_file_that_does_not_describe_its_input_is_refused(tmp_path, content):
    path = tmp_path / "fine_tuning.keras"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=SAYS["is-no-trained-model"]):
        find_rows([path])
    with pytest.raises(ModelError, match=SAYS["its-input-is-pixels"]):
        find_rows([keras_file(path, side=100)])


def test_what_an_exported_file_is_given_is_in_its_manifest(make_tiny_onnx, tmp_path):
    path = make_tiny_onnx(example_manifest(preprocessing_version=2, input_shape=(64, 64, 1)))
    assert {row.model.preprocessing for row in find_rows([path])} == {Preprocessing(2, 64)}


@pytest.mark.parametrize(("reason", "damage"), DAMAGES.items(), ids=DAMAGES)
def test_a_damaged_training_record_is_one_line_of_the_command(tmp_path, reason, damage):
    path = tmp_path / "fine_tuning.keras"
    path.write_bytes(b"weights")
    write_training_record(path.with_suffix(".json"), example_record())
    damage(path.with_suffix(".json"))
    options = ["--models", path, "--data", tmp_path, "--out", tmp_path / "out"]
    result = CliRunner().invoke(main, [str(option) for option in options])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.startswith(f"xray-bench: {path.with_suffix('.json')}: {reason}")
    assert result.stderr.endswith(SAYS["train-this-method-again"])
    assert result.stderr.count("\n") == 1

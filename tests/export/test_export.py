"""xray-export on a small network of the real one's structure: contract, gate, refusals."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest
from approved import approved

pytest.importorskip("tensorflow")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")
pytest.importorskip("ai_edge_quantizer")

import keras
import onnx
import tensorflow as tf
from click.testing import CliRunner
from model_files import without_score
from onnx import numpy_helper
from tiny_densenet import METHOD, TEMPERATURE
from training_records import example_record

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError, ModelError, OutputError, ParityError
from xray_infer.export import exporter
from xray_infer.export.cli import main
from xray_infer.export.edge_graph import take_apart
from xray_infer.export.exporter import ExportConfig, export
from xray_infer.export.quantize_onnx import OnnxQuantizer
from xray_infer.export.recipes import RECIPES
from xray_infer.images.preprocess import STUDY
from xray_infer.model.json_records import to_json
from xray_infer.model.manifest import OUTPUT_NAMES, SCORE_NAME
from xray_infer.model.manifest_parts import Confidence
from xray_infer.model.runtimes import find_model
from xray_infer.study.datasets import read_dataset
from xray_infer.study.parity import TOLERANCES, check_parity
from xray_infer.study.temperature import at_temperature
from xray_infer.study.training_record import write_training_record

SAYS = approved("xray-export")

pytestmark = pytest.mark.tensorflow

FILES = sorted(f"{METHOD}-{recipe}.{model_format}" for model_format, recipe in RECIPES)


def _config(tiny_keras, out, **changes):
    config = ExportConfig(
        model=tiny_keras,
        data=tiny_keras.parent / "data",
        out=out,
        recipes=(("onnx", "fp32"),),
        calibration_images=12,
    )
    return dataclasses.replace(config, **changes)


def _export(config):
    return list(export(config, tool_versions={}, report=lambda line: None))


def test_the_command_writes_every_file_and_a_table(tiny_exports):
    out, result = tiny_exports
    assert sorted(path.name for path in out.iterdir()) == sorted([*FILES, f"{METHOD}.reference.npz"])
    header, *rows = result.stdout.splitlines()
    assert header.split()[:2] == ["file", "MB"]
    assert sorted(row.split()[0] for row in rows) == FILES
    assert "checking parity" in result.stderr


@pytest.mark.parametrize("name", FILES)
def test_a_file_runs_and_carries_its_certificate(tiny_exports, tiny_reference, name):
    session = find_model(tiny_exports[0] / name).open()
    output = session.run(tiny_reference.inputs[:5])
    assert output.probabilities.shape == (5, 3)
    assert output.cam.shape == (5, 7, 7, 3)
    assert output.probabilities.dtype == output.cam.dtype == np.float32
    manifest = session.manifest
    assert f"{METHOD}-{manifest.recipe}.{manifest.format}" == name
    assert manifest.name == f"densenet121-{METHOD}"
    assert manifest.training.record["method"] == METHOD
    assert manifest.temperature == TEMPERATURE
    assert output.ood_score.shape == (5,)
    assert manifest.ood_threshold > 0
    assert manifest.parity.result.agreement >= TOLERANCES[manifest.recipe].agreement
    assert manifest.parity.inputs_sha256 == tiny_reference.inputs_digest
    assert {"tensorflow", "keras", "onnx", "onnxruntime"} < manifest.tool_versions.keys()


@pytest.mark.parametrize("name", FILES)
def test_mean_of_the_map_and_bias_is_the_logit(tiny_exports, tiny_graph, tiny_reference, name):
    output = find_model(tiny_exports[0] / name).open().run(tiny_reference.inputs[:5])
    logits = output.cam.mean(axis=(1, 2)) + tiny_graph.network.bias
    tolerance = 1e-3 if "fp16" in name else 1e-5  # fp16 rounds the bias as well
    np.testing.assert_allclose(tf.nn.softmax(logits / TEMPERATURE), output.probabilities, atol=tolerance)


@pytest.mark.parametrize("name", [name for name in FILES if "fp32" in name])
def test_float_files_equal_the_model(tiny_exports, tiny_reference, name):
    output = find_model(tiny_exports[0] / name).open().run(tiny_reference.inputs)
    np.testing.assert_allclose(output.probabilities, tiny_reference.probabilities, atol=1e-5)
    np.testing.assert_allclose(output.cam, tiny_reference.cam, atol=1e-4, rtol=1e-5)


def test_the_map_is_grad_cam_before_its_relu(tiny_exports, tiny_graph, tiny_reference):
    images = tiny_reference.inputs[:4]
    *_, pooling, dense = tiny_graph.classifier.layers
    features = tf.constant(tiny_graph.features(images, training=False))
    maps = []
    for label in range(len(CLASS_NAMES)):
        with tf.GradientTape() as tape:
            tape.watch(features)
            logit = (pooling(features) @ dense.kernel + dense.bias)[:, label]
        weights = tf.reduce_mean(tape.gradient(logit, features), axis=(1, 2), keepdims=True)
        maps.append(tf.reduce_sum(weights * features, axis=-1))
    cam = find_model(tiny_exports[0] / f"{METHOD}-fp32.onnx").open().run(images).cam
    np.testing.assert_allclose(cam / 49, tf.stack(maps, axis=-1), atol=1e-5)


def test_the_onnx_graph_is_lean(tiny_exports):
    model = onnx.load(tiny_exports[0] / f"{METHOD}-fp32.onnx")
    kinds = [node.op_type for node in model.graph.node]
    score = [node.op_type for node in model.graph.node if node.name.startswith(SCORE_NAME)]
    assert len(score) == 12
    assert kinds.count("Transpose") == 1  # of the map, at the end
    assert kinds.count("Conv") == 21  # stem, 4 layers and 2 transitions of 3, last normalisation, head
    assert set(kinds) == {
        *("Reshape", "Pad", "Cast", "Sub", "Conv", "Relu", "MaxPool", "Concat"),
        *("Transpose", "GlobalAveragePool", "Add", "Div", "Softmax"),
        *("AveragePool", "Flatten", "MatMul", "Mul", "ReduceSum"),  # of the score
    }
    stem = next(node for node in model.graph.node if node.op_type == "Conv")
    kernel = next(tensor for tensor in model.graph.initializer if tensor.name == stem.input[1])
    assert list(kernel.dims) == [8, 2, 7, 7]  # one plane of gray, one of ones
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == [*OUTPUT_NAMES, SCORE_NAME]


def _with_kernel(convolution, order, ones=1.0):
    kernel = convolution.kernel[..., order].copy()
    if ones != 1.0:
        kernel[:, :, 1] *= ones
    return dataclasses.replace(convolution, kernel=kernel)


@pytest.mark.parametrize(
    ("model_format", "fault"),
    [
        ("onnx", lambda network: {"head": _with_kernel(network.head, [1, 0, 2])}),
        ("onnx", lambda network: {"stem": _with_kernel(network.stem, slice(None), ones=0.0)}),
        ("tflite", lambda network: {"centre": network.centre + 1}),
    ],
    ids=["class-order", "no-mean", "wrong-mean"],
)
def test_the_gate_catches_a_fault_and_leaves_no_file(tiny_keras, tmp_path, monkeypatch, model_format, fault):
    def faulty(classifier, **options):
        graph = take_apart(classifier, **options)
        return dataclasses.replace(graph, network=dataclasses.replace(graph.network, **fault(graph.network)))

    monkeypatch.setattr(exporter, "take_apart", faulty)
    with pytest.raises(ParityError, match=SAYS["tiny-fp-on-test"]):
        _export(_config(tiny_keras, tmp_path, recipes=((model_format, "fp32"),)))
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.reference.npz"]


def test_the_gate_catches_a_broken_scale_and_says_what_was_tried(
    tiny_keras, tiny_exports, tiny_reference, tmp_path, monkeypatch
):
    path = tmp_path / f"{METHOD}-int8-static.onnx"
    model = onnx.load(tiny_exports[0] / path.name)
    names = {node.input[1] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    scales = [tensor for tensor in model.graph.initializer if tensor.name in names]
    assert scales
    for tensor in scales[:3]:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 8, tensor.name))
    onnx.save(model, path)
    with pytest.raises(ParityError, match=SAYS["on-test-images-is"]):
        check_parity(path, tiny_reference, recipe="int8-static", name=path.name)

    def broken(self, *arguments, **options):
        return without_score(path)

    monkeypatch.setattr(OnnxQuantizer, "quantize", broken)
    config = _config(
        tiny_keras,
        tmp_path / "out",
        recipes=(("onnx", "int8-static"),),
        calibrations=("minmax",),
        mixed=False,
    )
    with pytest.raises(ParityError, match=SAYS["tried-with-agreement-on"]):
        _export(config)
    assert not (tmp_path / "out" / path.name).exists()


def _graph_bytes(path):
    """Return a file without its manifest, which names the tools' versions."""
    if path.suffix == ".tflite":
        with zipfile.ZipFile(path) as archive:
            return path.read_bytes()[: min(one.header_offset for one in archive.infolist())]
    model = onnx.load(path)
    del model.metadata_props[:]
    return model.SerializeToString(deterministic=True)


def test_the_same_model_and_data_give_the_same_file(tiny_keras, tiny_exports, tmp_path):
    wanted = (("onnx", "int8-static"), ("tflite", "int8-static"))
    again = _export(_config(tiny_keras, tmp_path, recipes=wanted))
    for one in again:
        first = find_model(tiny_exports[0] / one.path.name).open().manifest
        second = find_model(one.path).open().manifest
        assert first.quantization == second.quantization
        assert first.parity.reference_sha256 == second.parity.reference_sha256
        assert dataclasses.replace(first, tool_versions={}) == second
        assert _graph_bytes(tiny_exports[0] / one.path.name) == _graph_bytes(one.path)
    assert (tmp_path / f"{METHOD}.reference.npz").read_bytes() == (
        tiny_exports[0] / f"{METHOD}.reference.npz"
    ).read_bytes()


def test_the_gate_judges_the_file_it_is_given(tiny_exports, tiny_reference):
    path = tiny_exports[0] / f"{METHOD}-int8-static.onnx"
    with pytest.raises(ParityError, match=SAYS["is-at-least-is"]):
        check_parity(path, tiny_reference, recipe="fp32", name=path.name)
    altered = dataclasses.replace(tiny_reference, cam=tiny_reference.cam[..., ::-1])
    with pytest.raises(ParityError, match="cam_correlation is"):
        check_parity(path, altered, recipe="int8-static", name=path.name)


def _nested():
    base = keras.Sequential([keras.Input((224, 224, 1)), keras.layers.Conv2D(4, 3)])
    image = keras.Input(STUDY.shape, dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D()(base(keras.layers.Rescaling(1 / 255)(image)))
    return keras.Model(image, keras.layers.Dense(3, activation="softmax")(pooled))


def _flattened():
    image = keras.Input(STUDY.shape, dtype="uint8")
    values = keras.layers.Flatten()(keras.layers.AveragePooling2D(32)(keras.layers.Rescaling(1 / 255)(image)))
    return keras.Model(image, keras.layers.Dense(3, activation="softmax")(values))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (_nested, "nested as layer"),
        (_flattened, "follows Flatten, expected GlobalAveragePooling2D"),
    ],
)
def test_other_structures_are_refused(tmp_path, build, reason):
    with pytest.raises(ModelError, match=reason):
        take_apart(build(), path=tmp_path / "other.keras")


def _evidence(path, model, found, /, **changes):
    """Write evidence of a network that was trained as the model was."""
    record = json.loads(model.with_suffix(".json").read_text())
    stored = {
        "data_sha256": record["data_sha256"],
        "preprocessing": dataclasses.asdict(STUDY),
        "folds": {"a": {METHOD: record}},
        "confidence": {METHOD: to_json(found)},
    }
    path.write_text(json.dumps({**stored, **changes}))
    return path


def test_confidence_is_that_of_the_domains_left_out(tiny_keras, tiny_exports, tiny_reference, tmp_path):
    """Labels are those of the file without it, and probabilities flatter by the ratio of the temperatures."""
    confidence = Confidence(3.0, 0.8, 0.85, 0.75, 0.05, 60, ("a", "b"), limit=0.55)
    evidence = _evidence(tmp_path / "evidence.json", tiny_keras, confidence)
    (file,) = _export(_config(tiny_keras, tmp_path / "out", evidence=evidence))
    session = find_model(file.path).open()
    manifest = session.manifest
    assert (manifest.temperature, manifest.confidence) == (3.0, confidence)
    assert manifest.thresholds.keys() == {SCORE_NAME, "confidence"}
    assert manifest.min_confidence == 0.55
    assert manifest.training.temperature == TEMPERATURE  # what was fitted on validation images
    images = tiny_reference.inputs[tiny_reference.real]
    before = find_model(tiny_exports[0] / f"{METHOD}-fp32.onnx").open().run(images).probabilities
    found = session.run(images).probabilities
    assert np.array_equal(found.argmax(axis=1), before.argmax(axis=1))
    assert found == pytest.approx(at_temperature(before, 3.0 / TEMPERATURE), abs=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_sha256": "0" * 64}, "differ from the model in data$"),
        ({"preprocessing": {"version": 2, "side": 224}}, "differ from the model in inputs$"),
        ({"folds": {"a": {METHOD: {"region": "border"}}}}, "differ from the model in region, schedule$"),
        ({"folds": {}}, "the evidence is damaged"),
        ({"confidence": {}}, f"no domain was left out for {METHOD}"),
    ],
)
def test_evidence_of_other_networks_is_refused(tiny_keras, tmp_path, change, message):
    confidence = Confidence(3.0, 0.8, 0.85, 0.75, 0.05, 60, ("a", "b"))
    evidence = _evidence(tmp_path / "evidence.json", tiny_keras, confidence, **change)
    with pytest.raises(DataError, match=message):
        _export(_config(tiny_keras, tmp_path / "other", evidence=evidence))
    assert not (tmp_path / "other").exists()


def test_missing_files_and_other_data_are_refused(tiny_keras, tmp_path):
    alone = tmp_path / "alone.keras"
    alone.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=SAYS["alone-json-cannot-read"]):
        _export(_config(alone, tmp_path / "out"))
    digest = read_dataset(tiny_keras.parent / "data").digest
    write_training_record(alone.with_suffix(".json"), example_record(data_sha256=digest))
    with pytest.raises(ModelError, match=SAYS["alone-keras-keras-cannot"]):
        _export(_config(tiny_keras, tmp_path / "out", model=alone))
    write_training_record(alone.with_suffix(".json"), example_record(data_sha256="0" * 64))
    with pytest.raises(DataError, match=SAYS["not-the-data-that"]):
        _export(_config(tiny_keras, tmp_path / "out", model=alone))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_refused_before_the_work(tiny_keras, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match=SAYS["out-cannot-make-the"]):
        _export(_config(tiny_keras, tmp_path / "out"))


def test_an_error_is_one_line_and_exit_status_2(tiny_keras, tmp_path):
    arguments = ["--format", "onnx", "--quantize", "int4", "--data", "data", "--out", str(tmp_path)]
    result = CliRunner().invoke(main, [str(tiny_keras), *arguments])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("xray-export: onnx: no recipe")
    assert result.stderr.count("\n") == 1

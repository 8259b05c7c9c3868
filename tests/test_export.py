"""xray-export on a small network of the real one's structure: contract, parity, faults, refusals."""

import dataclasses
import json

import cv2
import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")

import keras
import onnx
import tensorflow as tf
from click.testing import CliRunner

from xray_infer.classes import CLASS_NAMES
from xray_infer.datasets import read_dataset, read_images
from xray_infer.errors import DataError, ModelError, OutputError, ParityError
from xray_infer.export import exporter
from xray_infer.export.calibration import balanced_sample, calibration_images, gate_images
from xray_infer.export.cli import main
from xray_infer.export.edge_graph import load_classifier, take_apart
from xray_infer.export.exporter import ExportConfig, export
from xray_infer.export.parity import TOLERANCES, check_parity
from xray_infer.export.recipes import RECIPES, choose
from xray_infer.export.reference import make_reference
from xray_infer.manifest import OUTPUT_NAMES
from xray_infer.preprocess import IMAGENET_MEAN, IMAGENET_STD, INPUT_SHAPE
from xray_infer.runtimes import find_model
from xray_infer.train.data.splits import random_split, write_manifest

pytestmark = pytest.mark.tensorflow

METHOD = "tiny"
TEMPERATURE = 1.7
FILES = sorted(f"{METHOD}-{recipe}.{model_format}" for model_format, recipe in RECIPES)


def _block(values, width):
    """Pre-activation, bottleneck, growth and concatenation, as in DenseNet."""
    new = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(values))
    new = keras.layers.Conv2D(2 * width, 1, use_bias=False)(new)
    new = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(new))
    new = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(new)
    return keras.layers.Concatenate()([values, new])


def _network(outputs=3):
    image = keras.Input(INPUT_SHAPE, dtype="uint8", name="image")
    values = keras.layers.Rescaling(1 / 255)(image)
    values = keras.layers.RandomFlip("horizontal", seed=0)(values)
    values = keras.layers.RandomRotation(0.03, seed=1)(values)
    values = keras.layers.RandomContrast(0.2, value_range=(0, 1), seed=2)(values)
    values = keras.layers.Concatenate()([values, values, values])
    variance = [deviation**2 for deviation in IMAGENET_STD]
    values = keras.layers.Normalization(mean=IMAGENET_MEAN, variance=variance)(values)
    values = keras.layers.ZeroPadding2D(3)(values)
    values = keras.layers.Conv2D(8, 7, strides=4, use_bias=False)(values)
    values = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(values))
    values = keras.layers.MaxPooling2D(2)(values)
    for _ in range(2):
        values = _block(values, 4)
        values = keras.layers.AveragePooling2D(2)(values)
    values = _block(values, 4)
    values = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(values))
    pooled = keras.layers.GlobalAveragePooling2D()(values)
    return keras.Model(image, keras.layers.Dense(outputs, activation="softmax")(pooled))


def _write_images(folder):
    """Three classes that a small network can tell apart: dark, bright, striped. Thirty images each."""
    generator = np.random.default_rng(0)
    stripes = np.where(np.arange(224) // 16 % 2, 200, 40)
    for name, level in zip(CLASS_NAMES, (60, 190, stripes), strict=True):
        (folder / name).mkdir(parents=True)
        for index in range(30):
            noise = generator.normal(generator.uniform(-20, 20), 25, (224, 224))
            pixels = np.clip(level + noise, 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / name / f"{index}.png"), pixels)


def _fit(model, images, labels):
    """Give BatchNorm statistics of its own inputs and the head a least-squares solution."""
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            inputs = np.asarray(keras.Model(model.input, layer.input)(images))
            gamma = generator.uniform(0.5, 1.5, inputs.shape[-1])
            beta = generator.uniform(-0.2, 0.5, inputs.shape[-1])
            layer.set_weights([gamma, beta, inputs.mean((0, 1, 2)), inputs.var((0, 1, 2)) + 1e-3])
    pooled = np.asarray(keras.Model(model.input, model.layers[-1].input)(images))
    design = np.column_stack([pooled, np.ones(len(pooled))])
    solution, *_ = np.linalg.lstsq(design, 6.0 * np.eye(len(CLASS_NAMES))[labels], rcond=1e-3)
    model.layers[-1].set_weights([solution[:-1], solution[-1]])


@pytest.fixture(scope="session")
def model_path(tmp_path_factory):
    """A fitted network with its training record; the data are in the folder `data` beside it."""
    folder = tmp_path_factory.mktemp("export")
    _write_images(folder / "data")
    write_manifest(random_split(read_images(folder / "data"), seed=0), folder / "data" / "manifest.csv")
    dataset = read_dataset(folder / "data")
    train = dataset.split("train")
    keras.utils.set_random_seed(0)
    model = _network()
    _fit(
        model,
        np.stack(list(calibration_images(dataset, count=len(train), seed=0)))[:48],
        [image.label for image in balanced_sample(train, count=48, seed=0)],
    )
    path = folder / f"{METHOD}.keras"
    model.save(path)
    record = {
        "method": METHOD,
        "data_sha256": dataset.digest,
        "temperature": TEMPERATURE,
        "thresholds": {"ood_score_p99": 2.5},
    }
    path.with_suffix(".json").write_text(json.dumps(record))
    return path


def _config(model_path, out, **changes):
    config = ExportConfig(
        model=model_path,
        data=model_path.parent / "data",
        out=out,
        wanted=(("onnx", "fp32"),),
        calibration_images=12,
        gate_images=18,
    )
    return dataclasses.replace(config, **changes)


def _export(config):
    return list(export(config, tool_versions={}, report=lambda line: None))


@pytest.fixture(scope="session")
def graph(model_path):
    """The network taken apart."""
    return take_apart(load_classifier(model_path), path=model_path, temperature=TEMPERATURE)


@pytest.fixture(scope="session")
def reference(model_path, graph):
    """The Keras model's answers on held-out images and made-up inputs."""
    images = gate_images(read_dataset(model_path.parent / "data"), count=18, seed=0)
    return make_reference(graph, images, seed=0)


@pytest.fixture(scope="session")
def exported(model_path, tmp_path_factory):
    """Every recipe of every format, by the command itself: (folder, result)."""
    out = tmp_path_factory.mktemp("exported") / "new"
    data = model_path.parent / "data"
    recipes = ",".join(dict.fromkeys(recipe for _, recipe in RECIPES))
    arguments = ["--quantize", recipes, "--data", data, "--out", out, "--calibration-images", 12]
    result = CliRunner().invoke(main, [str(argument) for argument in (model_path, *arguments)])
    assert result.exit_code == 0, result.output
    return out, result


def test_the_command_writes_every_file_and_a_table(exported):
    out, result = exported
    assert sorted(path.name for path in out.iterdir()) == FILES
    header, *rows = result.stdout.splitlines()
    assert header.split()[:2] == ["file", "MB"]
    assert sorted(row.split()[0] for row in rows) == FILES
    assert "checking parity" in result.stderr


@pytest.mark.parametrize("name", FILES)
def test_a_file_runs_and_carries_its_certificate(exported, reference, name):
    session = find_model(exported[0] / name).open()
    output = session.run(reference.inputs[:5])
    assert output.probabilities.shape == (5, 3)
    assert output.cam.shape == (5, 7, 7, 3)
    assert output.probabilities.dtype == output.cam.dtype == np.float32
    manifest = session.manifest
    assert f"{METHOD}-{manifest.recipe}.{manifest.format}" == name
    assert manifest.name == f"densenet121-{METHOD}"
    assert manifest.training["method"] == METHOD
    assert (manifest.temperature, manifest.thresholds) == (TEMPERATURE, {"ood_score_p99": 2.5})
    assert manifest.parity["agreement"] >= TOLERANCES[manifest.recipe].agreement
    assert manifest.parity["inputs_sha256"] == reference.digests()["inputs_sha256"]
    assert {"tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime"} < manifest.tool_versions.keys()


@pytest.mark.parametrize("name", FILES)
def test_mean_of_the_map_and_bias_is_the_logit(exported, graph, reference, name):
    output = find_model(exported[0] / name).open().run(reference.inputs[:5])
    logits = output.cam.mean(axis=(1, 2)) + graph.bias
    tolerance = 1e-3 if "fp16" in name else 1e-5  # fp16 rounds the bias as well
    np.testing.assert_allclose(tf.nn.softmax(logits / TEMPERATURE), output.probabilities, atol=tolerance)


@pytest.mark.parametrize("name", [name for name in FILES if "fp32" in name])
def test_float_files_equal_the_model(exported, reference, name):
    output = find_model(exported[0] / name).open().run(reference.inputs)
    np.testing.assert_allclose(output.probabilities, reference.probabilities, atol=1e-5)
    np.testing.assert_allclose(output.cam, reference.cam, atol=1e-4)


def test_the_map_is_grad_cam_before_its_relu(exported, graph, reference):
    images = reference.inputs[:4]
    *_, pooling, dense = graph.classifier.layers
    features = tf.constant(graph.features(images, training=False))
    maps = []
    for label in range(len(CLASS_NAMES)):
        with tf.GradientTape() as tape:
            tape.watch(features)
            logit = (pooling(features) @ dense.kernel + dense.bias)[:, label]
        weights = tf.reduce_mean(tape.gradient(logit, features), axis=(1, 2), keepdims=True)
        maps.append(tf.reduce_sum(weights * features, axis=-1))
    cam = find_model(exported[0] / f"{METHOD}-fp32.onnx").open().run(images).cam
    np.testing.assert_allclose(cam / 49, tf.stack(maps, axis=-1), atol=1e-5)


def test_the_onnx_graph_is_lean(exported):
    model = onnx.load(exported[0] / f"{METHOD}-fp32.onnx")
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Transpose") == 1  # of the map, at the end
    assert kinds.count("BatchNormalization") == 4
    assert kinds.count("Mul") + kinds.count("Div") == 2  # the normalisation; the temperature
    assert kinds.count("Add") == 2  # the normalisation; the bias
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == list(OUTPUT_NAMES)


def test_int8_keeps_the_ends_in_float(exported):
    model = onnx.load(exported[0] / f"{METHOD}-int8-static.onnx")
    makers = {node.output[0]: node.op_type for node in model.graph.node}
    quantized = [
        makers.get(node.input[0]) == "DequantizeLinear" for node in model.graph.node if node.op_type == "Conv"
    ]
    assert [quantized[0], quantized[-1]] == [False, False]
    assert all(quantized[1:-1])


@pytest.mark.parametrize(
    ("model_format", "fault"),
    [
        ("onnx", lambda graph: {"kernel": graph.kernel[:, [1, 0, 2]]}),
        ("onnx", lambda graph: {"pixel_offset": np.zeros_like(graph.pixel_offset)}),
        ("tflite", lambda graph: {"pixel_offset": graph.pixel_offset * 1.01}),
    ],
    ids=["class-order", "no-mean", "wrong-mean"],
)
def test_the_gate_catches_a_fault_and_leaves_no_file(model_path, tmp_path, monkeypatch, model_format, fault):
    def faulty(classifier, **options):
        graph = take_apart(classifier, **options)
        return dataclasses.replace(graph, **fault(graph))

    monkeypatch.setattr(exporter, "take_apart", faulty)
    with pytest.raises(ParityError, match=r"^tiny-fp32\.\w+: on held-out images, \w+ is .* \w+$"):
        _export(_config(model_path, tmp_path, wanted=((model_format, "fp32"),)))
    assert list(tmp_path.iterdir()) == []


def test_the_gate_judges_the_file_it_is_given(exported, reference):
    path = exported[0] / f"{METHOD}-int8-static.onnx"
    with pytest.raises(ParityError, match=r"is 0\.\d+, at least 0\.9999 is needed"):
        check_parity(path, reference, recipe="fp32", name=path.name)
    altered = dataclasses.replace(reference, cam=reference.cam[..., ::-1])
    with pytest.raises(ParityError, match="cam_correlation is"):
        check_parity(path, altered, recipe="int8-static", name=path.name)


def _nested():
    base = keras.Sequential([keras.Input((224, 224, 1)), keras.layers.Conv2D(4, 3)])
    image = keras.Input(INPUT_SHAPE, dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D()(base(keras.layers.Rescaling(1 / 255)(image)))
    return keras.Model(image, keras.layers.Dense(3, activation="softmax")(pooled))


def _flattened():
    image = keras.Input(INPUT_SHAPE, dtype="uint8")
    values = keras.layers.Flatten()(keras.layers.AveragePooling2D(32)(keras.layers.Rescaling(1 / 255)(image)))
    return keras.Model(image, keras.layers.Dense(3, activation="softmax")(values))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (_nested, "nested as layer"),
        (lambda: _network(outputs=4), "4 outputs, expected 3"),
        (_flattened, "follows Flatten, expected GlobalAveragePooling2D"),
    ],
)
def test_other_structures_are_refused(tmp_path, build, reason):
    with pytest.raises(ModelError, match=reason):
        take_apart(build(), path=tmp_path / "other.keras")


def test_missing_files_and_other_data_are_refused(model_path, tmp_path):
    alone = tmp_path / "alone.keras"
    alone.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"alone\.json: cannot read the training record: No such file"):
        _export(_config(alone, tmp_path / "out"))
    digest = read_dataset(model_path.parent / "data").digest
    alone.with_suffix(".json").write_text(json.dumps({"data_sha256": digest}))
    with pytest.raises(ModelError, match=r"alone\.keras: Keras cannot load this file"):
        _export(_config(model_path, tmp_path / "out", model=alone))
    alone.with_suffix(".json").write_text(json.dumps({"data_sha256": "0" * 64}))
    with pytest.raises(DataError, match=r"not the data that .* was trained on"):
        _export(_config(model_path, tmp_path / "out", model=alone))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_refused_before_the_work(model_path, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="out: cannot make the folder: File exists"):
        _export(_config(model_path, tmp_path / "out"))


def test_recipes_are_chosen_by_format():
    assert choose("all", "fp32,int8,int8-static") == (
        ("onnx", "fp32"),
        ("tflite", "fp32"),
        ("onnx", "int8-static"),
        ("tflite", "int8-static"),
    )
    assert choose("all", "fp16") == (("tflite", "fp16"),)
    with pytest.raises(ModelError, match="onnx: no recipe 'fp16'; there are fp32, int8-static"):
        choose("onnx", "fp16")
    assert {recipe for _, recipe in RECIPES} == TOLERANCES.keys()


def test_an_error_is_one_line_and_exit_status_2(model_path, tmp_path):
    arguments = ["--format", "onnx", "--quantize", "fp16", "--data", "data", "--out", str(tmp_path)]
    result = CliRunner().invoke(main, [str(model_path), *arguments])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("xray-export: onnx: no recipe")
    assert result.stderr.count("\n") == 1


def test_calibration_and_gate_share_no_image(model_path):
    dataset = read_dataset(model_path.parent / "data")
    calibration = calibration_images(dataset, count=12, seed=0).images
    gate = gate_images(dataset, count=100, seed=0).images
    assert [image.label for image in calibration] == [0, 1, 2] * 4
    assert {image.split for image in calibration} == {"train"}
    assert {image.split for image in gate} == {"val", "test"}

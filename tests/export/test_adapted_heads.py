"""Another head in exported files of every recipe and format, and `xray-train adapt` on them."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")
pytest.importorskip("ai_edge_quantizer")

from click.testing import CliRunner
from tiny_densenet import METHOD

from xray_infer.errors import ModelError
from xray_infer.export.cli import main as export
from xray_infer.export.recipes import RECIPES
from xray_infer.model.embedding import READERS
from xray_infer.model.runtimes import find_model
from xray_infer.study.metrics import softmax
from xray_infer.study.parity import sessions
from xray_infer.train.adapt.head_file import open_head
from xray_infer.train.adapt.regression import Linear
from xray_infer.train.cli import main as train

pytestmark = pytest.mark.tensorflow

FILES = sorted(f"{METHOD}-{recipe}.{model_format}" for model_format, recipe in RECIPES)
# What is lost by rounding the head itself.
LARGEST_ERROR = {"fp16": 2e-3}


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(0).integers(0, 256, (3, 224, 224, 1)).astype(np.uint8)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("name", FILES)
def test_a_head_of_any_recipe_can_be_replaced(tiny_exports, tmp_path, inputs, name, classes):
    parent = tiny_exports[0] / name
    model = find_model(parent)
    manifest = READERS[model.format](parent)
    rng = np.random.default_rng(classes)
    head = open_head(parent.read_bytes(), model.format)
    maps = head.open_maps()
    read = np.stack([maps(one) for one in inputs])
    new = Linear(rng.normal(0, 0.5, (read.shape[-1], classes)), rng.normal(0, 1, classes))
    names = tuple(f"class {number}" for number in range(classes))
    draft = replace(manifest, class_names=names, temperature=1.5, parity=None)
    path = tmp_path / name
    path.write_bytes(head.embed(head.with_head(new, 1.5), draft))
    before = {runtime: session.run(inputs) for runtime, session in sessions(model, manifest.recipe)}
    most = LARGEST_ERROR.get(manifest.recipe, 2e-5)
    for runtime, session in sessions(find_model(path), manifest.recipe):
        answer = session.run(inputs)
        assert answer.probabilities.shape == (3, classes)
        # The very features of this runtime: nothing before the head has changed, to the bit.
        assert np.array_equal(answer.features, before[runtime].features)
        assert np.array_equal(answer.ood_score, before[runtime].ood_score)
        expected = softmax(new.logits(answer.features), 1.5)
        assert np.abs(answer.probabilities - expected).max() < most, runtime
        mean = answer.cam.astype(np.float64).mean(axis=(1, 2)) + new.bias
        assert np.abs(softmax(mean, 1.5) - expected).max() < most, runtime
    first = find_model(path).open().run(inputs)
    assert np.abs(read.mean(axis=(1, 2)) - first.features).max() < 1e-4
    assert np.abs(first.cam - read @ new.weights).max() < 50 * most


@pytest.mark.parametrize(
    "name", [f"{METHOD}-int8-static.onnx", f"{METHOD}-int8-static.tflite", f"{METHOD}-fp16.tflite"]
)
def test_the_command_and_the_gate(tiny_exports, tiny_keras, tmp_path, name):
    parent, data = tiny_exports[0] / name, tiny_keras.parent / "data"
    out = tmp_path / f"clinic{parent.suffix}"
    options = ["--classes", "dark=covid,other=pneumonia+normal", "--model", parent, "--out", out]
    result = CliRunner().invoke(train, [str(one) for one in ("adapt", data, *options)])
    assert result.exit_code == 0, result.output
    manifest = READERS[find_model(out).format](out)
    assert manifest.class_names == ("dark", "other")
    assert manifest.parity.images == 24
    assert len({manifest.parity.runtime, *manifest.parity.other_runtimes}) == 2
    verified = CliRunner().invoke(export, ["verify", str(out), "--data", str(data)])
    assert verified.exit_code == 0, verified.output


def test_a_file_without_such_a_head_is_refused(float_onnx, tmp_path):
    with pytest.raises(
        ModelError, match="the head of this file cannot be replaced: probabilities is not made by Softmax"
    ):
        open_head(float_onnx.read_bytes(), "onnx")

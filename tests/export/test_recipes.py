"""The recipes: what is quantised, by which ranges and which images, and how they are chosen by name."""

import dataclasses
import json
import shutil
from importlib import resources

import numpy as np
import pytest
from approved import approved

pytest.importorskip("tensorflow")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")
pytest.importorskip("ai_edge_quantizer")

import onnx
from ai_edge_litert.interpreter import Interpreter
from click.testing import CliRunner
from tiny_densenet import METHOD

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError, ModelError
from xray_infer.export.calibration import balanced_sample, draw, draw_from
from xray_infer.export.cli import main
from xray_infer.export.int8_network import for_int8
from xray_infer.export.ranges import CALIBRATORS, UNIT, collect_ranges, collect_statistics
from xray_infer.export.recipes import CALIBRATIONS, RECIPES, choose
from xray_infer.model.runtimes import find_model
from xray_infer.study.datasets import LabelledImage, read_dataset
from xray_infer.study.parity import TOLERANCES

SAYS = approved("xray-export")

pytestmark = pytest.mark.tensorflow

FILES = sorted(f"{METHOD}-{recipe}.{model_format}" for model_format, recipe in RECIPES)


def _quantized_onnx(path):
    """Which convolutions of a file have integers for weights, in order."""
    graph = onnx.load(path).graph
    makers = {node.output[0]: node.op_type for node in graph.node}
    found = [node for node in graph.node if node.op_type == "Conv"]
    return [makers.get(node.input[1]) == "DequantizeLinear" for node in found]


def _quantized_tflite(path):
    interpreter = Interpreter(model_path=str(path), experimental_preserve_all_tensors=True)
    types = {one["index"]: one["dtype"] for one in interpreter.get_tensor_details()}
    found = [one for one in interpreter._get_ops_details() if one["op_name"].endswith("CONV_2D")]
    return [types[one["inputs"][0]] == np.int8 for one in found]


@pytest.mark.parametrize(("model_format", "read"), [("onnx", _quantized_onnx), ("tflite", _quantized_tflite)])
def test_int8_is_what_the_manifest_says(tiny_exports, tiny_graph, model_format, read):
    path = tiny_exports[0] / f"{METHOD}-int8-static.{model_format}"
    record = find_model(path).open().manifest.quantization
    chosen = record.chosen
    quantized = read(path)
    # In TFLite what is depthwise stays in float.
    expected = [
        number not in chosen.in_float and not (convolution.depthwise and model_format == "tflite")
        for number, unit in enumerate(tiny_graph.network.units())
        for convolution in unit
    ]
    assert quantized == [*expected, False, False]  # the last normalisation, the head
    assert chosen.calibration in CALIBRATIONS
    assert [one.calibration for one in record.tried if not one.in_float] or chosen.in_float == ()
    assert (record.calibration_images, record.choice_images) == (12, 9)
    assert "layers in float" in tiny_exports[1].stdout


def test_every_calibration_gives_ranges_that_hold_the_values(tiny_keras, tiny_graph):
    images = draw(read_dataset(tiny_keras.parent / "data"), "train", count=6, seed=0)
    network = for_int8(tiny_graph.network, collect_statistics(tiny_graph.network, images)).exact
    found = {method: collect_ranges(network, images, method) for method in CALIBRATIONS}
    assert CALIBRATORS.keys() == found.keys()
    for method, ranges in found.items():
        assert len(ranges.outputs) == sum(len(unit) for unit in network.units()) == 19
        assert ranges.outputs[0] == ranges.outputs[3] == UNIT  # the stem and the first growth are equalised
        assert ranges.outputs[4] == ranges.outputs[5]  # an average keeps its range
        for (low, high), (lowest, highest) in zip(
            ranges.outputs,
            found["minmax"].outputs,
            strict=True,
        ):
            margin = 0.01 * (highest - lowest)  # a histogram's bins
            assert lowest - margin <= low < high <= highest + margin, method


def test_an_answer_does_not_depend_on_its_company(tiny_exports, tiny_reference):
    session = find_model(tiny_exports[0] / f"{METHOD}-int8-dynamic.onnx").open()
    together, alone = session.run(tiny_reference.inputs[:4]), session.run(tiny_reference.inputs[2:3])
    np.testing.assert_array_equal(together.probabilities[2:3], alone.probabilities)


def test_the_list_of_recipes(tiny_exports):
    result = CliRunner().invoke(main, ["--list-recipes"])
    assert result.exit_code == 0
    starts = [" ".join(line[:22].split()) for line in result.stdout.splitlines() if line[:1] != " "]
    assert starts[: len(RECIPES)] == [" ".join(key) for key in RECIPES]
    measured = json.loads(resources.files("xray_infer.export").joinpath("measured.json").read_text())
    assert {(row["format"], row["recipe"]) for row in measured["recipes"]} <= RECIPES.keys()
    text = " ".join(result.stdout.split())
    assert text.count("Measured: ") == len(measured["recipes"]) + 1
    assert f"{measured['images']} test images" in text


def test_recipes_are_chosen_by_format():
    assert choose("all", "fp32,int8,int8-static") == (
        ("onnx", "fp32"),
        ("tflite", "fp32"),
        ("onnx", "int8-static"),
        ("tflite", "int8-static"),
    )
    assert choose("all", "int8x16") == (("tflite", "int8x16"),)
    assert choose("all", "all") == tuple(RECIPES)
    with pytest.raises(ModelError, match=SAYS["onnx-no-recipe-int"]):
        choose("onnx", "int8x16")
    assert {recipe for _, recipe in RECIPES} == TOLERANCES.keys()


def test_calibration_choice_and_gate_are_of_different_splits(tiny_keras, tmp_path):
    dataset = read_dataset(tiny_keras.parent / "data")
    drawn = {split: draw(dataset, split, count=6, seed=0).images for split in ("train", "val", "test")}
    for split, images in drawn.items():
        assert [image.label for image in images] == [0, 1, 2] * 2
        assert {image.split for image in images} == {split}
    only = dataclasses.replace(dataset, images=dataset.split("train"))
    with pytest.raises(DataError, match=SAYS["no-images-in-the"]):
        draw(only, "test", count=6, seed=0)


def test_calibration_images_may_come_from_elsewhere(tiny_keras, tmp_path):
    data = tiny_keras.parent / "data"
    dataset = read_dataset(data)
    judged = draw(dataset, "test", count=9, seed=0)
    plain, tree = tmp_path / "plain", tmp_path / "tree"
    for label, name in enumerate(CLASS_NAMES):
        (tree / name).mkdir(parents=True)
        plain.mkdir(exist_ok=True)
        for index, image in enumerate(one for one in dataset.split("train") if one.label == label):
            if index < 3:
                shutil.copy(image.path, plain / f"{name}-{index}.png")
                shutil.copy(image.path, tree / name)
    for folder in (plain, tree):
        drawn = draw_from(folder, classes=CLASS_NAMES, count=6, seed=0, barred=[judged])
        assert len({image.digest for image in drawn.images}) == 6
        assert {image.digest for image in drawn.images} <= {one.digest for one in dataset.split("train")}
    assert [
        image.label for image in draw_from(tree, classes=CLASS_NAMES, count=6, seed=0, barred=[]).images
    ] == [0, 1, 2] * 2
    shutil.copy(judged.images[0].path, plain / "known.png")
    with pytest.raises(DataError, match=SAYS["known-png-is-a"]):
        draw_from(plain, classes=CLASS_NAMES, count=6, seed=0, barred=[judged])
    with pytest.raises(DataError, match="No such file"):
        draw_from(tmp_path / "none", classes=CLASS_NAMES, count=6, seed=0, barred=[])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=SAYS["no-images-in-this"]):
        draw_from(tmp_path / "empty", classes=CLASS_NAMES, count=6, seed=0, barred=[])


def test_images_are_balanced_over_sources(tmp_path):
    images = [
        LabelledImage(
            tmp_path / f"{label}-{number}", label, f"{label}-{number}", source="big" if number else "small"
        )
        for label in range(3)
        for number in range(20)
    ]
    drawn = balanced_sample(images, count=6, seed=0)
    assert [image.source for image in drawn] == ["big"] * 3 + ["small"] * 3
    assert balanced_sample(images, count=99, seed=0) != tuple(images)
    assert set(balanced_sample(images, count=99, seed=0)) == set(images)

"""xray-bench explain: the command on a model made here; its measures are in test_explain_measures.py."""

import json
import re

import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from specimens import example_manifest, png

pytest.importorskip("onnx")

from onnx import TensorProto, helper

from xray_infer.benchmarks.cli import main
from xray_infer.benchmarks.explain.curves import METRICS
from xray_infer.study.datasets import read_dataset

SAYS = approved("xray-bench")


@pytest.fixture
def two_layers(split_tree, tmp_path):
    """A model with a backbone and a head: block means, a convolution to four channels, Relu, a 1x1 head."""
    from model_files import save_onnx

    rng = np.random.default_rng(2)
    kernel = rng.normal(0, 0.05, (4, 1, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["nchw"], ["means"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Conv", ["means", "kernel"], ["sums"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["sums"], ["active"]),
        helper.make_node("Conv", ["active", "weights"], ["maps"], name="head"),
        helper.make_node("Transpose", ["maps"], ["cam"], perm=[0, 2, 3, 1]),
        helper.make_node("ReduceMean", ["cam", "axes"], ["logits"], keepdims=0),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
    ]
    constants = {
        "kernel": kernel,
        "weights": rng.normal(0, 0.3, (3, 4, 1, 1)).astype(np.float32),
        "axes": np.array([1, 2], np.int64),
    }
    manifest = example_manifest(training={"data_sha256": read_dataset(split_tree).digest})
    outputs = [
        ("probabilities", TensorProto.FLOAT, ["batch", 3]),
        ("cam", TensorProto.FLOAT, ["batch", 7, 7, 3]),
        ("features", TensorProto.FLOAT, ["batch", 4]),
    ]
    inputs = [("image", TensorProto.UINT8, ["batch", 224, 224, 1])]
    return save_onnx(tmp_path / "two.onnx", nodes, inputs, outputs, constants, manifest=manifest.to_json())


METHODS = "gradcam,occlusion:56:28:gray"


def _explain(model, data, *options):
    arguments = ["explain", model, "--data", data, "--methods", METHODS, "--sanity-images", 2, *options]
    return CliRunner().invoke(main, [str(one) for one in arguments])


def _without_times(page):
    return re.sub(r"(\| \d+ \| )[\d.e+]+ \([\d.e+-]+\)", r"\1", page)


def test_the_command_tells_how_faithful_each_map_is(two_layers, split_tree, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    for image in read_dataset(split_tree).split("test"):
        mask = np.zeros((50, 50), np.uint8)
        mask[10:40, 10:40] = 255
        (masks / f"{image.path.stem}.png").write_bytes(png(mask))
    result = _explain(two_layers, split_tree, "--lung-masks", masks, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    page = result.stdout
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if "|" in line]
    of_map = {row[0]: row[1:] for row in rows[2:6]}
    assert list(of_map) == ["Grad-CAM", *METHODS.split(",")[1:], "centre blob", "random"]
    differences = [row for row in rows if len(row) == 5 and row[0] == "Grad-CAM" and row[4] == ""]
    assert [row[1] for row in differences] == [metric.title for metric in METRICS.values()]
    for place, row in enumerate(differences):
        own, blob = (float(of_map[name][place].split()[0]) for name in ("Grad-CAM", "centre blob"))
        assert float(row[2].split()[0]) == pytest.approx(own - blob, abs=0.0011)
    for part in ("the head's kernel shuffled", "the backbone's kernels shuffled", "the mirrored picture"):
        assert part in page
    assert "| lung fields | a uniform map |" in page
    assert "| border ring | a uniform map | 0.490 |" in page
    assert "3 test images" in page
    assert "sanity checks on 2" in page
    assert "- Grad-CAM is " in page
    assert " Grad-CAM by " in page  # what the other method is held against, too
    assert "nan" not in page
    assert "Research use only" in page
    records = [json.loads(line) for line in (tmp_path / "out" / "explain.jsonl").read_text().splitlines()]
    assert records[0]["run"]["split"] == "test"
    assert len(records) == 4
    assert {len(one["sanity"]) for one in records[1:]} == {0, 3}


def test_a_stopped_run_goes_on_and_ends_the_same(two_layers, split_tree, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = _explain(two_layers, split_tree, "--out", whole)
    assert expected.exit_code == 0, expected.stderr
    assert _explain(two_layers, split_tree, "--out", parts, "--images", 2).exit_code == 0
    kept = parts / "explain.jsonl"
    first = kept.read_bytes()
    kept.write_bytes(first + b'{"digest": "torn')
    found = _explain(two_layers, split_tree, "--out", parts)
    assert found.exit_code == 0, found.stderr
    assert _without_times(found.stdout) == _without_times(expected.stdout)
    assert kept.read_bytes().startswith(first)
    assert kept.read_bytes().count(b"\n") == 4
    again = _explain(two_layers, split_tree, "--out", parts)
    assert again.stdout == found.stdout  # nothing is measured any more
    other = _explain(two_layers, split_tree, "--out", parts, "--seed", 1)
    assert other.exit_code == 2
    assert SAYS["another-model-data-or"] in other.stderr
    assert kept.read_bytes().count(b"\n") == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "magic"], "no method 'magic'"),
        (["--lung-masks", "nowhere"], "no lung mask that can be read"),
        (["--runtime", "litert"], "litert does not read this file"),
    ],
)
def test_what_cannot_be_measured_is_one_line(two_layers, split_tree, options, message):
    result = _explain(two_layers, split_tree, *options)
    assert result.exit_code == 2
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_a_model_without_a_backbone_is_one_line(make_tiny_onnx, split_tree):
    manifest = example_manifest(training={"data_sha256": read_dataset(split_tree).digest})
    result = _explain(make_tiny_onnx(manifest), split_tree)
    assert result.exit_code == 2
    assert SAYS["no-convolution-of-the"] in result.stderr

"""What `xray-export inspect` counts in the shipped files, held against the network and other readers."""

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")

import onnx
from ai_edge_litert.interpreter import Interpreter
from model_files import SHIPPED, counts
from onnx import TensorProto

from xray_infer.export.inspection import inspect_file


def densenet121_macs(side, *, planes, rewritten):
    """Multiply-accumulates of DenseNet121 at `side` x `side` with a 1x1 convolution to 3 classes at the end.

    `rewritten`: normalisation counts as depthwise convolutions, and transitions average before they convolve.
    """
    total, channels, side = (side // 2) ** 2 * 64 * 7 * 7 * planes, 64, side // 4
    for block, layers in enumerate((6, 12, 24, 16)):
        for _ in range(layers):
            total += side * side * (channels * rewritten + channels * 128 + 128 * 32 * 9)
            channels += 32
        if block < 3:
            total += side * side * 2 * channels * rewritten  # normalisation, average of 2 x 2
            side = side // 2 if rewritten else side
            total += side * side * channels * (channels // 2)
            channels, side = channels // 2, side if rewritten else side // 2
    return total + side * side * (channels * rewritten + channels * 3)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_files_cost_what_densenet121_costs(path):
    report = inspect_file(path)
    found = report.contents
    assert densenet121_macs(224, planes=3, rewritten=False) == 2_833_288_192
    assert densenet121_macs(224, planes=2, rewritten=True) == 2_574_693_632
    side, rejection = report.manifest.preprocessing.side, report.manifest.rejection
    # Two halves of 512 channels to their components, and these to one number.
    score = rejection.features * rejection.components + rejection.components
    assert rejection.features == 1024
    assert sum(found.macs().values()) == densenet121_macs(side, planes=2, rewritten=True) + score
    assert (found.not_counted, found.batch) == ((), 1)
    assert found.size.total == report.size_bytes == path.stat().st_size
    assert min(found.size.scales, found.size.graph, found.size.manifest, found.size.rest) > 0
    # The weights of the convolutions and head alone are 6.87 million; BatchNorm and biases come on top.
    assert 6_900_000 < found.parameters - score < 7_100_000
    name, size_bytes = found.largest_activation
    assert ((side + 6) ** 2 * 64 * 4 >= size_bytes > (side // 2) ** 2 * 64, bool(name)) == (True, True)
    assert f"{report.manifest.method}-{report.manifest.recipe}{path.suffix}" == path.name


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_convolutions_by_precision(path):
    """Held against the quantised weights as another reader of the format sees them."""
    found = counts(inspect_file(path))
    if path.suffix == ".onnx":
        graph = onnx.load(path).graph
        int8 = {
            one.name for one in graph.initializer if one.data_type == TensorProto.INT8 and len(one.dims) == 4
        }
        operator, other = "Conv", sum(node.op_type == "Conv" for node in graph.node) - len(int8)
        assert found["QuantizeLinear", "int8"] == sum(node.op_type == "QuantizeLinear" for node in graph.node)
    else:
        details = Interpreter(model_path=str(path)).get_tensor_details()
        int8 = [
            one
            for one in details
            if one["dtype"] == np.int8 and len(one["quantization_parameters"]["scales"]) > 1
        ]
        operator, other = "CONV_2D", 121 - len(int8)
    assert len(int8) > 100
    assert (found[operator, "int8"], found[operator, "float32"]) == (len(int8), other)

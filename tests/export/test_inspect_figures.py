"""What `xray-export inspect` counts in a model file, held against figures worked out by hand."""

import numpy as np
import pytest
from approved import approved

pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")

from model_files import CODES, KINDS, counts, qdq_onnx, save_onnx, save_tflite, tflite_tensor
from onnx import TensorProto, helper
from specimens import example_manifest

from xray_infer.export.inspection import NO_MANIFEST, inspect_file
from xray_infer.export.inspection.operation import precision, tensor_bytes
from xray_infer.export.inspection.report_text import to_text
from xray_infer.model.embedding import MANIFEST_KEY, append_tflite_manifest

SAYS = approved("xray-export")


def test_a_float_graph_counted_by_hand(float_onnx):
    report = inspect_file(float_onnx)
    found = report.contents
    names = ("Conv", "Gemm", "GlobalAveragePool", "Relu", "Reshape")
    assert counts(report) == {(name, "float32"): 1 for name in names}
    assert found.macs() == {"float32": 4 * 4 * 4 * 27 + 4 * 5}
    assert found.parameters == 4 * 27 + 20 + 5
    assert found.size.weights == {"float32": 4 * (4 * 27 + 20 + 5), "int64": 16}
    assert found.activation_bytes == 4 * (64 + 64 + 4 + 4 + 5)
    assert found.largest_activation == ("conv", 256)
    assert (found.batch, found.not_counted) == (1, ())
    assert report.manifest == example_manifest()
    entry = len(MANIFEST_KEY) + len(example_manifest().to_json())
    assert entry < found.size.manifest < entry + 10
    assert len("othernote") < found.size.rest < 100
    assert found.size.scales == 0
    assert found.size.total == report.size_bytes == float_onnx.stat().st_size


def test_a_batch_that_the_file_fixes_is_said(tmp_path):
    path = save_onnx(
        tmp_path / "three.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [("x", TensorProto.FLOAT, [3, 6])],
        [("y", TensorProto.FLOAT, [3, 7])],
        {"w": np.ones((6, 7), np.float32)},
    )
    report = inspect_file(path)
    assert (report.contents.batch, report.contents.macs()) == (3, {"float32": 3 * 6 * 7})
    assert SAYS["cost-of-images-at"] in to_text(report)


def test_half_precision_is_counted_as_such(tmp_path):
    path = save_onnx(
        tmp_path / "half.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Softmax", ["y"], ["z"])],
        [("x", TensorProto.FLOAT16, ["batch", 6])],
        [("z", TensorProto.FLOAT16, ["batch", 7])],
        {"w": np.ones((6, 7), np.float16)},
    )
    report = inspect_file(path)
    assert counts(report) == {("MatMul", "float16"): 1, ("Softmax", "float16"): 1}
    assert report.contents.macs() == {"float16": 42}
    assert report.contents.size.weights == {"float16": 84}
    assert report.contents.activation_bytes == 2 * 2 * 7


@pytest.mark.parametrize(
    ("activation", "domain", "opset", "product", "width"),
    [
        (np.uint8, "", 18, "int8", "int8"),
        (np.int8, "", 18, "int8", "int8"),
        (np.uint16, "com.microsoft", 18, "int8x16", "int16"),
        (np.uint16, "", 21, "int8x16", "int16"),
    ],
)
def test_a_quantised_graph_counted_by_hand(tmp_path, activation, domain, opset, product, width):
    report = inspect_file(qdq_onnx(tmp_path / "q.onnx", activation=activation, domain=domain, opset=opset))
    found = report.contents
    expected = {
        ("Conv", product): 1,
        ("QuantizeLinear", width): 2,
        ("DequantizeLinear", "int8"): 1,
        ("DequantizeLinear", "int32"): 1,
        ("Relu", "float32"): 1,
    }
    expected["DequantizeLinear", width] = expected.get(("DequantizeLinear", width), 0) + 2
    assert counts(report) == expected
    assert found.macs() == {product: 48 * 2}
    explained = "int8x16: the weights are int8, the activations int16\n" in to_text(report)
    assert explained == (product == "int8x16")
    item = activation(0).itemsize
    # x and the convolution's output are written as integers; what Relu reads and writes, as floats.
    assert found.activation_bytes == 32 * item + 48 * item + 48 * 4 + 48 * 4
    assert found.not_counted == ()
    assert found.parameters == 6 + 3
    assert found.size.weights == {"int8": 6, "int32": 12}
    assert found.size.scales == 4 + item + 4 + 1
    assert found.size.total == report.size_bytes
    assert (report.manifest, report.manifest_problem) == (None, NO_MANIFEST)


def test_an_operator_whose_output_stays_float_is_float(tmp_path):
    """A pooling between dequantisation and a Relu is done in float, one between QDQ nodes in integers."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("MaxPool", ["xd"], ["inside"], kernel_shape=[2, 2]),
        helper.make_node("QuantizeLinear", ["inside", "s", "z"], ["iq"]),
        helper.make_node("DequantizeLinear", ["iq", "s", "z"], ["id"]),
        helper.make_node("AveragePool", ["id"], ["y"], kernel_shape=[3, 3]),
    ]
    path = save_onnx(
        tmp_path / "pools.onnx",
        nodes,
        [("x", TensorProto.FLOAT, ["batch", 1, 4, 4])],
        [("y", TensorProto.FLOAT, ["batch", 1, 1, 1])],
        {"s": np.float32(0.1), "z": np.uint8(0)},
    )
    report = inspect_file(path)
    assert counts(report)["MaxPool", "int8"] == 1
    assert counts(report)["AveragePool", "float32"] == 1
    assert report.contents.activation_bytes == 16 + 9 + 4 * 9 + 4


def test_weights_alone_in_int8(tmp_path):
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["wd"]),
        helper.make_node("ConvTranspose", ["x", "wd"], ["y"], strides=[2, 2]),
    ]
    path = save_onnx(
        tmp_path / "weights.onnx",
        nodes,
        [("x", TensorProto.FLOAT, ["batch", 2, 4, 4])],
        [("y", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        {"w": np.ones((2, 3, 2, 2), np.int8), "s": np.float32(0.1)},
    )
    report = inspect_file(path)
    assert report.contents.macs() == {"int8 weights": 2 * 16 * 3 * 4}
    assert SAYS["int-weights-the-weights"] in to_text(report)
    assert report.contents.activation_bytes == 4 * 3 * 64


def test_what_a_file_leaves_open_is_named(tmp_path):
    path = save_onnx(
        tmp_path / "open.onnx",
        [
            helper.make_node("Conv", ["x", "w"], ["conv"]),
            helper.make_node("FusedGelu", ["conv"], ["y"], domain="com.microsoft"),
        ],
        [("x", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [("y", TensorProto.FLOAT, ["batch", 4, "height", "width"])],
        {"w": np.ones((4, 3, 1, 1), np.float32)},
    )
    report = inspect_file(path)
    assert report.contents.not_counted == ("Conv", "FusedGelu")
    assert report.contents.macs() == {}
    assert SAYS["the-file-does-not"] in to_text(report)


def test_an_output_that_nobody_reads_is_not_written(tmp_path):
    path = save_onnx(
        tmp_path / "dropout.onnx",
        [helper.make_node("Dropout", ["x"], ["y", "mask"])],
        [("x", TensorProto.FLOAT, ["batch", 10])],
        [("y", TensorProto.FLOAT, ["batch", 10])],
        {},
    )
    assert inspect_file(path).contents.activation_bytes == 40


@pytest.mark.parametrize(
    ("values", "weights", "expected"),
    [
        (KINDS.FLOAT32, np.float32, "float32"),
        (KINDS.FLOAT32, np.int8, "int8 weights"),
        (KINDS.INT8, np.int8, "int8"),
        (KINDS.INT16, np.int8, "int8x16"),
    ],
)
def test_a_tflite_graph_counted_by_hand(tmp_path, values, weights, expected):
    kernel = np.ones((3, 2, 2, 5), weights)
    quantized = values != KINDS.FLOAT32
    scales = 3 if weights is np.int8 else None
    tensors = [
        tflite_tensor("x", values, (1, 4, 4, 5), 1, scales=1 if quantized else None),
        tflite_tensor("w", KINDS.INT8 if scales else KINDS.FLOAT32, kernel.shape, 2, scales=scales),
        tflite_tensor("conv", values, (1, 3, 3, 3), 3, scales=1 if quantized else None),
        tflite_tensor("y", KINDS.FLOAT32, (1, 3, 3, 3), 4),
    ]
    last = CODES.DEQUANTIZE if quantized else CODES.RELU
    path = save_tflite(
        tmp_path / "conv.tflite",
        tensors,
        [(CODES.CONV_2D, (0, 1, -1), (2,)), (last, (2,), (3,))],
        {2: kernel},
    )
    report = inspect_file(path)
    found = report.contents
    item = {KINDS.FLOAT32: 4, KINDS.INT8: 1, KINDS.INT16: 2}[values]
    assert counts(report)["CONV_2D", expected] == 1
    assert counts(report)[("DEQUANTIZE", f"int{8 * item}") if quantized else ("RELU", "float32")] == 1
    assert found.macs() == {expected: 27 * 2 * 2 * 5}
    assert found.parameters == kernel.size
    assert list(found.size.weights.values()) == [kernel.nbytes]
    assert found.size.scales == 12 * ((scales or 0) + 2 * quantized)
    assert found.activation_bytes == 27 * item + 27 * 4
    assert (found.size.manifest, found.size.total) == (0, path.stat().st_size)
    assert report.manifest_problem == NO_MANIFEST


def test_half_weights_of_tflite_are_widened_once(tmp_path):
    """What is computed from constants alone is no activation; the layers after it still know the type."""
    half = np.ones((7, 6), np.float16)
    tensors = [
        tflite_tensor("x", KINDS.FLOAT32, (1, 6), 1),
        tflite_tensor("half", KINDS.FLOAT16, half.shape, 2),
        tflite_tensor("w", KINDS.FLOAT32, half.shape, 3),
        tflite_tensor("y", KINDS.FLOAT32, (1, 7), 4),
    ]
    operators = [(CODES.DEQUANTIZE, (1,), (2,)), (CODES.FULLY_CONNECTED, (0, 2, -1), (3,))]
    flatbuffer = save_tflite(tmp_path / "half.tflite", tensors, operators, {2: half}).read_bytes()
    tmp_path.joinpath("half.tflite").write_bytes(append_tflite_manifest(flatbuffer, example_manifest()))
    report = inspect_file(tmp_path / "half.tflite")
    assert counts(report) == {("DEQUANTIZE", "float16"): 1, ("FULLY_CONNECTED", "float16 weights"): 1}
    assert report.contents.macs() == {"float16 weights": 42}
    assert report.contents.activation_bytes == 28
    assert report.contents.size.weights == {"float16": 84}
    assert report.contents.size.manifest == report.size_bytes - len(flatbuffer)
    assert report.manifest == example_manifest()


@pytest.mark.parametrize(
    ("activation", "weights", "expected"),
    [
        ("float32", "float32", "float32"),
        ("float16", "float16", "float16"),
        ("uint8", "int8", "int8"),
        ("int8", "int4", "int4x8"),
        ("int16", "int8", "int8x16"),
        ("float32", "int8", "int8 weights"),
        ("float32", "float16", "float16 weights"),
        ("uint8", "float32", "float32"),
    ],
)
def test_names_of_precisions(activation, weights, expected):
    assert precision(activation, weights) == expected


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("float32", (2, 3), 24),
        ("bfloat16", (3,), 6),
        ("bool", (5,), 5),
        ("int4", (3,), 2),
        ("float64", (), 8),
        ("float8e4m3fn", (4,), 4),
        ("string", (4,), 0),
    ],
)
def test_bytes_of_tensors(name, shape, expected):
    assert tensor_bytes(name, shape) == expected

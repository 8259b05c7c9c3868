"""What `xray-export inspect` finds in a model file: figures worked out by hand, real files, bad files."""

import json
import random
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")

import flatbuffers
import onnx
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from specimens import example_manifest

from xray_infer.errors import ModelError
from xray_infer.export import inspection
from xray_infer.export.cli import main
from xray_infer.export.inspection import NO_MANIFEST, inspect_file
from xray_infer.export.inspection.operation import precision, tensor_bytes
from xray_infer.export.inspection.text import to_text
from xray_infer.manifest import MANIFEST_KEY, append_tflite_manifest
from xray_infer.runtimes import SUFFIXES
from xray_infer.shipped import MODELS_FOLDER

SHIPPED = sorted(path for path in MODELS_FOLDER.iterdir() if path.suffix in SUFFIXES)


def counts(report):
    """Return {(operator, precision): number}."""
    return {(one.op_type, one.precision): one.count for one in report.contents.op_counts()}


def save_onnx(path, nodes, inputs, outputs, constants, *, opset=18, manifest=None):
    """Save a graph; inputs and outputs are (name, type, shape), constants arrays by name."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(*one) for one in outputs],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=10)
    if manifest is not None:
        helper.set_model_props(model, {"other": "note", MANIFEST_KEY: manifest})
    onnx.save(model, path)
    return path


@pytest.fixture
def float_onnx(tmp_path):
    """Convolution, Relu, pooling, Gemm: [N, 3, 8, 8] to [N, 5]."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["conv"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "g", "bias"], ["y"], transB=1),
    ]
    constants = {
        "w": np.ones((4, 3, 3, 3), np.float32),
        "shape": np.array([-1, 4]),
        "g": np.ones((5, 4), np.float32),
        "bias": np.ones(5, np.float32),
    }
    return save_onnx(
        tmp_path / "float.onnx",
        nodes,
        [("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [("y", TensorProto.FLOAT, ["batch", 5])],
        constants,
        manifest=example_manifest().to_json(),
    )


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
    assert "cost of 3 images at once" in to_text(report)


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


def qdq_onnx(path, *, activation=np.uint8, domain="", opset=18):
    """A convolution 2 -> 3 of 4 x 4 pixels between its QDQ nodes, followed by a Relu in float."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"], domain=domain),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"], domain=domain),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"]),
        helper.make_node("DequantizeLinear", ["b", "ws"], ["bd"]),
        helper.make_node("Conv", ["xd", "wd", "bd"], ["conv"]),
        helper.make_node("QuantizeLinear", ["conv", "s", "z"], ["cq"], domain=domain),
        helper.make_node("DequantizeLinear", ["cq", "s", "z"], ["cd"], domain=domain),
        helper.make_node("Relu", ["cd"], ["y"]),
    ]
    constants = {
        "s": np.float32(0.1),
        "z": activation(0),
        "w": np.ones((3, 2, 1, 1), np.int8),
        "ws": np.float32(0.1),
        "wz": np.int8(0),
        "b": np.ones(3, np.int32),
    }
    return save_onnx(
        path,
        nodes,
        [("x", TensorProto.FLOAT, ["batch", 2, 4, 4])],
        [("y", TensorProto.FLOAT, ["batch", 3, 4, 4])],
        constants,
        opset=opset,
    )


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
    assert "int8 weights: the weights are int8, the activations float\n" in to_text(report)
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
    assert "the file does not say enough: Conv, FusedGelu" in to_text(report)


def test_an_output_that_nobody_reads_is_not_written(tmp_path):
    path = save_onnx(
        tmp_path / "dropout.onnx",
        [helper.make_node("Dropout", ["x"], ["y", "mask"])],
        [("x", TensorProto.FLOAT, ["batch", 10])],
        [("y", TensorProto.FLOAT, ["batch", 10])],
        {},
    )
    assert inspect_file(path).contents.activation_bytes == 40


def test_contradicting_shapes_are_no_crash(tmp_path):
    path = save_onnx(
        tmp_path / "odd.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [("x", TensorProto.FLOAT, ["batch", 5])],
        [("y", TensorProto.INT8, ["batch", 7])],
        {"w": np.ones((6, 7), np.float32)},
    )
    assert "MatMul" in {one.op_type for one in inspect_file(path).contents.operations}


def tflite_tensor(name, kind, shape, buffer, *, scales=None):
    tensor = schema.TensorT()
    tensor.name, tensor.type, tensor.buffer = name.encode(), kind, buffer
    tensor.shape = np.array(shape, np.int32)
    if scales is not None:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.ones(scales, np.float32)
        tensor.quantization.zeroPoint = np.zeros(scales, np.int64)
    return tensor


def save_tflite(path, tensors, operators, constants, *, tail=b""):
    """Save a graph; operators are (code, inputs, outputs), constants arrays by buffer, from 1 on.

    Tensor 0 is the input, the last operator's output the output.
    """
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    for index in range(1, len(tensors) + 1):
        buffer = schema.BufferT()
        if index in constants:
            buffer.data = np.frombuffer(constants[index].tobytes(), np.uint8)
        model.buffers.append(buffer)
    model.operatorCodes, graph.operators = [], []
    for index, (code, inputs, outputs) in enumerate(operators):
        kind = schema.OperatorCodeT()
        kind.builtinCode = kind.deprecatedBuiltinCode = code
        model.operatorCodes.append(kind)
        operator = schema.OperatorT()
        operator.opcodeIndex = index
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        graph.operators.append(operator)
    graph.tensors = tensors
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array(operators[-1][2], np.int32)
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(bytes(builder.Output()) + tail)
    return path


KINDS, CODES = schema.TensorType, schema.BuiltinOperator


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


def densenet121_macs():
    """Multiply-accumulates of DenseNet121 at 224 x 224 with a 1x1 convolution to 3 classes on 7 x 7."""
    total, channels, side = 112 * 112 * 64 * 7 * 7 * 3, 64, 56
    for block, layers in enumerate((6, 12, 24, 16)):
        for _ in range(layers):
            total += side * side * (channels * 128 + 128 * 32 * 9)
            channels += 32
        if block < 3:
            total += side * side * channels * (channels // 2)
            channels, side = channels // 2, side // 2
    return total + side * side * channels * 3


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_files_cost_what_densenet121_costs(path):
    report = inspect_file(path)
    found = report.contents
    assert sum(found.macs().values()) == densenet121_macs() == 2_833_288_192
    assert (found.not_counted, found.batch) == ((), 1)
    assert found.size.total == report.size_bytes == path.stat().st_size
    assert min(found.size.scales, found.size.graph, found.size.manifest, found.size.rest) > 0
    # The weights of the convolutions and head alone are 6.87 million; BatchNorm and biases come on top.
    assert 6_900_000 < found.parameters < 7_100_000
    name, size_bytes = found.largest_activation
    assert (230 * 230 * 64 * 4 >= size_bytes > 112 * 112 * 64, bool(name)) == (True, True)
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


def invoke(*arguments):
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)])


def test_the_command_prints_a_page_and_the_same_as_json(float_onnx):
    page = invoke(float_onnx)
    assert page.exit_code == 0, page.output
    lines = page.stdout.splitlines()
    assert lines[0].startswith(f"{float_onnx}: onnx, {float_onnx.stat().st_size:,} bytes, sha256 ")
    assert "model          tiny 0, method fine_tuning, recipe fp32" in page.stdout
    for row in (
        ["Conv", "1"],
        ["weights", "float32", "532"],
        ["MACs", "float32", "1,748"],
        ["parameters", "133"],
        ["bytes", "of", "activations", "written", "564"],
        ["bytes", "of", "the", "largest", "of", "them", "256", "(conv)"],
    ):
        assert row in [line.split()[: len(row)] for line in lines]
    facts = json.loads(invoke(float_onnx, "--json").stdout)
    assert facts["cost"]["macs"] == {"float32": 1748}
    assert facts["cost"]["total_macs"] == 1748
    assert (facts["cost"]["activation_bytes"], facts["cost"]["largest_activation"]) == (564, "conv")
    size = facts["size"]
    assert sum([*size.pop("weights").values(), *size.values()]) == facts["size_bytes"]
    assert {"op_type": "Conv", "precision": "float32", "count": 1, "macs": 1728} in facts["operators"]
    assert facts["manifest"] == json.loads(example_manifest().to_json())


def test_the_certificate_and_the_test_accuracy_are_printed():
    page = to_text(inspect_file(SHIPPED[0]))
    for name in ("training data  ", "test split     images ", "parity         images ", "onnxruntime "):
        assert name in page


@pytest.mark.parametrize("odd", ["text", None, 3, {"test": "none"}, {"test": {"accuracy": "high"}}])
def test_odd_records_in_a_manifest_are_no_crash(float_onnx, odd):
    text = json.dumps({**json.loads(example_manifest().to_json()), "training": odd, "parity": odd})
    model = onnx.load(float_onnx)
    helper.set_model_props(model, {MANIFEST_KEY: text})
    onnx.save(model, float_onnx)
    assert "temperature    1" in to_text(inspect_file(float_onnx))


def test_a_refused_manifest_is_told_and_the_rest_is_printed(float_onnx):
    model = onnx.load(float_onnx)
    helper.set_model_props(model, {MANIFEST_KEY: '{"schema_version": 99}'})
    onnx.save(model, float_onnx)
    report = inspect_file(float_onnx)
    assert report.manifest is None
    assert report.manifest_problem.startswith("xray-infer refuses this file: schema_version is 99")
    assert report.contents.macs() == {"float32": 1748}


def test_a_file_without_a_manifest_is_inspected_all_the_same(tmp_path):
    result = invoke(qdq_onnx(tmp_path / "q.onnx"))
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1] == NO_MANIFEST
    assert "MACs int8" in result.stdout


def assert_refused(path, reason):
    result = invoke(path)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"xray-export: {path}: ")
    assert result.stderr.count("\n") == 1
    assert reason in result.stderr


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"A text, not a model.\n" * 50, "it does not begin like one"),
        (b"\0" * 5000, "it does not begin like one"),
        (random.Random(0).randbytes(5000), "it does not begin like one"),
        (b"\x08\0\0\0TFL3" + random.Random(1).randbytes(5000), "or a damaged one"),
        (b"\x08\0\0\0TFL3", "or a damaged one"),
    ],
    ids=["empty", "text", "zeros", "random", "random-after-its-magic", "magic-alone"],
)
def test_what_is_no_model_is_one_line(tmp_path, suffix, data, reason):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(data)
    assert_refused(path, reason)
    assert_refused(path, "copy the file again or export the model again")


@pytest.mark.parametrize("path", SHIPPED[:2], ids=lambda path: path.suffix)
@pytest.mark.parametrize("share", [0.0001, 0.01, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_one_line(tmp_path, path, share):
    data = path.read_bytes()
    damaged = tmp_path / f"short{path.suffix}"
    damaged.write_bytes(data[: int(share * len(data))])
    assert_refused(damaged, "or a damaged one")


def test_a_tail_cut_off_a_tflite_file_is_a_missing_manifest(tmp_path):
    path = tmp_path / "short.tflite"
    path.write_bytes(SHIPPED[1].read_bytes()[:-10])
    report = inspect_file(path)
    assert report.manifest_problem == NO_MANIFEST
    assert report.contents.size.total == path.stat().st_size


def test_flipped_bytes_never_crash(tmp_path, float_onnx):
    """Whatever a damaged file says, there is a report whose parts add up, or a ModelError."""
    tflite = save_tflite(
        tmp_path / "tiny.tflite",
        [
            tflite_tensor("x", KINDS.FLOAT32, (1, 6), 1),
            tflite_tensor("w", KINDS.INT8, (7, 6), 2, scales=7),
            tflite_tensor("y", KINDS.FLOAT32, (1, 7), 3),
        ],
        [(CODES.FULLY_CONNECTED, (0, 1, -1), (2,))],
        {2: np.ones((7, 6), np.int8)},
    )
    tflite.write_bytes(append_tflite_manifest(tflite.read_bytes(), example_manifest()))
    generator = random.Random(0)
    outcomes = set()
    for original in (float_onnx, qdq_onnx(tmp_path / "q.onnx"), tflite):
        data = original.read_bytes()
        damaged = tmp_path / f"damaged{original.suffix}"
        for _ in range(300):
            changed = bytearray(data)
            for _ in range(generator.randint(1, 3)):
                changed[generator.randrange(8, len(data))] = generator.randrange(256)
            damaged.write_bytes(changed)
            try:
                report = inspect_file(damaged)
            except ModelError as error:
                outcomes.add((original.suffix, "refused", str(error).count("\n")))
            else:
                size = report.contents.size
                assert size.total == len(data)
                assert min(size.scales, size.graph, size.manifest, size.rest) >= 0
                assert json.dumps(report.to_dict()).isascii()
                outcomes.add((original.suffix, "read", to_text(report).count("\n") // 1000))
    assert outcomes == {
        (suffix, outcome, 0) for suffix in (".onnx", ".tflite") for outcome in ("refused", "read")
    }


def test_folders_and_missing_files_and_other_suffixes_are_one_line(tmp_path, monkeypatch, float_onnx):
    folder = tmp_path / "folder.onnx"
    folder.mkdir()
    assert_refused(folder, "Is a directory")
    assert_refused(tmp_path / "missing.tflite", "No such file")
    other = tmp_path / "model.keras"
    other.write_bytes(b"x")
    assert_refused(other, "expected one of .onnx, .tflite")
    monkeypatch.setattr(inspection, "SIZE_LIMIT", 100)
    assert_refused(float_onnx, "larger than 2 GiB")


def test_it_loads_neither_tensorflow_nor_a_runtime():
    heavy = ("tensorflow", "keras", "onnxruntime", "tf2onnx", "ai_edge_litert.interpreter")
    program = (
        "import sys\n"
        "from xray_infer.export.cli import main\n"
        "main(['inspect', '--help'], standalone_mode=False)\n"
        "assert 'onnx' not in sys.modules\n"
        "for path in sys.argv[1:]:\n"
        "    main(['inspect', path], standalone_mode=False)\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    paths = [str(path) for path in SHIPPED[:2]]
    done = subprocess.run(
        [sys.executable, "-c", program, *paths], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_missing_extra_names_the_pip_command(float_onnx, monkeypatch):
    for name in [name for name in sys.modules if name == "onnx" or name.startswith("onnx.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "xray_infer.export.inspection.onnx_file", raising=False)
    result = invoke(float_onnx)
    assert result.exit_code == 2
    assert result.stderr.endswith("pip install 'xray-infer[export]'\n")


def test_options_come_from_the_environment_too(float_onnx):
    result = CliRunner().invoke(main, ["inspect", str(float_onnx)], env={"XRAY_EXPORT_INSPECT_AS_JSON": "1"})
    assert json.loads(result.stdout)["format"] == "onnx"


def test_the_default_command_keeps_its_words_and_variables():
    """`xray-export MODEL`, `xray-export convert MODEL` and XRAY_EXPORT_*, as before there were commands."""
    environment = {"XRAY_EXPORT_DATA": "d", "XRAY_EXPORT_OUT": "o", "XRAY_EXPORT_RECIPES": "int3"}
    for arguments in (["m.keras"], ["convert", "m.keras"]):
        result = CliRunner().invoke(main, arguments, env=environment)
        assert result.exit_code == 2
        assert result.stderr.startswith("xray-export: onnx and tflite: no recipe 'int3'")


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

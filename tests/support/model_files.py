"""Small ONNX and TFLite files, built operator by operator, for tests of `xray-export inspect`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from onnx import TensorProto, helper, numpy_helper
from specimens import example_manifest

from xray_infer.model.choice import MODELS_FOLDER
from xray_infer.model.embedding import MANIFEST_KEY
from xray_infer.model.manifest import SCORE_NAME
from xray_infer.model.runtime_table import SUFFIXES

KINDS, CODES = schema.TensorType, schema.BuiltinOperator
SHIPPED = sorted(path for path in MODELS_FOLDER.iterdir() if path.suffix in SUFFIXES)


def counts(report: Any) -> dict[tuple[str, str], int]:
    """Return {(operator, precision): number}."""
    return {(one.op_type, one.precision): one.count for one in report.contents.op_counts()}


def save_onnx(
    path: Path,
    nodes: Sequence[Any],
    inputs: Sequence[tuple[str, int, Sequence[str | int | None]]],
    outputs: Sequence[tuple[str, int, Sequence[str | int | None]]],
    constants: Mapping[str, Any],
    *,
    opset: int = 18,
    manifest: str | None = None,
) -> Path:
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


def float_onnx(path: Path) -> Path:
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
        path,
        nodes,
        [("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [("y", TensorProto.FLOAT, ["batch", 5])],
        constants,
        manifest=example_manifest().to_json(),
    )


def qdq_onnx(path: Path, *, activation: Any = np.uint8, domain: str = "", opset: int = 18) -> Path:
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


def tflite_tensor(
    name: str, kind: int, shape: Sequence[int], buffer: int, *, scales: int | None = None
) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.type, tensor.buffer = name.encode(), kind, buffer
    tensor.shape = np.array(shape, np.int32)
    if scales is not None:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.ones(scales, np.float32)
        tensor.quantization.zeroPoint = np.zeros(scales, np.int64)
    return tensor


def save_tflite(
    path: Path,
    tensors: Sequence[Any],
    operators: Sequence[tuple[int, Sequence[int], Sequence[int]]],
    constants: Mapping[int, np.ndarray],
    *,
    tail: bytes = b"",
) -> Path:
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


def without_score(path: Path) -> bytes:
    """Return an exported file's bytes, with no ood_score and no manifest that tells of it."""
    if path.suffix == ".onnx":
        model = onnx.load(path)
        kept = [one for one in model.graph.node if not one.name.startswith(SCORE_NAME)]
        constants = [one for one in model.graph.initializer if not one.name.startswith(SCORE_NAME)]
        del model.graph.node[:], model.graph.initializer[:], model.graph.output[-1], model.metadata_props[:]
        model.graph.node.extend(kept)
        model.graph.initializer.extend(constants)
        return bytes(model.SerializeToString(deterministic=True))
    model = flatbuffer_utils.read_model_from_bytearray(path.read_bytes())
    (graph,), (signature,) = model.subgraphs, model.signatureDefs
    graph.outputs = list(graph.outputs)[:-1]
    signature.outputs = [one for one in signature.outputs if one.name.decode() != SCORE_NAME]
    names = [tensor.name.decode() for tensor in graph.tensors]
    graph.operators = [one for one in graph.operators if not names[one.outputs[0]].startswith(SCORE_NAME)]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))

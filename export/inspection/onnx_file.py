"""Reads an ONNX file for inspection, with the package `onnx`.

Sizes are of the bytes in the file. Costs are of the graph with its batch dimension set to 1, its shapes
worked out by ONNX's own shape inference.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Final

from xray_infer.errors import extra_for
from xray_infer.export.inspection.contents import Contents, SizeParts, UnsoundError
from xray_infer.model.embedding import MANIFEST_KEY

with extra_for("inspecting an ONNX file", "export"):
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from xray_infer.export.inspection.onnx_graph import QDQ, OnnxGraph, type_name

TYPED_DATA: Final = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")

# Which inputs of an operator are scales and zero points.
SCALE_INPUTS: Final = {
    **dict.fromkeys(QDQ, (1, 2)),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "ConvInteger": (2, 3),
    "MatMulInteger": (2, 3),
}
# Which inputs of an operator are parameters although they are integers.
INTEGER_PARAMETERS: Final = {
    "DequantizeLinear": (0,),
    "QLinearConv": (3, 8),
    "QLinearMatMul": (3,),
    "ConvInteger": (1,),
    "MatMulInteger": (1,),
}


def read(data: bytes) -> Contents:
    """Read a file's bytes. Raises UnsoundError."""
    model = _parse(data)
    graph = OnnxGraph(model)
    scales = _names_read(model, SCALE_INPUTS)
    quantized = _names_read(model, INTEGER_PARAMETERS)
    weights: dict[str, int] = {}
    scale_bytes = parameters = 0
    for name, tensor in _constants(model.graph):
        kind = type_name(tensor.data_type)
        if name in scales:
            scale_bytes += _stored_bytes(tensor)
            continue
        weights[kind] = weights.get(kind, 0) + _stored_bytes(tensor)
        if "float" in kind or name in quantized:
            parameters += prod(tensor.dims)
    manifest = next((entry for entry in model.metadata_props if entry.key == MANIFEST_KEY), None)
    manifest_bytes = manifest.ByteSize() if manifest else 0
    rest = model.ByteSize() - model.graph.ByteSize() - manifest_bytes
    size = SizeParts(
        weights=weights,
        scales=scale_bytes,
        graph=len(data) - sum(weights.values()) - scale_bytes - manifest_bytes - rest,
        manifest=manifest_bytes,
        rest=rest,
    )
    return Contents(
        manifest_text=_text(manifest.value) if manifest else None,
        operations=tuple(graph.operations()),
        size=size,
        parameters=parameters,
        batch=graph.batch,
    )


def _parse(data: bytes) -> onnx.ModelProto:
    """Parse and check a model: many things that are none can be read as a protocol buffer."""
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    except UnicodeDecodeError as error:
        raise UnsoundError("it holds names that are no text") from error
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise UnsoundError(next(iter(str(error).splitlines()), "the checker refuses it")) from error
    if not model.graph.node:
        raise UnsoundError("it has no operators")
    names = [name for node in model.graph.node for name in (node.op_type, *node.input, *node.output)]
    if any(isinstance(name, bytes) for name in (*names, *(one.name for one in model.graph.initializer))):
        raise UnsoundError("it holds names that are no text")  # protobuf gives such strings as bytes
    # The checker knows only the standard's operators.
    if any(not node.output or (node.op_type in QDQ and len(node.input) < 2) for node in model.graph.node):
        raise UnsoundError("an operator lacks its inputs or outputs")
    return model


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Yield every constant of the main graph with its name; those inside branches and loops stay graph."""
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield node.output[0], attribute.t


def _names_read(model: onnx.ModelProto, positions: dict[str, tuple[int, ...]]) -> set[str]:
    """Name the tensors that nodes read at the given positions of their inputs."""
    return {
        node.input[index]
        for node in model.graph.node
        for index in positions.get(node.op_type, ())
        if index < len(node.input)
    }


def _stored_bytes(tensor: onnx.TensorProto) -> int:
    """Return the bytes of a constant's values in the file, 0 for values that stand in another file."""
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data)
    shell = onnx.TensorProto()
    shell.CopyFrom(tensor)
    for field in TYPED_DATA:
        shell.ClearField(field)
    return int(tensor.ByteSize() - shell.ByteSize())

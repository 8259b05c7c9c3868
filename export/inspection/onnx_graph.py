"""What the operators of an ONNX graph compute, in which precision, and what they write.

In a quantised graph (QDQ) an operator stands between DequantizeLinear and QuantizeLinear nodes, and
runtimes fuse the three into one integer operator. Hence the two rules here: such an operator computes in
the integers that its inputs are dequantised from, and a tensor between it and those nodes is not written.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Final

import onnx

from xray_infer.export.inspection.operation import (
    UNKNOWN,
    Operation,
    Product,
    Shape,
    precision,
    quantized_name,
    tensor_bytes,
)

QDQ: Final = ("QuantizeLinear", "DequantizeLinear")
STANDARD_DOMAINS: Final = ("", "ai.onnx")
# Products hide in these and are not looked for.
OPAQUE: Final = frozenset({"Attention", "Einsum", "GRU", "If", "LSTM", "Loop", "RNN", "Scan"})
TYPE_NAMES: Final = {"float": "float32", "double": "float64"}

PRODUCTS: Final = {
    # weights [out, in / groups, kernel...]
    **dict.fromkeys(
        ("Conv", "ConvInteger"), Product(lambda out, values, weights: prod(out) * prod(weights[1:]))
    ),
    "QLinearConv": Product(lambda out, values, weights: prod(out) * prod(weights[1:]), weights=3),
    # weights [in, out / groups, kernel...]
    "ConvTranspose": Product(lambda out, values, weights: prod(values) * prod(weights[1:])),
    "MatMul": Product(lambda out, values, weights: prod(out) * values[-1]),
    "MatMulInteger": Product(lambda out, values, weights: prod(out) * values[-1]),
    "QLinearMatMul": Product(lambda out, values, weights: prod(out) * values[-1], weights=3),
    # [M, K] or its transpose, times N
    "Gemm": Product(lambda out, values, weights: prod(values) * prod(out[-1:])),
}


def type_name(number: int) -> str:
    """Name a type of ONNX as NumPy does: float32, uint8, bool; "unknown" if the package does not know it."""
    if number not in onnx.TensorProto.DataType.values():
        return UNKNOWN
    name: str = onnx.TensorProto.DataType.Name(number).lower()
    return TYPE_NAMES.get(name, name)


class OnnxGraph:
    """The main graph of a model at batch size 1; a batch size that the file fixes stays.

    `batch` is the first dimension of the first input that is no constant.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = _infer_shapes(model).graph
        self._nodes = graph.node
        self._types: dict[str, str] = {}
        self._shapes: dict[str, Shape] = {}
        self._constants = {tensor.name for tensor in graph.initializer}
        for value in (*graph.input, *graph.value_info, *graph.output):
            self._learn(value)
        for tensor in graph.initializer:
            self._types[tensor.name] = type_name(tensor.data_type)
            self._shapes[tensor.name] = tuple(tensor.dims)
        self._dequantized: dict[str, str] = {}
        for node in self._nodes:
            if all(not name or name in self._constants for name in node.input) and (
                node.input or node.op_type == "Constant"
            ):
                self._constants.update(node.output)
            if node.op_type == "DequantizeLinear":
                self._dequantized[node.output[0]] = self._types.get(node.input[0], UNKNOWN)
        self._outputs = {value.name for value in graph.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self._nodes:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        inputs = [value.name for value in graph.input if value.name not in self._constants]
        self.batch = next((self._shapes[name][0] for name in inputs if self._shapes.get(name)), 1)

    def operations(self) -> Iterator[Operation]:
        """Describe every node, in the graph's order."""
        for node in self._nodes:
            if node.output[0] in self._constants:
                yield Operation(node.op_type, self._precision(node))
                continue
            macs, written = self._macs(node), self._written(node)
            known = node.domain in STANDARD_DOMAINS and node.op_type not in OPAQUE
            yield Operation(
                node.op_type,
                self._precision(node),
                macs=macs or 0,
                written=written or (),
                counted=known and macs is not None and written is not None,
            )

    def _learn(self, value: onnx.ValueInfoProto) -> None:
        tensor = value.type.tensor_type
        if tensor.elem_type:
            self._types[value.name] = type_name(tensor.elem_type)
        sizes = tensor.shape.dim
        if tensor.HasField("shape") and all(_is_fixed(size) for size in sizes):
            self._shapes[value.name] = tuple(size.dim_value for size in sizes)

    def _operands(self, node: onnx.NodeProto) -> list[str]:
        """Name the inputs that decide the precision: both of a product, else all that change by image."""
        product = PRODUCTS.get(node.op_type)
        if product and len(node.input) > product.weights:
            return [node.input[product.values], node.input[product.weights]]
        return [name for name in node.input if name and name not in self._constants]

    def _is_quantized(self, node: onnx.NodeProto) -> bool:
        """Tell whether a runtime does this operator in integers: a product whose operands are dequantised,
        or another one between dequantisation and quantisation."""
        operands = self._operands(node)
        if node.op_type in QDQ or not operands or any(name not in self._dequantized for name in operands):
            return False
        return node.op_type in PRODUCTS or all(self._is_only_quantized(name) for name in node.output if name)

    def _is_only_quantized(self, output: str) -> bool:
        readers = self._readers.get(output, [])
        return (
            bool(readers)
            and output not in self._outputs
            and all(one.op_type == "QuantizeLinear" for one in readers)
        )

    def _precision(self, node: onnx.NodeProto) -> str:
        output = self._types.get(node.output[0], UNKNOWN)
        if node.op_type in ("QuantizeLinear", "DynamicQuantizeLinear"):
            return quantized_name(output)
        if node.op_type == "DequantizeLinear":
            return quantized_name(self._dequantized[node.output[0]])
        operands = self._operands(node)
        if node.op_type in PRODUCTS and len(operands) == 2:
            return precision(*(self._stored_type(name) for name in operands))
        if self._is_quantized(node):
            return quantized_name(self._dequantized[operands[0]])
        return output

    def _stored_type(self, name: str) -> str:
        return self._dequantized.get(name) or self._types.get(name, UNKNOWN)

    def _macs(self, node: onnx.NodeProto) -> int | None:
        """Count multiply-accumulates; None where a shape is unknown."""
        product = PRODUCTS.get(node.op_type)
        if product is None:
            return 0
        names = (node.output[0], *self._operands(node))
        shapes = [self._shapes[name] for name in names if name in self._shapes]
        if len(shapes) != 3 or not all(shapes[1:]):
            return None
        return product.macs(*shapes)

    def _written(self, node: onnx.NodeProto) -> tuple[tuple[str, int], ...] | None:
        """Name the outputs that are written with their bytes; None where a shape or type is unknown."""
        names = [name for name in node.output if name and self._is_written(node, name)]
        if any(name not in self._shapes or self._types.get(name, UNKNOWN) == UNKNOWN for name in names):
            return None
        return tuple((name, tensor_bytes(self._types[name], self._shapes[name])) for name in names)

    def _is_written(self, node: onnx.NodeProto, output: str) -> bool:
        readers = self._readers.get(output, [])
        if output in self._outputs:
            return True
        if not readers:
            return False  # an optional output that nobody asked for
        if node.op_type == "DequantizeLinear":
            return not all(one.op_type == "QuantizeLinear" or self._is_quantized(one) for one in readers)
        return not (self._is_quantized(node) and self._is_only_quantized(output))


def _is_fixed(size: onnx.TensorShapeProto.Dimension) -> bool:
    return size.HasField("dim_value") and size.dim_value >= 0  # some writers mean "free" by -1


def _infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy with a batch of 1 and every shape that ONNX can work out from it."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constants = {tensor.name for tensor in copy.graph.initializer}
    for value in copy.graph.input:
        sizes = value.type.tensor_type.shape.dim
        if value.name not in constants and sizes and not _is_fixed(sizes[0]):
            sizes[0].dim_value = 1
    for node in copy.graph.node:
        if node.op_type in QDQ:
            node.domain = ""  # ONNX Runtime has its own, of the same shapes, for 16 bits before opset 21
    try:
        return onnx.shape_inference.infer_shapes(copy, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError):
        return copy  # its own declarations contradict each other; what they leave open is not counted

"""What the operators of a TFLite graph compute, in which precision, and what they write.

Shapes are those in the file. Only the first subgraph is looked at, the one that runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Final

from ai_edge_litert import schema_py_generated as schema

from xray_infer.export.inspection.operation import (
    UNKNOWN,
    Operation,
    Product,
    Shape,
    precision,
    quantized_name,
    tensor_bytes,
)

PRODUCTS: Final = {
    # weights [out, height, width, in / groups]
    "CONV_2D": Product(lambda out, values, weights: prod(out) * prod(weights[1:])),
    # weights [1, height, width, out]
    "DEPTHWISE_CONV_2D": Product(lambda out, values, weights: prod(out) * prod(weights[1:-1])),
    # weights [depth, height, width, in, out]
    "CONV_3D": Product(lambda out, values, weights: prod(out) * prod(weights[:-1])),
    # inputs: the output's shape, weights [out, height, width, in], values
    "TRANSPOSE_CONV": Product(lambda out, values, weights: prod(values) * prod(weights[:-1]), values=2),
    # weights [out, in]
    "FULLY_CONNECTED": Product(lambda out, values, weights: prod(out) * weights[-1]),
    # [..., M, K] or its transpose, times N
    "BATCH_MATMUL": Product(lambda out, values, weights: prod(values) * out[-1]),
}
# Products hide in these, as in custom operators, and are not looked for.
OPAQUE: Final = (
    "CALL",
    "IF",
    "LSTM",
    "RNN",
    "STABLEHLO_COMPOSITE",
    "STABLEHLO_CONVOLUTION",
    "STABLEHLO_DOT_GENERAL",
    "SVDF",
    "WHILE",
)


def _names(constants: type) -> dict[int, str]:
    return {number: name for name, number in vars(constants).items() if isinstance(number, int)}


OPERATORS: Final = _names(schema.BuiltinOperator)
TYPES: Final = {number: name.lower() for number, name in _names(schema.TensorType).items()}


@dataclass(frozen=True, slots=True)
class TfliteTensor:
    """One tensor of the flatbuffer; `shape` is None where the file leaves more than the batch open."""

    name: str
    type: str
    shape: Shape | None
    buffer: int
    is_quantized: bool
    is_constant: bool

    @property
    def precision(self) -> str:
        """Return the type, with quantised ones by their width alone."""
        return quantized_name(self.type) if self.is_quantized else self.type


def read_tensors(graph: Any, model: Any) -> list[TfliteTensor]:
    """Read the tensors of a SubGraphT in their order."""
    return [_tensor(one, model.buffers[one.buffer]) for one in graph.tensors or ()]


def _tensor(tensor: Any, buffer: Any) -> TfliteTensor:
    shape = () if tensor.shape is None else tuple(int(size) for size in tensor.shape)
    signature = () if tensor.shapeSignature is None else tensor.shapeSignature
    is_fixed = all(size >= 0 for size in (*shape, *signature[1:]))
    scales = tensor.quantization.scale if tensor.quantization is not None else None
    has_data = buffer.data is not None and len(buffer.data) > 0
    return TfliteTensor(
        name=(tensor.name or b"").decode(errors="replace"),
        type=TYPES.get(tensor.type, UNKNOWN),
        shape=shape if is_fixed else None,
        buffer=tensor.buffer,
        is_quantized=scales is not None and len(scales) > 0,
        is_constant=has_data or buffer.offset > 1,  # beyond the flatbuffer's tables, in a large file
    )


class TfliteGraph:
    """The subgraph that runs, the first, with its tensors."""

    def __init__(self, model: Any, tensors: list[TfliteTensor]) -> None:
        self._operators = model.subgraphs[0].operators
        self._codes = model.operatorCodes
        self._tensors = tensors
        self._constants = {index for index, tensor in enumerate(tensors) if tensor.is_constant}
        self._stored: dict[int, str] = {}  # of constants that an operator widens: the type in the file

    def operations(self) -> Iterator[Operation]:
        """Describe every operator, in the order in which they run."""
        for operator in self._operators:
            code = self._codes[operator.opcodeIndex]
            number = max(code.builtinCode, code.deprecatedBuiltinCode)  # the older field ends at 127
            is_custom = number == schema.BuiltinOperator.CUSTOM
            if is_custom:
                name = (code.customCode or b"CUSTOM").decode(errors="replace")
            else:
                name = OPERATORS.get(number, f"operator {number}")
            inputs = [] if operator.inputs is None else [int(index) for index in operator.inputs]
            outputs = [int(index) for index in operator.outputs]
            if inputs and all(index < 0 or index in self._constants for index in inputs):
                self._constants.update(outputs)
                if name == "DEQUANTIZE":
                    self._stored[outputs[0]] = self._tensors[inputs[0]].type
                yield Operation(name, self._precision(name, inputs, outputs))
                continue
            macs, written = self._macs(name, inputs, outputs), self._written(outputs)
            yield Operation(
                name,
                self._precision(name, inputs, outputs),
                macs=macs or 0,
                written=written,
                counted=(
                    not is_custom
                    and not name.endswith(OPAQUE)
                    and macs is not None
                    and len(written) == len(outputs)
                ),
            )

    def _operands(self, name: str, inputs: list[int]) -> tuple[int, int] | None:
        """Return values and weights of a product."""
        product = PRODUCTS.get(name)
        if product is None or len(inputs) <= max(product.values, product.weights):
            return None
        operands = inputs[product.values], inputs[product.weights]
        return operands if min(operands) >= 0 else None

    def _precision(self, name: str, inputs: list[int], outputs: list[int]) -> str:
        operands = self._operands(name, inputs)
        if operands:
            values, weights = (self._stored.get(index, self._tensors[index].type) for index in operands)
            return precision(values, weights)
        return self._tensors[inputs[0] if name == "DEQUANTIZE" and inputs else outputs[0]].precision

    def _macs(self, name: str, inputs: list[int], outputs: list[int]) -> int | None:
        """Count multiply-accumulates; None where a shape is unknown."""
        if name not in PRODUCTS:
            return 0
        operands = self._operands(name, inputs)
        if operands is None:
            return None
        out, values, weights = (self._tensors[index].shape for index in (outputs[0], *operands))
        if not out or not values or not weights:
            return None
        return PRODUCTS[name].macs(out, values, weights)

    def _written(self, outputs: list[int]) -> tuple[tuple[str, int], ...]:
        """Name the outputs whose sizes are known, with their bytes."""
        tensors = [self._tensors[index] for index in outputs]
        return tuple(
            (one.name, tensor_bytes(one.type, one.shape))
            for one in tensors
            if one.shape is not None and one.type != UNKNOWN
        )

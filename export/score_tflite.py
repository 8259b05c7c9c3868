"""The familiarity score in a TFLite file: where its features are, and the operators that compute it.

The file is unpacked by the flatbuffer schema, changed and packed again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from xray_infer.errors import ModelError
from xray_infer.export.familiarity import MIDDLE, Familiarity, Features, pooling_windows
from xray_infer.model.manifest import INPUT_NAME, SCORE_NAME
from xray_infer.train.adapt.tflite_packing import pack, unpack

KINDS: Final = schema.BuiltinOperator
OPTIONS: Final = schema.BuiltinOptions
TYPES: Final = {"float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32}


class TfliteScorer:
    """Adds outputs to one TFLite file; see `familiarity.Scorer`."""

    def __init__(self, graph: bytes) -> None:
        self._packed = graph
        tensor = _middle(unpack(graph)).tensor
        self.layer = f"{tensor.name.decode()}, {' x '.join(map(str, tensor.shape[1:]))}"

    def open_features(self) -> Features:
        """See `familiarity.Scorer`."""
        operators = _Operators(unpack(self._packed))
        operators.output(operators.pooled(), "features")
        interpreter = Interpreter(model_content=operators.pack(), num_threads=1)
        runner = interpreter.get_signature_runner()
        return lambda image: np.array(runner(**{INPUT_NAME: image[None]})["features"][0])

    def with_score(self, familiarity: Familiarity) -> bytes:
        """See `familiarity.Scorer`."""
        operators = _Operators(unpack(self._packed))
        count = len(familiarity.weights)
        centred = operators.arithmetic("SUB", operators.pooled(), operators.constant(familiarity.mean[None]))
        along = operators.dense(centred, familiarity.basis.T, count)
        weighted = operators.dense(operators.arithmetic("MUL", along, along), familiarity.weights[None], 1)
        norm = operators.sum(operators.arithmetic("MUL", centred, centred))
        factor = operators.constant(np.full((1, 1), familiarity.rest_weight, np.float32))
        both = operators.arithmetic("ADD", weighted, operators.arithmetic("MUL", norm, factor))
        operators.output(operators.reshape(both, (1,)), SCORE_NAME)
        return operators.pack()


class _Place:
    """Where the features are: the number of the operator that makes them, and their tensor."""

    def __init__(self, operator: int, index: int, tensor: Any) -> None:
        self.operator, self.index, self.tensor = operator, index, tensor


class _Operators:
    """Operators to be put right behind the one whose output they read; all tensors have a first side of 1."""

    def __init__(self, model: Any) -> None:
        self._model, (self._graph,) = model, model.subgraphs
        self._place = _middle(model)
        self._new: list[Any] = []

    def pooled(self) -> int:
        """Add the features, float32 [1, D]."""
        _, height, width, channels = (int(side) for side in self._place.tensor.shape)
        its = pooling_windows(height, width)
        quarters = self._average(
            self._place.index, (its.rows, its.columns), (its.down, its.across), (1, 2, 2, channels)
        )
        halves = self._average(quarters, (1, 2), (1, 1), (1, 2, 1, channels))
        return self.reshape(halves, (1, 2 * channels))

    def _average(
        self, values: int, size: tuple[int, int], apart: tuple[int, int], shape: tuple[int, ...]
    ) -> int:
        """Add an average over windows of rows and columns."""
        options = schema.Pool2DOptionsT()
        options.filterHeight, options.filterWidth = size
        options.strideH, options.strideW = apart
        options.padding = schema.Padding.VALID
        return self._add("AVERAGE_POOL_2D", [values], shape, "Pool2D", options)

    def arithmetic(self, kind: str, first: int, second: int) -> int:
        """Add ADD, SUB or MUL of two tensors of the first one's shape."""
        names = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul"}
        options = getattr(schema, f"{names[kind]}OptionsT")()
        return self._add(kind, [first, second], self._graph.tensors[first].shape, names[kind], options)

    def dense(self, values: int, weights: NDArray[np.float32], count: int) -> int:
        """Add a product with weights [count, values]."""
        inputs = [values, self.constant(weights), -1]
        options = schema.FullyConnectedOptionsT()
        return self._add("FULLY_CONNECTED", inputs, (1, count), "FullyConnected", options)

    def sum(self, values: int) -> int:
        """Add a sum over the last side, which is kept."""
        options = schema.ReducerOptionsT()
        options.keepDims = True
        return self._add("SUM", [values, self.constant(np.array([1], np.int32))], (1, 1), "Reducer", options)

    def reshape(self, values: int, shape: tuple[int, ...]) -> int:
        """Add a change of shape."""
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        wanted = self.constant(np.array(shape, np.int32))
        return self._add("RESHAPE", [values, wanted], shape, "Reshape", options)

    def constant(self, values: NDArray[Any]) -> int:
        """Add a constant and return its tensor's number."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        return self._tensor(values.shape, values.dtype.name, len(self._model.buffers) - 1)

    def output(self, index: int, name: str) -> None:
        """Name a tensor as an output of the graph and of its signature."""
        self._graph.outputs = [*(int(one) for one in self._graph.outputs), index]
        named = schema.TensorMapT()
        named.name, named.tensorIndex = name, index
        (signature,) = self._model.signatureDefs
        signature.outputs.append(named)

    def pack(self) -> bytes:
        """Return the whole file."""
        behind = self._place.operator + 1
        self._graph.operators[behind:behind] = self._new
        self._new = []
        return pack(self._model)

    def _add(self, kind: str, inputs: list[int], shape: Any, family: str, options: Any) -> int:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(getattr(KINDS, kind))
        operator.builtinOptionsType = getattr(OPTIONS, f"{family}Options")
        operator.builtinOptions = options
        output = self._tensor(shape, "float32", 0)
        operator.inputs, operator.outputs = inputs, [output]
        self._new.append(operator)
        return output

    def _code(self, kind: int) -> int:
        codes = self._model.operatorCodes
        known = [number for number, code in enumerate(codes) if code.builtinCode == kind]
        if known:
            return known[0]
        code = schema.OperatorCodeT()
        # Readers of before 2021 look into the older field, which ends at 127.
        code.builtinCode = code.deprecatedBuiltinCode = kind
        code.version = 1
        codes.append(code)
        return len(codes) - 1

    def _tensor(self, shape: Any, dtype: str, buffer: int) -> int:
        tensor = schema.TensorT()
        tensor.name = f"{SCORE_NAME}/{len(self._graph.tensors)}".encode()
        tensor.shape = [int(side) for side in shape]
        tensor.type, tensor.buffer, tensor.hasRank = TYPES[dtype], buffer, True
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1


def _middle(model: Any) -> _Place:
    """Find what the convolution of a transition reads, in float. Raises ModelError."""
    averages = list(_averages(model))
    if len(averages) < MIDDLE:
        raise ModelError("the graph has no two transitions, between which its features are")
    return averages[-MIDDLE]


def _averages(model: Any) -> Iterator[_Place]:
    """Yield the depthwise convolutions that average 2 x 2 pixels in the transitions, in order."""
    (graph,) = model.subgraphs
    for number, operator in enumerate(graph.operators):
        options = operator.builtinOptions
        if model.operatorCodes[operator.opcodeIndex].builtinCode == KINDS.DEPTHWISE_CONV_2D:
            kernel = graph.tensors[operator.inputs[1]]
            if list(kernel.shape[1:3]) == [2, 2] == [options.strideH, options.strideW]:
                index = int(operator.outputs[0])
                yield _Place(number, index, graph.tensors[index])

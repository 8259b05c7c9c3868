"""The head of an exported TFLite file: found by structure, replaced; nothing else in the graph changes.

    maps -> CONV_2D 1x1 = cam -> MEAN -> ADD bias -> MUL 1 / temperature -> SOFTMAX -> probabilities

A float16 file has its weights behind a DEQUANTIZE, and gets float16 again.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from xray_infer.model.embedding import append_tflite_manifest
from xray_infer.model.manifest import INPUT_NAME, ModelManifest
from xray_infer.train.adapt.head_file import Maps, no_head
from xray_infer.train.adapt.regression import Linear
from xray_infer.train.adapt.tflite_packing import pack, unpack

KINDS: Final = schema.BuiltinOperator
FLOATS: Final = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.FLOAT16: np.float16}


class TfliteHead:
    """One file's head; see `head_file.HeadFile`. Raises ModelError for a graph of another structure."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        _Graph(unpack(packed))

    def open_maps(self) -> Maps:
        """See `head_file.HeadFile`."""
        graph = _Graph(unpack(self._packed))
        graph.add_output(int(graph.conv.inputs[0]), "maps")
        runner = Interpreter(model_content=pack(graph.model), num_threads=1).get_signature_runner()
        return lambda image: np.array(runner(**{INPUT_NAME: image[None]})["maps"][0])

    def with_head(self, head: Linear, temperature: float) -> bytes:
        """See `head_file.HeadFile`."""
        graph = _Graph(unpack(self._packed))
        classes = head.weights.shape[1]
        _, kernel, zeros = (int(one) for one in graph.conv.inputs)
        graph.set_constant(kernel, head.weights.T[:, None, None, :])
        graph.set_constant(zeros, np.zeros(classes))
        graph.set_constant(graph.bias, head.bias)
        graph.set_constant(graph.factor, np.array(1 / temperature if graph.multiplies else temperature))
        graph.resize_behind(classes)
        return pack(graph.model)

    def embed(self, packed: bytes, manifest: ModelManifest) -> bytes:
        """See `head_file.HeadFile`."""
        return append_tflite_manifest(packed, manifest)


class _Graph:
    """A model, unpacked, with the operators of its head."""

    def __init__(self, model: Any) -> None:
        self.model = model
        (self._graph,), (self._signature,) = model.subgraphs, model.signatureDefs
        self._makers = {int(one): made for made in self._graph.operators for one in made.outputs}
        outputs = {one.name.decode(): int(one.tensorIndex) for one in self._signature.outputs}
        softmax = self._maker(outputs["probabilities"], "SOFTMAX")
        scaling = self._maker(int(softmax.inputs[0]), "MUL", "DIV")
        adding = self._maker(int(scaling.inputs[0]), "ADD")
        self.conv = self._maker(outputs["cam"], "CONV_2D")
        self.bias, self.factor = int(adding.inputs[1]), int(scaling.inputs[1])
        self.multiplies = self._kind(scaling) == KINDS.MUL
        for index in (int(self.conv.inputs[1]), int(self.conv.inputs[2]), self.bias, self.factor):
            self._constant(index)

    def _kind(self, operator: Any) -> int:
        return int(self.model.operatorCodes[operator.opcodeIndex].builtinCode)

    def _maker(self, index: int, *kinds: str) -> Any:
        """Return the operator that makes a tensor, which is of one of these kinds."""
        found = self._makers.get(index)
        if found is None or self._kind(found) not in [getattr(KINDS, kind) for kind in kinds]:
            raise no_head(f"tensor {index} is not made by {' or '.join(kinds)}")
        return found

    def _constant(self, index: int) -> tuple[Any, Any | None]:
        """Return the tensor that holds a constant, and the one that reads it if that is another."""
        tensor, maker = self._graph.tensors[index], self._makers.get(index)
        reader = None
        if maker is not None and self._kind(maker) == KINDS.DEQUANTIZE:
            tensor, reader = self._graph.tensors[int(maker.inputs[0])], tensor
        if tensor.type not in FLOATS or self.model.buffers[tensor.buffer].data is None:
            raise no_head("its constants are not float")
        return tensor, reader

    def set_constant(self, index: int, values: NDArray[np.float64]) -> None:
        """Give a constant other values, in a buffer of its own, and their shape unless it is one number."""
        tensor, reader = self._constant(index)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values, FLOATS[tensor.type]).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        old, tensor.buffer = tensor.buffer, len(self.model.buffers) - 1
        if values.ndim:
            for one in (tensor, reader):
                if one is not None:
                    one.shape = np.array(values.shape, np.int32)
        if all(other.buffer != old for other in self._graph.tensors):
            self.model.buffers[old].data = None

    def resize_behind(self, classes: int) -> None:
        """Give all that is made from the head's maps as many channels as there are classes."""
        behind = {int(one) for one in self.conv.outputs}
        for operator in self._graph.operators:
            if behind & {int(one) for one in operator.inputs}:
                behind |= {int(one) for one in operator.outputs}
        for index in behind:
            tensor = self._graph.tensors[index]
            tensor.shape = np.array([*tensor.shape[:-1], classes], np.int32)
            if tensor.shapeSignature is not None:
                tensor.shapeSignature = np.array([*tensor.shapeSignature[:-1], classes], np.int32)

    def add_output(self, index: int, name: str) -> None:
        """Name a tensor as an output of the graph and of its signature."""
        self._graph.outputs = [*(int(one) for one in self._graph.outputs), index]
        named = schema.TensorMapT()
        named.name, named.tensorIndex = name, index
        self._signature.outputs.append(named)

"""The head of an exported ONNX file: found by structure, replaced; nothing else in the graph changes.

maps -> Conv 1x1 -> Transpose -> cam
           '-> mean over h x w -> Add bias -> Div temperature -> Softmax -> probabilities
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from xray_infer.model.embedding import MANIFEST_KEY
from xray_infer.model.manifest import INPUT_NAME, ModelManifest
from xray_infer.train.adapt.head_file import Maps, no_head
from xray_infer.train.adapt.regression import Linear


class OnnxHead:
    """One file's head; see `head_file.HeadFile`. Raises ModelError for a graph of another structure."""

    def __init__(self, packed: bytes) -> None:
        self._model = onnx.load_from_string(packed)
        graph = self._model.graph
        makers = {name: node for node in graph.node for name in node.output}
        softmax = _maker(makers, "probabilities", "Softmax")
        divide = _maker(makers, softmax.input[0], "Div")
        add = _maker(makers, divide.input[0], "Add")
        conv = _maker(makers, _maker(makers, "cam", "Transpose").input[0], "Conv")
        self._maps, self._kernel, self._zeros = conv.input
        self._bias, self._temperature = add.input[1], divide.input[1]
        constants = {one.name: one for one in graph.initializer}
        names = (self._kernel, self._zeros, self._bias, self._temperature)
        if any(constants.get(name, onnx.TensorProto()).data_type != onnx.TensorProto.FLOAT for name in names):
            raise no_head("its constants are not float32")
        self._constants = constants

    def open_maps(self) -> Maps:
        """See `head_file.HeadFile`."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(self._maps, onnx.TensorProto.FLOAT, None)
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
        )
        name = self._maps

        def run(image: NDArray[np.uint8]) -> NDArray[np.float32]:
            (found,) = session.run([name], {INPUT_NAME: image[None]})
            return np.asarray(found[0]).transpose(1, 2, 0)

        return run

    def with_head(self, head: Linear, temperature: float) -> bytes:
        """See `head_file.HeadFile`."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        classes = head.weights.shape[1]
        sides = list(self._constants[self._temperature].dims)
        values: dict[str, Any] = {
            self._kernel: head.weights.T[:, :, None, None],
            self._zeros: np.zeros(classes),
            self._bias: head.bias,
            self._temperature: np.full(sides, temperature),
        }
        for one in model.graph.initializer:
            if one.name in values:
                made = np.ascontiguousarray(values[one.name], np.float32).reshape(values[one.name].shape)
                one.CopyFrom(numpy_helper.from_array(made, one.name))
        for output in model.graph.output:
            if output.name in ("probabilities", "cam"):
                output.type.tensor_type.shape.dim[-1].dim_value = classes
        del model.graph.value_info[:]  # sides that were inferred for the old head
        del model.metadata_props[:]
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def embed(self, packed: bytes, manifest: ModelManifest) -> bytes:
        """See `head_file.HeadFile`."""
        model = onnx.load_from_string(packed)
        onnx.helper.set_model_props(model, {MANIFEST_KEY: manifest.to_json()})
        return bytes(model.SerializeToString(deterministic=True))


def _maker(makers: dict[str, Any], name: str, kind: str) -> Any:
    """Return the node that makes a tensor, which is of this kind."""
    node = makers.get(name)
    if node is None or node.op_type != kind:
        raise no_head(f"{name} is not made by {kind}")
    return node

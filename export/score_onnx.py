"""The familiarity score in an ONNX file: where its features are, and the nodes that compute it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from xray_infer.errors import ModelError
from xray_infer.export.familiarity import MIDDLE, Familiarity, Features, PoolingWindows, pooling_windows
from xray_infer.model.manifest import INPUT_NAME, SCORE_NAME


class OnnxScorer:
    """Adds outputs to one ONNX file; see `familiarity.Scorer`."""

    def __init__(self, graph: bytes) -> None:
        self._model = onnx.load_from_string(graph)
        self._place, shape = _middle(self._model)
        self.layer = f"{self._place}, {' x '.join(map(str, shape))}"
        self._windows = pooling_windows(*shape[1:])

    def open_features(self) -> Features:
        """See `familiarity.Scorer`."""
        model, nodes = self._copy("features")  # a file that has the score can be asked too
        features = nodes.pooled()
        nodes.insert()
        model.graph.output.append(helper.make_tensor_value_info(features, TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
        )

        def run(image: NDArray[np.uint8]) -> NDArray[np.float32]:
            (found,) = session.run([features], {INPUT_NAME: image[None]})
            return np.asarray(found[0])

        return run

    def with_score(self, familiarity: Familiarity) -> bytes:
        """See `familiarity.Scorer`."""
        model, nodes = self._copy(SCORE_NAME)
        centred = nodes.add("Sub", nodes.pooled(), nodes.constant(familiarity.mean))
        along = nodes.add("MatMul", centred, nodes.constant(familiarity.basis))
        squares = nodes.add("Mul", along, along)
        weighted = nodes.add("MatMul", squares, nodes.constant(familiarity.weights[:, None]))
        everything = nodes.add("Mul", centred, centred)
        axes = nodes.constant(np.array([1], np.int64))
        norm = nodes.add("ReduceSum", everything, axes, keepdims=1)
        rest = nodes.add("Mul", norm, nodes.constant(np.float32(familiarity.rest_weight)))
        both = nodes.add("Add", weighted, rest)
        nodes.add("Reshape", both, nodes.constant(np.array([-1], np.int64)), output=SCORE_NAME)
        nodes.insert()
        batch = model.graph.input[0].type.tensor_type.shape.dim[0]
        shape = [batch.dim_param or batch.dim_value]
        model.graph.output.append(helper.make_tensor_value_info(SCORE_NAME, TensorProto.FLOAT, shape))
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _copy(self, prefix: str) -> tuple[onnx.ModelProto, _Nodes]:
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        return model, _Nodes(model.graph, prefix, self._place, self._windows)


class _Nodes:
    """Nodes to be put right behind the one whose output they read, so that it is not kept for long."""

    def __init__(self, graph: onnx.GraphProto, prefix: str, place: str, windows: PoolingWindows) -> None:
        self._graph, self._prefix, self._place, self._windows = graph, prefix, place, windows
        self._new: list[onnx.NodeProto] = []

    def pooled(self) -> str:
        """Add the features, float32 [N, D]."""
        its = self._windows
        size, apart = [its.rows, its.columns], [its.down, its.across]
        quarters = self.add("AveragePool", self._place, kernel_shape=size, strides=apart)
        halves = self.add("AveragePool", quarters, kernel_shape=[1, 2])
        return self.add("Flatten", halves, axis=1)

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = f"{self._prefix}/{len(self._new)}"
        output = output or name
        self._new.append(helper.make_node(kind, list(inputs), [output], name=name, **attributes))
        return output

    def constant(self, values: NDArray[np.generic] | np.float32) -> str:
        name = f"{self._prefix}/constant_{len(self._graph.initializer)}"
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def insert(self) -> None:
        nodes = list(self._graph.node)
        (behind,) = (number for number, node in enumerate(nodes) if self._place in node.output)
        nodes[behind + 1 : behind + 1] = self._new
        del self._graph.node[:]
        self._graph.node.extend(nodes)


def _middle(model: onnx.ModelProto) -> tuple[str, tuple[int, int, int]]:
    """Return what the convolution of a transition reads: its name, channels, height and width.

    In an int8 file it is taken from behind the rounding: a second reader before it would keep the
    convolution there from computing on integers. Raises ModelError.
    """
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    averages = list(_averages(model.graph))
    if len(averages) < MIDDLE:
        raise ModelError("the graph has no two transitions, between which its features are")
    place = averages[-MIDDLE].output[0]
    shapes = {one.name: one.type.tensor_type.shape for one in _inferred(model).graph.value_info}
    _, *shape = (one.dim_value for one in shapes[place].dim)
    for kind in ("QuantizeLinear", "DequantizeLinear"):
        place = next((node.output[0] for node in users[place] if node.op_type == kind), place)
    return place, (shape[0], shape[1], shape[2])


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.shape_inference.infer_shapes(model)


def _averages(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the depthwise convolutions that average 2 x 2 pixels in the transitions, in order."""
    for node in graph.node:
        if node.op_type == "Conv":
            attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
            size, stride = attributes.get("kernel_shape"), attributes.get("strides")
            if size == stride == [2, 2] and attributes.get("group", 1) > 1:
                yield node

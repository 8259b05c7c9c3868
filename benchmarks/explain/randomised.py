"""Sanity checks of heat maps (Adebayo et al. 2018): a model whose weights are shuffled must give other maps.

An ONNX file is edited itself: in each convolution's kernel the values change places, so that scales, zero
points and the distribution of values stay and only what was learned is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np
import onnx
from onnx import numpy_helper

from xray_infer.errors import ModelError

QUANTISED: Final = "DequantizeLinear"


def shuffled(graph: bytes, part: str, *, seed: int) -> bytes:
    """Return an ONNX file with the kernels of `part`, a name in PARTS, shuffled; nothing else changes.

    Raises ModelError when there is no such convolution.
    """
    model = onnx.load_from_string(graph)
    rng = np.random.default_rng(seed)
    constants = {one.name: one for one in model.graph.initializer}
    names = [_kernel(model.graph, node) for node in PARTS[part](model.graph)]
    if not names:
        raise ModelError(f"the graph has no convolution of the {part}")
    for name in dict.fromkeys(names):
        values = numpy_helper.to_array(constants[name])
        mixed = rng.permutation(values.ravel()).reshape(values.shape)
        constants[name].CopyFrom(numpy_helper.from_array(mixed, name))
    return bytes(model.SerializeToString(deterministic=True))


def _head(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the convolution whose output, transposed, is `cam`."""
    makers = {name: node for node in graph.node for name in node.output}
    node = makers.get("cam")
    while node is not None and node.op_type != "Conv":
        node = makers.get(node.input[0])
    if node is not None:
        yield node


def _backbone(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield all other convolutions but the depthwise ones, which normalise and average."""
    head = {node.name for node in _head(graph)}
    for node in graph.node:
        groups = next((one.i for one in node.attribute if one.name == "group"), 1)
        if node.op_type == "Conv" and groups == 1 and node.name not in head:
            yield node


PARTS: Final[Mapping[str, Callable[[onnx.GraphProto], Iterator[onnx.NodeProto]]]] = {
    "head": _head,
    "backbone": _backbone,
}


def _kernel(graph: onnx.GraphProto, node: onnx.NodeProto) -> str:
    """Return the name of a convolution's kernel among the constants, from before its DequantizeLinear."""
    makers = {name: one for one in graph.node for name in one.output}
    name = node.input[1]
    while name in makers and makers[name].op_type == QUANTISED:
        name = makers[name].input[0]
    return str(name)

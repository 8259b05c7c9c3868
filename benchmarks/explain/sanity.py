"""Sanity checks of heat maps (Adebayo et al. 2018): a model whose weights are shuffled must give other maps.

A model file is edited itself: in each convolution's kernel the values change places, so that scales, zero
points and the distribution of values stay, and only what was learned is gone. Depthwise convolutions, which
normalise and average, stay as they are. How alike two maps are is measured by rank, value and structure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from xray_infer.benchmarks.explain.simple_maps import Map
from xray_infer.errors import ModelError
from xray_infer.model.embedding import append_tflite_manifest, read_tflite_manifest
from xray_infer.model.runtimes import Model

HEAD, BACKBONE = "head", "backbone"
PARTS: Final = (HEAD, BACKBONE)


def shuffled(model: Model, part: str, *, seed: int) -> bytes:
    """Return a model file with the kernels of `part`, one of PARTS, shuffled; nothing else changes.

    The head is the convolution that makes `cam`, the backbone all others. Raises ModelError for a file that
    has none.
    """
    edited = EDITORS[model.format](model.path, part, np.random.default_rng(seed))
    if edited is None:
        raise ModelError(f"{model.path}: the graph has no convolution of the {part}")
    return edited


def _shuffle_onnx(path: Path, part: str, rng: np.random.Generator) -> bytes | None:
    model = onnx.load(path)
    constants = {one.name: one for one in model.graph.initializer}
    kernels = _onnx_kernels(model.graph)
    chosen = [name for name, is_head in kernels.items() if is_head == (part == HEAD)]
    for name in chosen:
        values = numpy_helper.to_array(constants[name])
        mixed = rng.permutation(values.ravel()).reshape(values.shape)
        constants[name].CopyFrom(numpy_helper.from_array(mixed, name))
    return bytes(model.SerializeToString(deterministic=True)) if chosen else None


def _onnx_kernels(graph: onnx.GraphProto) -> dict[str, bool]:
    """Return the names of the constants that are kernels, and whether each is the head's."""
    producers = {name: node for node in graph.node for name in node.output}

    def origin(name: str, *through: str) -> str:
        """Return what a value is made from by operators of these kinds."""
        while name in producers and producers[name].op_type in through:
            name = producers[name].input[0]
        return name

    head = origin("cam", "Transpose")
    kernels = {}
    for node in graph.node:
        groups = next((one.i for one in node.attribute if one.name == "group"), 1)
        if node.op_type == "Conv" and groups == 1:
            kernels[origin(node.input[1], "DequantizeLinear")] = head in node.output
    return kernels


def _shuffle_tflite(path: Path, part: str, rng: np.random.Generator) -> bytes | None:
    from ai_edge_litert import schema_py_generated as schema

    from xray_infer.export.score_tflite import TYPES
    from xray_infer.train.adapt.tflite_packing import pack, unpack

    types = {**{kind: name for name, kind in TYPES.items()}, schema.TensorType.INT8: "int8"}
    model = unpack(path.read_bytes())
    buffers = [
        (tensor, model.buffers[tensor.buffer])
        for tensor, is_head in _tflite_kernels(model)
        if is_head == (part == HEAD)
    ]
    for tensor, buffer in buffers:
        values = np.asarray(buffer.data, np.uint8).view(types[tensor.type])
        buffer.data = rng.permutation(values).view(np.uint8)
    return append_tflite_manifest(pack(model), read_tflite_manifest(path)) if buffers else None


def _tflite_kernels(model: Any) -> Iterator[tuple[Any, bool]]:
    """Yield the tensors that are kernels, and whether each is the head's."""
    from ai_edge_litert import schema_py_generated as schema

    (graph,), (signature,) = model.subgraphs, model.signatureDefs
    cam = {one.tensorIndex for one in signature.outputs if one.name in (b"cam", "cam")}
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.CONV_2D:
            yield graph.tensors[operator.inputs[1]], bool(cam & {int(one) for one in operator.outputs})


EDITORS: Final[Mapping[str, Callable[[Path, str, np.random.Generator], bytes | None]]] = {
    "onnx": _shuffle_onnx,
    "tflite": _shuffle_tflite,
}


CELLS: Final = 14  # maps are compared at this side
WINDOW: Final = 7  # of the structural similarity, in such cells
STABILISERS: Final = (0.01**2, 0.03**2)  # of maps in 0..1, as in the paper


def spearman(first: Map, second: Map) -> float:
    """Return the rank correlation, equal values sharing their mean rank; 0 where a map is flat."""
    return pearson(_ranks(first), _ranks(second))


def pearson(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Return the correlation; 0 where a map is flat."""
    one, other = (np.asarray(each, np.float64) - np.mean(each, dtype=np.float64) for each in (first, second))
    norm = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / norm if norm > 0 else 0.0


def ssim(first: Map, second: Map) -> float:
    """Return the structural similarity (Wang et al. 2004) of maps over their maxima, in 7 x 7 windows."""
    one, other = (each / max(float(each.max()), float(np.finfo(np.float32).tiny)) for each in (first, second))
    mean_one, mean_other = _mean(one), _mean(other)
    spread_one, spread_other = _mean(one**2) - mean_one**2, _mean(other**2) - mean_other**2
    joint = _mean(one * other) - mean_one * mean_other
    light, contrast = STABILISERS
    found = (2 * mean_one * mean_other + light) * (2 * joint + contrast)
    found /= (mean_one**2 + mean_other**2 + light) * (spread_one + spread_other + contrast)
    return float(found.mean())


SIMILARITIES: Final[Mapping[str, Callable[[Map, Map], float]]] = {
    "Spearman": spearman,
    "Pearson": pearson,
    "SSIM": ssim,
}


def compare(first: Map, second: Map) -> dict[str, float]:
    """Return every figure of SIMILARITIES of two maps of any size, compared at 14 x 14."""
    one, other = _at_one_size(first), _at_one_size(second)
    return {name: round(measure(one, other), 4) for name, measure in SIMILARITIES.items()}


def _at_one_size(heat: Map) -> Map:
    how = cv2.INTER_AREA if heat.shape[0] > CELLS else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(heat, (CELLS, CELLS), interpolation=how), np.float32)


def _mean(plane: Map) -> NDArray[np.float64]:
    blurred = cv2.blur(plane.astype(np.float64), (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, np.float64)


def _ranks(heat: Map) -> NDArray[np.float64]:
    """Return each cell's rank; equal ones share their mean."""
    _, inverse, counts = np.unique(heat, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse.reshape(heat.shape)] + 0.5

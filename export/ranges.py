"""The ranges of activations that static quantisation needs, collected once for all formats.

They belong to convolutions, counted in order of execution, not to one format's tensors: the ONNX and the
TFLite graph are the same chain of convolutions, so one collection on the float32 ONNX graph serves both.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator

from xray_infer.manifest import INPUT_NAME

Range = tuple[float, float]

# The keys are `recipes.CALIBRATIONS`. Percentiles are of each tensor's values, not of their absolute values:
# a ReLU's output has one side.
METHODS: Final[dict[str, tuple[CalibrationMethod, dict[str, Any]]]] = {
    "minmax": (CalibrationMethod.MinMax, {}),
    "percentile": (CalibrationMethod.Percentile, {"symmetric": False, "percentile": 99.99}),
    "entropy": (CalibrationMethod.Entropy, {}),
}
IMAGES_AT_ONCE: Final = 4  # whose activations are in memory together, about 60 MB each for DenseNet121


@dataclass(frozen=True, slots=True)
class LayerRanges:
    """Lowest and highest value that each convolution takes in and gives out, by one calibration method.

    An output is that of the ReLU where one follows, since it is absorbed into the convolution.
    """

    method: str
    inputs: tuple[Range, ...]
    outputs: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution of an ONNX graph; `activated` is the output of the ReLU that follows, or its own."""

    node: onnx.NodeProto
    activated: str


def convolutions(graph: onnx.GraphProto) -> tuple[Convolution, ...]:
    """List a graph's convolutions in order of execution, but the last.

    That one makes the class activation map. It stays in float: three filters, and what they round is the
    answer.
    """
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = []
    for node in graph.node:
        if node.op_type == "Conv":
            following = readers.get(node.output[0], [])
            relu = len(following) == 1 and following[0].op_type == "Relu"
            found.append(Convolution(node, following[0].output[0] if relu else node.output[0]))
    return tuple(found[:-1])


class _Images(CalibrationDataReader):
    def __init__(self, images: Iterable[NDArray[np.uint8]]) -> None:
        self._images: Iterator[NDArray[np.uint8]] = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:  # type: ignore[override]
        image = next(self._images, None)
        return None if image is None else {INPUT_NAME: image[None]}


def collect_ranges(model: onnx.ModelProto, images: Iterable[NDArray[np.uint8]], method: str) -> LayerRanges:
    """Run uint8 [224, 224, 1] images through a float32 graph; memory does not grow with their number.

    `method` is a key of METHODS: the extremes; the central 99.99 % of values; or the range whose histogram
    loses the least information in 8 bits, by Kullback-Leibler divergence (Migacz 2017, as in ONNX Runtime).
    """
    layers = convolutions(model.graph)
    calibration_method, options = METHODS[method]
    silence = redirect_stdout(io.StringIO())  # the calibrator prints; standard output is for results
    with tempfile.TemporaryDirectory(prefix="xray-export-") as folder, silence:
        path = Path(folder, "model.onnx")
        onnx.save(model, path)
        calibrator = create_calibrator(
            path,
            ["Conv", "Relu"],
            augmented_model_path=Path(folder, "augmented.onnx").as_posix(),
            calibrate_method=calibration_method,
            extra_options=options,
        )
        remaining = iter(images)
        while some := list(islice(remaining, IMAGES_AT_ONCE)):
            calibrator.collect_data(_Images(some))
        found = calibrator.compute_data()

    def extent(tensor: str) -> Range:
        low, high = found[tensor].range_value
        return float(np.squeeze(low)), float(np.squeeze(high))  # MinMax gives arrays of one value

    return LayerRanges(
        method,
        inputs=tuple(extent(layer.node.input[0]) for layer in layers),
        outputs=tuple(extent(layer.activated) for layer in layers),
    )

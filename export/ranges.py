"""What static quantisation has to know of activations, collected on calibration images for all formats.

It belongs to the network's convolutions, not to one format's tensors, and is collected on the float32 ONNX
file. Images are streamed: memory does not grow with their number.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator

from xray_infer.export.densenet import DenseNet
from xray_infer.export.equalisation import Channels, Statistics, flat
from xray_infer.manifest import INPUT_NAME

Range = tuple[float, float]
UNIT: Final[Range] = (0.0, 1.0)
"""The range of whatever enters a concatenation, after equalisation."""

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
    """Lowest and highest value that each convolution gives out, its ReLU included, by one calibration method.

    In the order of `equalisation.flat`.
    """

    method: str
    outputs: tuple[Range, ...]


def outputs_of(model: onnx.ModelProto, network: DenseNet) -> list[str]:
    """Name the tensors that an ONNX file's convolutions give out, in the order of `equalisation.flat`."""
    relus = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "Relu"}
    made = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
    count = sum(1 for _ in flat(network))
    return [relus.get(name, name) for name in made[:count]]


def collect_statistics(
    model: onnx.ModelProto, network: DenseNet, images: Iterable[NDArray[np.uint8]]
) -> Statistics:
    """Run uint8 [224, 224, 1] images through a float32 file and gather each channel's extremes and mean."""
    names = outputs_of(model, network)
    session = InferenceSession(_with_outputs(model, names), providers=["CPUExecutionProvider"])
    found: list[list[NDArray[np.float64]]] = []
    gray = []
    for image in images:
        gray.append(float(image.mean()))
        values = session.run(names, {INPUT_NAME: image[None]})
        rows = [np.stack([one.min((0, 2, 3)), one.max((0, 2, 3)), one.mean((0, 2, 3))]) for one in values]
        found = (
            [[low, high, total] for low, high, total in rows]
            if not found
            else [
                [np.minimum(low, row[0]), np.maximum(high, row[1]), total + row[2]]
                for (low, high, total), row in zip(found, rows, strict=True)
            ]
        )
    channels = iter(
        Channels(low.astype(np.float64), high.astype(np.float64), total.astype(np.float64) / len(gray))
        for low, high, total in found
    )
    outputs = tuple(tuple(islice(channels, len(unit))) for unit in network.units())
    return Statistics(float(np.mean(gray)), outputs)


def _with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> bytes:
    wider = onnx.ModelProto()
    wider.CopyFrom(model)
    wider.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return wider.SerializeToString()


class _Images(CalibrationDataReader):
    def __init__(self, images: Iterable[NDArray[np.uint8]]) -> None:
        self._images: Iterator[NDArray[np.uint8]] = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:  # type: ignore[override]
        image = next(self._images, None)
        return None if image is None else {INPUT_NAME: image[None]}


def collect_ranges(
    model: onnx.ModelProto, network: DenseNet, images: Iterable[NDArray[np.uint8]], method: str
) -> LayerRanges:
    """Run uint8 [224, 224, 1] images through a float32 file and range what its ReLUs give out.

    `method` is a key of METHODS: the extremes; the central 99.99 % of values; or the range whose histogram
    loses the least information in 8 bits, by Kullback-Leibler divergence (Migacz 2017, as in ONNX Runtime).
    An average keeps to the range of what it averages; what enters a concatenation is equalised.
    """
    calibration_method, options = METHODS[method]
    silence = redirect_stdout(io.StringIO())  # the calibrator prints; standard output is for results
    with tempfile.TemporaryDirectory(prefix="xray-export-") as folder, silence:
        path = Path(folder, "model.onnx")
        onnx.save(model, path)
        calibrator = create_calibrator(
            path,
            ["Relu"],
            augmented_model_path=Path(folder, "augmented.onnx").as_posix(),
            calibrate_method=calibration_method,
            extra_options=options,
        )
        remaining = iter(images)
        while some := list(islice(remaining, IMAGES_AT_ONCE)):
            calibrator.collect_data(_Images(some))
        found = calibrator.compute_data()
    names = iter(outputs_of(model, network))
    outputs: list[Range] = []
    for unit in network.units():
        for place, (convolution, name) in enumerate(zip(unit, names, strict=False)):
            if place == len(unit) - 1:
                outputs.append(UNIT)
            elif convolution.relu:
                low, high = found[name].range_value
                outputs.append((float(np.squeeze(low)), float(np.squeeze(high))))
            else:
                outputs.append(outputs[-1])
    return LayerRanges(method, tuple(outputs))

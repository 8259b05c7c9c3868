"""What static quantisation has to know of activations, collected on calibration images for all formats.

It belongs to the network's convolutions, not to one format's tensors, and is collected in ONNX Runtime.
Images are streamed: memory does not grow with their number.
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
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from onnxruntime.quantization import CalibrationMethod, create_calibrator

from xray_infer.export.densenet import WHITE, Array, Convolution, DenseNet
from xray_infer.export.int8_network import Channels, Statistics, StemInput, flat
from xray_infer.export.to_onnx import to_onnx
from xray_infer.model.manifest import INPUT_NAME

Range = tuple[float, float]
UNIT: Final[Range] = (0.0, 1.0)
"""The range of whatever enters a concatenation, after equalisation."""

# The keys are `recipes.CALIBRATIONS`. Percentiles are of each tensor's values, not of their absolute values:
# a ReLU's output has one side.
CALIBRATORS: Final[dict[str, tuple[CalibrationMethod, dict[str, Any]]]] = {
    "minmax": (CalibrationMethod.MinMax, {}),
    "percentile": (CalibrationMethod.Percentile, {"symmetric": False, "percentile": 99.99}),
    "entropy": (CalibrationMethod.Entropy, {}),
}
IMAGES_AT_ONCE: Final = 4  # whose activations are in memory together, about 60 MB each for DenseNet121


@dataclass(frozen=True, slots=True)
class LayerRanges:
    """Lowest and highest value that each convolution gives out, its ReLU included, by one calibration method.

    In the order of `int8_network.flat`.
    """

    method: str
    outputs: tuple[Range, ...]


def outputs_of(model: onnx.ModelProto, network: DenseNet) -> list[str]:
    """Name the tensors that an ONNX file's convolutions give out, in the order of `int8_network.flat`."""
    relus = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "Relu"}
    outputs = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
    count = sum(1 for _ in flat(network))
    return [relus.get(name, name) for name in outputs[:count]]


def collect_statistics(network: DenseNet, images: Iterable[NDArray[np.uint8]]) -> Statistics:
    """Run uint8 [side, side, 1] images through a network and gather what `int8_network.for_int8` needs."""
    model = to_onnx(network)
    names = outputs_of(model, network)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: list[list[NDArray[np.float64]]] = []
    window = _StemInputs(network.stem, network.centre)
    count = 0
    for count, image in enumerate(images, 1):  # noqa: B007
        window.add(image)
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
        Channels(low.astype(np.float64), high.astype(np.float64), total.astype(np.float64) / count)
        for low, high, total in found
    )
    outputs = tuple(tuple(islice(channels, len(unit))) for unit in network.units())
    return Statistics(window.moments(), outputs)


class _StemInputs:
    """Sums over all windows that the stem sees; of integers, so exact, whatever the order."""

    def __init__(self, stem: Convolution, centre: int) -> None:
        self._stem, self._centre = stem, centre
        size = int(np.prod(stem.kernel.shape[:3]))
        self._count = 0
        self._sum: Array = np.zeros(size)
        self._products: Array = np.zeros((size, size))

    def add(self, image: NDArray[np.uint8]) -> None:
        """Take in an image, uint8 [height, width, 1]."""
        height, width, _ = self._stem.kernel.shape[:3]
        gray = image.astype(np.float64)
        planes = np.concatenate([gray, np.full_like(gray, WHITE)], axis=2) - self._centre
        sides = (self._stem.padding, self._stem.padding)
        seen = sliding_window_view(np.pad(planes, (sides, sides, (0, 0))), (height, width), axis=(0, 1))
        strided = seen[:: self._stem.stride, :: self._stem.stride].transpose(0, 1, 3, 4, 2)
        rows = strided.reshape(-1, len(self._sum))
        self._count += len(rows)
        self._sum += rows.sum(axis=0)
        self._products += rows.T @ rows

    def moments(self) -> StemInput:
        """Return mean and covariance."""
        mean = self._sum / self._count
        return StemInput(mean, self._products / self._count - np.outer(mean, mean))


class _CalibrationImages:
    """What ONNX Runtime's calibrators take for a CalibrationDataReader."""

    def __init__(self, images: Iterable[NDArray[np.uint8]]) -> None:
        self._images: Iterator[NDArray[np.uint8]] = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        image = next(self._images, None)
        return None if image is None else {INPUT_NAME: image[None]}


def collect_ranges(network: DenseNet, images: Iterable[NDArray[np.uint8]], method: str) -> LayerRanges:
    """Run uint8 [side, side, 1] images through an equalised network and range what its ReLUs give out.

    `method` is a key of CALIBRATORS: the extremes; the central 99.99 % of values; or the range whose
    histogram loses the least information in 8 bits, by Kullback-Leibler divergence (Migacz 2017, as in ONNX
    Runtime). An average keeps to the range of what it averages; what enters a concatenation is equalised.
    """
    model = to_onnx(network)
    calibration_method, options = CALIBRATORS[method]
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
            calibrator.collect_data(_CalibrationImages(some))
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

"""Static int8 quantisation of the ONNX graph, with onnxruntime's quantiser."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from xray_infer.manifest import INPUT_NAME


class _Images(CalibrationDataReader):
    """Feeds one image at a time, so that calibration holds one in memory however many there are."""

    def __init__(self, images: Iterable[NDArray[np.uint8]]) -> None:
        self._images: Iterator[NDArray[np.uint8]] = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:  # type: ignore[override]
        image = next(self._images, None)
        return None if image is None else {INPUT_NAME: image[None]}


def quantize(model: onnx.ModelProto, images: Iterable[NDArray[np.uint8]]) -> onnx.ModelProto:
    """Quantise convolutions to u8 activations x s8 weights per channel, ranges by MinMax over `images`.

    Everything else stays in float: concatenations that share one scale cost most of the accuracy of a
    fully quantised DenseNet. So do the ends of the network, which are cheap: the first convolution,
    whose input range is wide, and the last, which makes the class activation map. u8 x s8 because
    s8 x s8 is far slower on CPUs without VNNI.
    """
    with tempfile.TemporaryDirectory(prefix="xray-export-") as folder:
        prepared, quantized = Path(folder, "prepared.onnx"), Path(folder, "quantized.onnx")
        quant_pre_process(model, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantized,
            _Images(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu"],
            nodes_to_exclude=_kept_in_float(model.graph),
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(quantized)


def _kept_in_float(graph: onnx.GraphProto) -> list[str]:
    """Name the first and the last convolution, and each Relu that does not follow a quantised convolution.

    A Relu after a quantised convolution is given to the quantiser to be absorbed into its output range,
    which then spends no levels on negative values: a quarter of the mean error of the probabilities
    (0.0026 instead of 0.0099, DenseNet121 with an untrained head, 200 X-rays) at the same speed.
    """
    convolutions = [node for node in graph.node if node.op_type == "Conv"]  # in topological order
    ends = {convolutions[0].name, convolutions[-1].name}
    quantized_outputs = {node.output[0] for node in convolutions if node.name not in ends}
    relus = [node for node in graph.node if node.op_type == "Relu"]
    return [*ends, *(relu.name for relu in relus if relu.input[0] not in quantized_outputs)]

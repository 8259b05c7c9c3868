"""Quantisation of the float32 ONNX graph: int8 by ranges (QDQ), int8 as values come, float16 weights."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationMethod,
    QuantFormat,
    QuantType,
    TensorsData,
    quantize_dynamic,
    quantize_static,
    save_tensors_data,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from xray_infer.export.ranges import LayerRanges, convolutions

SMALL: Final = 1024  # values; smaller constants gain nothing as float16


class OnnxQuantizer:
    """Makes int8-static files from one float32 graph, each with other layers left in float.

    Convolutions alone are quantised, u8 activations x s8 weights per channel: concatenations that share one
    scale cost most of the accuracy of a fully quantised DenseNet, and s8 x s8 is far slower on CPUs without
    VNNI. A Relu after a quantised convolution is absorbed into its output range, which then spends no levels
    on negative values: a quarter of the mean error of the probabilities at the same speed.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._layers = convolutions(model.graph)
        self._relus = {node.output[0]: node.name for node in model.graph.node if node.op_type == "Relu"}
        with tempfile.TemporaryDirectory(prefix="xray-export-") as folder:
            prepared = Path(folder, "prepared.onnx")
            quant_pre_process(model, prepared, skip_optimization=True, skip_symbolic_shape=True)
            self._prepared = onnx.load(prepared)

    def __len__(self) -> int:
        """How many convolutions there are."""
        return len(self._layers)

    @property
    def kernels(self) -> list[tuple[int, ...]]:
        """Each convolution's kernel: (height, width, in, out)."""
        shapes = {tensor.name: tuple(tensor.dims) for tensor in self._prepared.graph.initializer}
        found = (shapes[layer.node.input[1]] for layer in self._layers)
        return [(height, width, taken, made) for made, taken, height, width in found]

    def quantize(self, ranges: LayerRanges, *, in_float: Collection[int]) -> bytes:
        """Quantise all convolutions but those of these numbers, counted in order of execution."""
        extents = {}
        for layer, given, made in zip(self._layers, ranges.inputs, ranges.outputs, strict=True):
            extents[layer.node.input[0]] = given
            extents[layer.node.output[0]] = extents[layer.activated] = made
        quantized = [layer for index, layer in enumerate(self._layers) if index not in in_float]
        if not quantized:  # an empty list would mean every node to the quantiser
            return self._prepared.SerializeToString(deterministic=True)
        absorbed = {self._relus[one.activated] for one in quantized if one.activated in self._relus}
        as_arrays = {name: (np.float32(low), np.float32(high)) for name, (low, high) in extents.items()}
        with tempfile.TemporaryDirectory(prefix="xray-export-") as folder:
            known, out = Path(folder, "ranges.json"), Path(folder, "quantized.onnx")
            save_tensors_data(TensorsData(CalibrationMethod.MinMax, as_arrays), known)
            quantize_static(
                self._prepared,
                out,
                None,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Relu"],
                nodes_to_quantize=[*(layer.node.name for layer in quantized), *absorbed],
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QUInt8,
                calibrate_method=CalibrationMethod.MinMax,  # of what `known` holds
                calibration_cache_path=known,
            )
            return onnx.load(out).SerializeToString(deterministic=True)


def to_int8_dynamic(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store convolutions' weights as u8, scale each activation as it comes, one image at a time.

    ONNX Runtime takes one scale for a whole batch, so an image's answer would depend on its company: the
    batch size is therefore fixed to 1.
    """
    with tempfile.TemporaryDirectory(prefix="xray-export-") as folder:
        prepared, out = Path(folder, "prepared.onnx"), Path(folder, "quantized.onnx")
        quant_pre_process(model, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantize_dynamic(prepared, out, op_types_to_quantize=["Conv"], weight_type=QuantType.QUInt8)
        quantized = onnx.load(out)
    for value in (*quantized.graph.input, *quantized.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return quantized


def to_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store weights as float16, cast back to float32 when the file is loaded: a CPU computes in float32."""
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    graph = halved.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= SMALL:
            name, half = tensor.name, f"{tensor.name}/float16"
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), half))
            casts.append(helper.make_node("Cast", [half], [name], f"{name}/cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return halved

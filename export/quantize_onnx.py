"""Quantisation in ONNX: int8 by ranges (QDQ), int8 as values come, float16 weights."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

from xray_infer.export.densenet import Convolution, DenseNet, MaxPool
from xray_infer.export.forward import forward
from xray_infer.export.int8_network import Int8Network, round_weights
from xray_infer.export.ranges import UNIT, LayerRanges, Range
from xray_infer.export.to_onnx import OnnxOps

SMALL: Final = 1024  # values; smaller constants gain nothing as float16
LEVELS: Final = 255
LARGEST_BIAS: Final = 2**30  # of int32; what sums up on top of it needs room


class OnnxQuantizer:
    """Makes int8-static files of one equalised network, each with other units left in float.

    Activations are u8, weights s8 per output channel: s8 x s8 is far slower on CPUs without VNNI. A ReLU is
    absorbed into the range of the convolution before it, which then spends no levels on negative values.
    """

    def __init__(self, network: Int8Network) -> None:
        self._network = network

    def __len__(self) -> int:
        """How many units there are."""
        return len(self._network)

    def quantize(self, ranges: LayerRanges, *, in_float: Collection[int]) -> bytes:
        """Quantise all units but those of these numbers, counted in order of execution."""
        network = self._network.mixed(in_float)
        model = forward(network, QdqOps(network.side, plan(network, ranges, in_float)))
        return bytes(model.SerializeToString(deterministic=True))


@dataclass(frozen=True, slots=True)
class Step:
    """One convolution: whether it computes on integers, and the range of what it gives out."""

    quantized: bool
    output: Range


def plan(network: DenseNet, ranges: LayerRanges, in_float: Collection[int]) -> list[Step]:
    """Return a step for each convolution that can be quantised."""
    numbers = (number for number, unit in enumerate(network.units()) for _ in unit)
    pairs = zip(numbers, ranges.outputs, strict=True)
    return [Step(number not in in_float, extent) for number, extent in pairs]


class QdqOps(OnnxOps):
    """Writes quantised convolutions as QuantizeLinear and DequantizeLinear around float ones.

    A tensor is quantised where something that computes on integers reads it. After the last step
    everything is float: the last normalisation, whose output is pooled, and the head.
    """

    def __init__(self, side: int, steps: list[Step]) -> None:
        super().__init__(side)
        self._stem_is_float = not steps[0].quantized
        self._steps = iter(steps)
        self._ranges: dict[str, Range] = {}
        self._quantized: dict[str, tuple[str, np.float32]] = {}  # name -> dequantised name, scale

    def image(self, centre: int) -> str:
        """See `forward.Ops`."""
        if self._stem_is_float:  # ONNX Runtime would quantise a convolution between integers after all
            return super().image(centre)
        # The gray levels are the integers already; their zero point takes the centre away.
        planes = self.planes()
        name = self._dequantize(planes, np.float32(1), np.uint8(centre))
        self._quantized[name] = name, np.float32(1)
        return name

    def convolve(self, values: str, convolution: Convolution) -> str:
        """See `forward.Ops`."""
        step = next(self._steps, None)
        if step is None or not step.quantized:
            output = self.float_convolution(self._float(values), convolution)
        else:
            values, scale = self.integer(values)
            output = self.convolve_with(values, convolution, *self._weights(convolution, float(scale)))
        if step is not None:
            self._ranges[output] = step.output
        return output

    def float_convolution(self, values: str, convolution: Convolution) -> str:
        """Convolve in float."""
        return super().convolve(values, convolution)

    def max_pool(self, values: str, pool: MaxPool) -> str:
        """See `forward.Ops`."""
        return self._unit(super().max_pool(self.integer(values)[0], pool))

    def concatenate(self, values: str, more: str) -> str:
        """See `forward.Ops`."""
        return self._unit(super().concatenate(self.integer(values)[0], self.integer(more)[0]))

    def _unit(self, name: str) -> str:
        self._ranges[name] = UNIT
        return name

    def _float(self, name: str) -> str:
        """Return a tensor for a convolution in float: after a concatenation, its integers."""
        return self.integer(name)[0] if self._ranges.get(name) == UNIT else name

    def integer(self, name: str) -> tuple[str, np.float32]:
        """Return a tensor that went through integers, and its scale."""
        if name not in self._quantized:
            low, high = self._ranges[name]
            low, high = min(low, 0.0), max(high, 0.0)  # zero is exact, for padding and ReLU
            scale = np.float32(max(high - low, float(np.finfo(np.float32).tiny) * LEVELS) / LEVELS)
            zero = np.uint8(np.clip(np.rint(-low / scale), 0, LEVELS))
            output = self.add("QuantizeLinear", name, self.constant(scale), self.constant(zero, np.uint8))
            self._quantized[name] = self._dequantize(output, scale, zero), scale
        return self._quantized[name]

    def _dequantize(self, name: str, scale: np.float32, zero: np.uint8) -> str:
        return self.add("DequantizeLinear", name, self.constant(scale), self.constant(zero, np.uint8))

    def _weights(self, convolution: Convolution, input_scale: float) -> tuple[str, str]:
        """Add a convolution's integers, the bias in steps of input times weight scale."""
        rounded, scale = round_weights(convolution.kernel)
        least = np.abs(convolution.bias) / (input_scale * LARGEST_BIAS)
        if (scale < least).any():  # channels that give out next to nothing but their bias
            scale = np.maximum(scale, least)
            rounded = np.rint(convolution.kernel / scale).astype(np.int8)
        steps = self.constant(scale)
        weights = self.constant(rounded.transpose(3, 2, 0, 1), np.int8)
        bias_scale = np.float32(scale) * np.float32(input_scale)
        bias = self.constant(np.rint(convolution.bias / bias_scale), np.int32)
        return (
            self.add("DequantizeLinear", weights, steps, axis=0),
            self.add("DequantizeLinear", bias, self.constant(bias_scale), axis=0),
        )


def to_int8_dynamic(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store convolutions' weights as u8, scale each activation as it comes, one image at a time.

    ONNX Runtime takes one scale for a whole batch, so an image's answer would depend on its company: the
    batch size is therefore fixed to 1. The stem, the head and what is depthwise stay in float: they have
    few weights, and cost most of the accuracy (85 to 100 % agreement on DenseNet121 without them).
    """
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    groups = {node.name: helper.get_node_attr_value(node, "group") for node in convolutions}
    names = [name for name, group in groups.items() if group == 1][1:-1]
    with tempfile.TemporaryDirectory(prefix="xray-export-") as folder:
        prepared, out = Path(folder, "prepared.onnx"), Path(folder, "quantized.onnx")
        quant_pre_process(model, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantize_dynamic(prepared, out, nodes_to_quantize=names, weight_type=QuantType.QUInt8)
        quantized = onnx.load(out)
        if not quantized.graph.node:  # shape inference writes nothing, and says nothing, on a full disk
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(prepared))
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

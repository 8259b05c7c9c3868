"""Quantisation of float32 TFLite files with AI Edge Quantizer."""

from __future__ import annotations

import io
import re
from collections.abc import Collection
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import qtyping, quantizer

from xray_infer.errors import ModelError
from xray_infer.export.densenet import WHITE, DenseNet
from xray_infer.export.int8_network import Int8Network, flat
from xray_infer.export.ranges import LayerRanges, Range
from xray_infer.export.to_tflite import to_float32

NAMES: Final = qtyping.TFLOperationName
CONVOLUTIONS: Final = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D)


@dataclass(frozen=True, slots=True)
class _Convolution:
    """One convolution of the file: the tensors it reads and writes, by name, and its kernel's size."""

    reads: str
    writes: str
    weights: int

    @property
    def pattern(self) -> str:
        """What the quantiser's rules know it by."""
        return f"^{re.escape(self.writes)};?$"


class TfliteQuantizer:
    """Makes int8-static files of one equalised network, each with other units left in float.

    Activations are s8, weights s8 per output channel. The converter has absorbed each ReLU into the
    convolution before it. What is depthwise stays in float, and the concatenations with it: LiteRT's built-in
    kernels round it otherwise than XNNPACK does (mean difference of probabilities on DenseNet121 0.009, and
    0.002 without), and XNNPACK gains 5 % at most.
    """

    def __init__(self, network: Int8Network) -> None:
        self._network = network

    def __len__(self) -> int:
        """How many units there are."""
        return len(self._network)

    def quantize(self, ranges: LayerRanges, *, in_float: Collection[int], activation_bits: int = 8) -> bytes:
        """Quantise all units but those of these numbers, counted in order of execution.

        Raises ModelError when the converter has changed the chain of convolutions.
        """
        network = self._network.mixed(in_float)
        flatbuffer = self._float_files(tuple(sorted(in_float)))
        convolutions = _chain(flatbuffer, network)
        chosen = quantizer.Quantizer(flatbuffer)
        stem = (-network.centre, WHITE - network.centre)
        known: dict[str, Any] = {convolutions[0].reads: _statistics(stem)}
        remaining = zip(convolutions, flat(network), ranges.outputs, strict=True)
        for number, unit in enumerate(network.units()):
            for written, convolution, extent in islice(remaining, len(unit)):
                known[written.writes] = _statistics(extent)
                if number not in in_float and not convolution.depthwise:
                    chosen.add_static_config(written.pattern, NAMES.CONV_2D, activation_bits, 8)
        # The quantiser refuses a file of which it is to quantise nothing.
        return flatbuffer if len({*in_float}) == len(self) else _quantized(chosen, known)

    @cache  # noqa: B019  calibrations share a file, and a quantiser lives as long as its export
    def _float_files(self, in_float: tuple[int, ...]) -> bytes:
        return to_float32(self._network.mixed(in_float))


def _chain(flatbuffer: bytes, network: DenseNet) -> list[_Convolution]:
    """List the convolutions that can be quantised, in the order of `flat`. Raises ModelError."""
    found = _convolutions(flatbuffer)
    expected = [one.kernel.size for one in (*flat(network), network.last, network.head)]
    if [one.weights for one in found] != expected:
        raise ModelError("the TFLite converter has changed the network's chain of convolutions")
    return found[:-2]


def to_int8_dynamic(network: DenseNet) -> bytes:
    """Store convolutions' weights as s8 per channel; each activation is scaled as it comes.

    The stem and what is depthwise stay in float: they have no weights to speak of, and the image's own range
    costs most of the accuracy (97 to 100 % agreement on DenseNet121 without them).
    """
    flatbuffer = to_float32(network)
    chosen = quantizer.Quantizer(flatbuffer)
    pairs = list(zip(_chain(flatbuffer, network), flat(network), strict=True))
    for written, convolution in pairs[1:]:
        if not convolution.depthwise:
            chosen.add_dynamic_config(written.pattern, NAMES.CONV_2D, 8)
    return _quantized(chosen)


def _quantized(chosen: quantizer.Quantizer, known: dict[str, Any] | None = None) -> bytes:
    with redirect_stderr(io.StringIO()):  # one of its progress bars cannot be switched off
        done = chosen.quantize(known, enable_progress_report=False, enable_progress_bar=False)
    return bytes(done.quantized_model)


def _statistics(extent: Range) -> dict[str, Any]:
    low, high = (np.full((1, 1, 1, 1), limit, np.float32) for limit in extent)
    return {"min": low, "max": high}


def _convolutions(flatbuffer: bytes) -> list[_Convolution]:
    """List a file's convolutions in order of execution."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(flatbuffer), 0))
    (graph,) = model.subgraphs
    found = []
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode in CONVOLUTIONS:
            reads, kernel, *_ = (graph.tensors[index] for index in operator.inputs)
            writes = graph.tensors[operator.outputs[0]]
            found.append(_Convolution(reads.name.decode(), writes.name.decode(), int(np.prod(kernel.shape))))
    return found

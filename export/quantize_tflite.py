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
from xray_infer.export.equalisation import Int8Network, flat
from xray_infer.export.ranges import UNIT, LayerRanges, Range
from xray_infer.export.to_tflite import to_float32

NAMES: Final = qtyping.TFLOperationName
CONVOLUTIONS: Final = {
    schema.BuiltinOperator.CONV_2D: NAMES.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: NAMES.DEPTHWISE_CONV_2D,
}
# They pass integers on; what they read and write has one range. The image's own Pad stays in float.
CARRIERS: Final = {
    schema.BuiltinOperator.CONCATENATION: NAMES.CONCATENATION,
    schema.BuiltinOperator.MAX_POOL_2D: NAMES.MAX_POOL_2D,
    schema.BuiltinOperator.PAD: NAMES.PAD,
}


@dataclass(frozen=True, slots=True)
class _Operator:
    """One operator of the file, what it reads and writes by name, and the size of a convolution's kernel."""

    code: int
    reads: tuple[str, ...]
    writes: str
    weights: int = 0

    @property
    def pattern(self) -> str:
        """What the quantiser's rules know it by."""
        return f"^{re.escape(self.writes)};?$"


class TfliteQuantizer:
    """Makes int8-static files of one equalised network, each with other units left in float.

    Activations are s8, weights s8 per output channel. The converter has absorbed each ReLU into the
    convolution before it.
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
        convolutions, carriers = _chain(flatbuffer, network)
        chosen = quantizer.Quantizer(flatbuffer)
        stem = convolutions[0].reads[0]
        known: dict[str, Any] = {stem: _statistics((-network.centre, WHITE - network.centre))}
        for carrier in carriers:
            if stem not in (carrier.writes, *carrier.reads):
                known |= dict.fromkeys((*carrier.reads, carrier.writes), _statistics(UNIT))
                chosen.add_static_config(carrier.pattern, CARRIERS[carrier.code], activation_bits, 8)
        remaining = zip(convolutions, ranges.outputs, strict=True)
        for number, unit in enumerate(network.units()):
            for convolution, extent in islice(remaining, len(unit)):
                known[convolution.writes] = _statistics(extent)
                if number not in in_float:
                    operation = CONVOLUTIONS[convolution.code]
                    chosen.add_static_config(convolution.pattern, operation, activation_bits, 8)
        return _quantized(chosen, known)

    @cache  # noqa: B019  calibrations share a file, and a quantiser lives as long as its export
    def _float_files(self, in_float: tuple[int, ...]) -> bytes:
        return to_float32(self._network.mixed(in_float))


def _chain(flatbuffer: bytes, network: DenseNet) -> tuple[list[_Operator], list[_Operator]]:
    """Return the convolutions that can be quantised, and what carries integers between them."""
    operators = _operators(flatbuffer)
    found = [one for one in operators if one.code in CONVOLUTIONS]
    expected = [one.kernel.size for one in (*flat(network), network.last, network.head)]
    if [one.weights for one in found] != expected:
        raise ModelError("the TFLite converter has changed the network's chain of convolutions")
    return found[:-2], [one for one in operators if one.code in CARRIERS]


def to_int8_dynamic(network: DenseNet) -> bytes:
    """Store convolutions' weights as s8 per channel; each activation is scaled as it comes.

    The stem and what is depthwise stay in float: they have no weights to speak of, and the image's own range
    costs most of the accuracy (97 to 100 % agreement on DenseNet121 without them).
    """
    flatbuffer = to_float32(network)
    chosen = quantizer.Quantizer(flatbuffer)
    for convolution in _chain(flatbuffer, network)[0][1:]:
        if CONVOLUTIONS[convolution.code] == NAMES.CONV_2D:
            chosen.add_dynamic_config(convolution.pattern, NAMES.CONV_2D, 8)
    return _quantized(chosen)


def _quantized(chosen: quantizer.Quantizer, known: dict[str, Any] | None = None) -> bytes:
    with redirect_stderr(io.StringIO()):  # one of its progress bars cannot be switched off
        done = chosen.quantize(known, enable_progress_report=False, enable_progress_bar=False)
    return bytes(done.quantized_model)


def _statistics(extent: Range) -> dict[str, Any]:
    low, high = (np.full((1, 1, 1, 1), limit, np.float32) for limit in extent)
    return {"min": low, "max": high}


def _operators(flatbuffer: bytes) -> list[_Operator]:
    """List a file's operators in order of execution."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(flatbuffer), 0))
    (graph,) = model.subgraphs
    found = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        tensors = [graph.tensors[index] for index in operator.inputs]
        names = [tensor.name.decode() for tensor in tensors]
        writes = graph.tensors[operator.outputs[0]].name.decode()
        if code in CONVOLUTIONS:
            found.append(_Operator(code, (names[0],), writes, int(np.prod(tensors[1].shape))))
        elif code == schema.BuiltinOperator.PAD:
            found.append(_Operator(code, (names[0],), writes))  # the rest says how much
        else:
            found.append(_Operator(code, tuple(names), writes))
    return found

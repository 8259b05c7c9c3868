"""Quantisation of the float32 TFLite file with AI Edge Quantizer."""

from __future__ import annotations

import io
import re
from collections.abc import Collection
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_quantizer import qtyping, quantizer

from xray_infer.export.ranges import LayerRanges, Range

CONVOLUTION: Final = qtyping.TFLOperationName.CONV_2D


@dataclass(frozen=True, slots=True)
class _Convolution:
    """The tensors that a convolution reads and writes, by name, and its kernel: (height, width, in, out)."""

    reads: str
    writes: str
    kernel: tuple[int, ...]


class TfliteQuantizer:
    """Makes int8-static files from one float32 file, each with other layers left in float.

    Convolutions alone are quantised, s8 activations x s8 weights per channel, for the reasons given in
    `quantize_onnx.OnnxQuantizer`. The converter has absorbed each ReLU into the convolution before it.
    """

    def __init__(self, flatbuffer: bytes) -> None:
        self._flatbuffer = flatbuffer
        self._layers = _convolutions(flatbuffer)

    def __len__(self) -> int:
        """How many convolutions there are."""
        return len(self._layers)

    @property
    def kernels(self) -> list[tuple[int, ...]]:
        """Each convolution's kernel: (height, width, in, out)."""
        return [layer.kernel for layer in self._layers]

    def quantize(self, ranges: LayerRanges, *, in_float: Collection[int], activation_bits: int = 8) -> bytes:
        """Quantise all convolutions but those of these numbers, counted in order of execution."""
        known: dict[str, Any] = {}
        chosen = quantizer.Quantizer(self._flatbuffer)
        for index, (layer, given, made) in enumerate(
            zip(self._layers, ranges.inputs, ranges.outputs, strict=True)
        ):
            if index in in_float:
                continue
            known[layer.reads], known[layer.writes] = _statistics(given), _statistics(made)
            chosen.add_static_config(f"^{re.escape(layer.writes)};?$", CONVOLUTION, activation_bits, 8)
        with redirect_stderr(io.StringIO()):  # one of its progress bars cannot be switched off
            done = chosen.quantize(known, enable_progress_report=False, enable_progress_bar=False)
        return bytes(done.quantized_model)


def _statistics(extent: Range) -> dict[str, Any]:
    low, high = (np.full((1, 1, 1, 1), limit, np.float32) for limit in extent)
    return {"min": low, "max": high}


def _convolutions(flatbuffer: bytes) -> list[_Convolution]:
    """List a file's convolutions in order of execution, but the last, as `ranges.convolutions` does."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(flatbuffer), 0))
    (graph,) = model.subgraphs
    found = []
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.CONV_2D:
            reads, kernel, *_ = (graph.tensors[index] for index in operator.inputs)
            made, height, width, taken = (int(side) for side in kernel.shape)
            writes = graph.tensors[operator.outputs[0]]
            found.append(
                _Convolution(reads.name.decode(), writes.name.decode(), (height, width, taken, made))
            )
    return found[:-1]

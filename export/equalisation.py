"""The network that int8 files are made of: the same answers in float, and less lost by rounding.

Both steps follow Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction",
with statistics of calibration images in place of those that BatchNorm holds.

*Equalisation*: every channel that enters a concatenation is shifted and scaled to 0..1, and the normalisation
that reads it takes that back. All parts of a block then share one scale without loss, so concatenations,
pooling and normalisation run on integers, and nothing between two convolutions is float.

*Bias correction*: what a convolution's rounded weights give too much or too little, on average, goes into
its bias.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.export.densenet import WHITE, Array, Convolution, DenseNet, Layer

WEIGHT_LEVELS: Final = 127  # of each sign; -128 is not used, so that zero is exact
SMALLEST: Final = 1e-4
"""The least scale of a normalisation, relative to its bias: an int32 bias would overflow."""


@dataclass(frozen=True, slots=True)
class Channels:
    """What one convolution gives out, its ReLU included, over calibration images: float64 [out] each."""

    low: Array
    high: Array
    mean: Array


@dataclass(frozen=True, slots=True)
class Statistics:
    """`gray`: mean gray level, 0..255; `outputs`: by unit and convolution, as `units()` has them."""

    gray: float
    outputs: tuple[tuple[Channels, ...], ...]


def round_weights(kernel: Array) -> tuple[NDArray[np.int8], Array]:
    """Round a kernel [height, width, in, out] to s8 with scales [out], symmetric, per output channel."""
    largest = np.abs(kernel).max(axis=(0, 1, 2))
    scale = np.where(largest > 0, largest, 1) / WEIGHT_LEVELS
    return np.rint(kernel / scale).astype(np.int8), scale


@dataclass(frozen=True, slots=True)
class Int8Network:
    """An equalised network, with exact biases and with those corrected for rounded weights."""

    exact: DenseNet
    corrected: DenseNet

    def __len__(self) -> int:
        """How many units there are; see `DenseNet.units`."""
        return len(self.exact.units())

    def mixed(self, in_float: Collection[int]) -> DenseNet:
        """Return the network whose units of these numbers will stay in float, and so have exact biases."""
        pairs = zip(self.exact.units(), self.corrected.units(), strict=True)
        return self.exact.with_units(
            exact if number in in_float else corrected for number, (exact, corrected) in enumerate(pairs)
        )


def for_int8(network: DenseNet, statistics: Statistics) -> Int8Network:
    """Equalise a network's concatenations and correct its biases."""
    return Int8Network(
        _equalised(network, statistics), _equalised(_corrected(network, statistics), statistics)
    )


def _corrected(network: DenseNet, statistics: Statistics) -> DenseNet:
    """Correct each bias by the mean input; convolutions whose weights are exact stay as they are.

    Scales of channels and of rounding are both per output, so equalisation changes nothing about this.
    """
    white = np.array([statistics.gray, WHITE]) - network.centre
    units = []
    for unit, outputs in zip(network.units(), statistics.outputs, strict=True):
        inputs = [white if len(unit) == 1 else None, *(channels.mean for channels in outputs[:-1])]
        units.append(tuple(_correct(one, mean) for one, mean in zip(unit, inputs, strict=True)))
    return network.with_units(units)


def _correct(convolution: Convolution, mean: Array | None) -> Convolution:
    if mean is None or convolution.depthwise:  # one weight a channel, or equal ones: rounded without error
        return convolution
    rounded, scale = round_weights(convolution.kernel)
    missing = (convolution.kernel - rounded * scale).sum(axis=(0, 1))
    return replace(convolution, bias=convolution.bias + mean @ missing)


def _equalised(network: DenseNet, statistics: Statistics) -> DenseNet:
    remaining = iter(statistics.outputs)
    units: list[tuple[Convolution, ...]] = []
    (channels,) = next(remaining)
    low, span = np.zeros_like(channels.high), _span(channels.high)  # a ReLU's zero has to stay zero
    units.append((_rescaled(network.stem, low, span),))
    last = network.last
    for block in network.blocks:
        for layer in block.layers:
            unit, more_low, more_span = _equalise(layer, next(remaining), low, span)
            units.append(unit)
            low, span = np.concatenate([low, more_low]), np.concatenate([span, more_span])
        if block.transition:
            unit, low, span = _equalise(block.transition, next(remaining), low, span)
            units.append(unit)
        else:
            last = _reads(last, low, span)
    return replace(network.with_units(units), last=last)


def _equalise(
    layer: Layer, outputs: Sequence[Channels], low: Array, span: Array
) -> tuple[tuple[Convolution, ...], Array, Array]:
    """Let a layer read channels as (x - low) / span and give out its own so; return their low and span."""
    made = outputs[-1]
    its_span = _span(made.high - made.low)
    unit = (_reads(layer.first, low, span), layer.second, _rescaled(layer.third, made.low, its_span))
    return unit, made.low, its_span


def _span(extent: Array) -> Array:
    """A channel that never varies must not be blown up."""
    return np.maximum(extent, SMALLEST * max(float(extent.max()), SMALLEST))


def _rescaled(convolution: Convolution, low: Array, span: Array) -> Convolution:
    return replace(convolution, kernel=convolution.kernel / span, bias=(convolution.bias - low) / span)


def _reads(normalisation: Convolution, low: Array, span: Array) -> Convolution:
    scale = normalisation.kernel[0, 0, 0]
    bias = normalisation.bias + scale * low
    scale = scale * span
    floor = SMALLEST * np.abs(bias)
    scale = np.where(np.abs(scale) < floor, np.copysign(floor, scale), scale)
    return replace(normalisation, kernel=scale[None, None, None], bias=bias)


def flat(network: DenseNet) -> Iterator[Convolution]:
    """Yield the convolutions that can be quantised, in order of execution."""
    for unit in network.units():
        yield from unit

"""The network that int8 files are made of: the same answers in float, and less lost by rounding.

Equalisation and bias correction follow Nagel et al. 2019, "Data-Free Quantization Through Weight
Equalization and Bias Correction", with statistics of calibration images in place of those of BatchNorm.

*Equalisation*: every channel that enters a concatenation is shifted and scaled to 0..1, and the normalisation
that reads it takes that back. All parts of a block then share one scale without loss, so concatenations,
pooling and normalisation run on integers, and nothing between two convolutions is float.

*Balance*: within a layer, a channel's share of the range is evened out in the same way, not all the way:
what its values gain, the weights that read it lose (Xiao et al. 2023, "SmoothQuant").

*Bias correction*: what a convolution's rounded weights give too much or too little, on average, goes into
its bias.

*The stem's rounding*: pixels that lie together are nearly equal, so the errors of a window's weights add up
where each is rounded to its nearest integer. They are rounded together instead (Nagel et al. 2020, "Up or
Down? Adaptive Rounding"). Of the other convolutions this was measured too, and gives nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.export.densenet import Array, Convolution, DenseNet, Layer

WEIGHT_LEVELS: Final = 127  # of each sign; -128 is not used, so that zero is exact
DAMPING: Final = 1e-6  # of the mean variance: weights on what never varies go to the nearest integer
SWEEPS: Final = 50
BALANCE: Final = 0.75
"""How much of channels' differences goes over to the weights. Measured on DenseNet121, both methods, three
calibrations: 0.75 is closer than 0 to the Keras model in all six, 0.5 in four, 1 in one."""
SMALLEST_SHARE: Final = 1e-3  # of a layer's range: channels below it are evened out no further
SMALLEST: Final = 1e-4
"""The least scale of a normalisation, relative to its bias: an int32 bias would overflow."""


@dataclass(frozen=True, slots=True)
class Channels:
    """What one convolution gives out, its ReLU included, over calibration images: float64 [out] each."""

    low: Array
    high: Array
    mean: Array

    def __truediv__(self, factors: Array) -> Channels:
        """Return what they are when each channel is divided by a positive factor."""
        return Channels(self.low / factors, self.high / factors, self.mean / factors)


@dataclass(frozen=True, slots=True)
class StemInput:
    """What the stem's kernel sees of calibration images, in the order of its weights [height, width, in].

    `mean` float64 [n], `covariance` float64 [n, n]; gray levels less the network's centre.
    """

    mean: Array
    covariance: Array


@dataclass(frozen=True, slots=True)
class Statistics:
    """`stem_input`: what the stem reads; `outputs`: by unit and convolution, as `units()` has them."""

    stem_input: StemInput
    outputs: tuple[tuple[Channels, ...], ...]


def round_weights(kernel: Array) -> tuple[NDArray[np.int8], Array]:
    """Round a kernel [height, width, in, out] to s8 with scales [out], symmetric, per output channel."""
    largest = np.abs(kernel).max(axis=(0, 1, 2))
    scale = np.where(largest > 0, largest, 1) / WEIGHT_LEVELS
    return np.rint(kernel / scale).astype(np.int8), scale


def round_together(kernel: Array, covariance: Array) -> Array:
    """Return a kernel [height, width, in, out] of rounded weights whose errors cancel for such inputs.

    From the nearest integers on, one weight after the other goes to where the output's variance of error,
    by the inputs' covariance [n, n], is least, until none moves. A channel's largest weights stay, so that
    `round_weights` finds the same integers.
    """
    nearest, scale = round_weights(kernel)
    integers = nearest.reshape(-1, kernel.shape[-1]).astype(np.float64)
    free = np.abs(integers) < WEIGHT_LEVELS
    damped = covariance + np.eye(len(covariance)) * max(DAMPING * np.diag(covariance).mean(), DAMPING)
    slope = damped @ (integers - (kernel / scale).reshape(integers.shape))
    for _ in range(SWEEPS):
        moved = False
        for weight, (own, row) in enumerate(zip(np.diag(damped), damped, strict=True)):
            wanted = np.clip(integers[weight] - slope[weight] / own, -WEIGHT_LEVELS, WEIGHT_LEVELS)
            step = np.where(free[weight], np.rint(wanted) - integers[weight], 0)
            if step.any():
                moved = True
                integers[weight] += step
                slope += row[:, None] * step
        if not moved:
            break
    return integers.reshape(kernel.shape) * scale


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
    """Take all steps."""
    balanced, its = balance(network, statistics)
    corrected = correct(round_stem(balanced, its), its)
    return Int8Network(equalise(balanced, its), equalise(corrected, its))


def balance(network: DenseNet, statistics: Statistics) -> tuple[DenseNet, Statistics]:
    """Even out the channels between a layer's convolutions; return the network and its own statistics."""
    stem, *others = network.units()
    units, outputs = [stem], [statistics.outputs[0]]
    for (first, second, third), (normalised, middle, grown) in zip(
        others, statistics.outputs[1:], strict=True
    ):
        left = _factors(normalised)
        first, normalised = _scaled(first, left), normalised / left
        if second.depthwise:  # an average: its channels are those of the normalisation
            right = left
        else:
            right = _factors(middle)
            second = _scaled(_reading(second, left), right)
        units.append((first, second, _reading(third, right)))
        outputs.append((normalised, middle / right, grown))
    return network.with_units(units), Statistics(statistics.stem_input, tuple(outputs))


def _factors(channels: Channels) -> Array:
    """Return what to divide channels by; 1 is their geometric mean."""
    extent = np.log(np.maximum(channels.high, SMALLEST_SHARE * max(float(channels.high.max()), SMALLEST)))
    factors: Array = np.exp(BALANCE * (extent - extent.mean()))
    return factors


def _scaled(convolution: Convolution, factors: Array) -> Convolution:
    return replace(convolution, kernel=convolution.kernel / factors, bias=convolution.bias / factors)


def _reading(convolution: Convolution, factors: Array) -> Convolution:
    by_input = factors if convolution.depthwise else factors[:, None]
    return replace(convolution, kernel=convolution.kernel * by_input)


def round_stem(network: DenseNet, statistics: Statistics) -> DenseNet:
    """Give the stem rounded weights, and the bias that goes with them."""
    stem, seen = network.stem, statistics.stem_input
    kernel = round_together(stem.kernel, seen.covariance)
    bias = _right_bias(stem, kernel, seen.mean.reshape(kernel.shape[:3]))
    return replace(network, stem=replace(stem, kernel=kernel, bias=bias))


def correct(network: DenseNet, statistics: Statistics) -> DenseNet:
    """Correct each bias by the mean input; convolutions whose weights are exact stay as they are.

    Scales of channels and of rounding are both per output, so equalisation changes nothing about this.
    """
    stem, *others = network.units()
    units = [tuple(_correct(one, statistics.stem_input.mean.reshape(one.kernel.shape[:3])) for one in stem)]
    for (first, *rest), outputs in zip(others, statistics.outputs[1:], strict=True):
        pairs = zip(rest, outputs[:-1], strict=True)
        units.append((first, *(_correct(one, channels.mean) for one, channels in pairs)))
    return network.with_units(units)


def _correct(convolution: Convolution, mean: Array) -> Convolution:
    if convolution.depthwise:  # one weight a channel, or equal ones: rounded without error
        return convolution
    rounded, scale = round_weights(convolution.kernel)
    return replace(convolution, bias=_right_bias(convolution, rounded * scale, mean))


def _right_bias(convolution: Convolution, kernel: Array, mean: Array) -> Array:
    """Return the bias by which other weights give the same on average; mean input [in] or [h, w, in]."""
    missing = convolution.kernel - kernel
    lost: Array = np.einsum("hwio,hwi->o", missing, np.broadcast_to(mean, missing.shape[:3]))
    return convolution.bias + lost


def equalise(network: DenseNet, statistics: Statistics) -> DenseNet:
    """Shift and scale every channel that enters a concatenation to 0..1."""
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
    grown = outputs[-1]
    its_span = _span(grown.high - grown.low)
    unit = (_reads(layer.first, low, span), layer.second, _rescaled(layer.third, grown.low, its_span))
    return unit, grown.low, its_span


def _span(extent: Array) -> Array:
    """A channel that never varies must not be blown up."""
    return np.maximum(extent, SMALLEST * max(float(extent.max()), SMALLEST))


def _rescaled(convolution: Convolution, low: Array, span: Array) -> Convolution:
    return _scaled(replace(convolution, bias=convolution.bias - low), span)


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

"""A DenseNet classifier as data: what the forward pass of every exported format is built from.

Read from a flat Keras model and rewritten on the way by algebra that changes no answer:

- BatchNorm after a convolution is folded into it; before one (DenseNet normalises first) it is a depthwise
  1 x 1 convolution with the ReLU after it, which every runtime fuses and quantises like any other.
- The gray image stays one plane: replication, scaling and ImageNet's normalisation go into the stem's
  kernel. The padding is zero *after* normalisation, so a second plane of ones carries the offsets.
- A transition averages before its 1 x 1 convolution, not after: both are linear, and it has a quarter of the
  pixels to convolve. 8 % of DenseNet121's multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ModelError

layers, ops = keras.layers, keras.ops
Array = NDArray[np.float64]
WHITE: Final = 255  # the value of the plane of ones, so that it has the pixels' scale


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """`kernel` float64 [height, width, in, out], or [height, width, 1, channels] where depthwise.

    `bias` float64 [out]; `padding` zeros on each side; `relu`: whether one follows.
    """

    kernel: Array
    bias: Array
    stride: int = 1
    padding: int = 0
    depthwise: bool = False
    relu: bool = False


@dataclass(frozen=True, slots=True)
class MaxPool:
    """A window of size x size; padding is never the maximum."""

    size: int
    stride: int
    padding: int


@dataclass(frozen=True, slots=True)
class Layer:
    """Three convolutions, one after the other, that stay in float together or not at all.

    A dense layer: normalise, bottleneck, growth. A transition: normalise, average, reduce.
    """

    first: Convolution
    second: Convolution
    third: Convolution

    def __iter__(self) -> Iterator[Convolution]:
        return iter((self.first, self.second, self.third))


@dataclass(frozen=True, slots=True)
class Block:
    """Each layer's output is concatenated to its input; the last block has no transition."""

    layers: tuple[Layer, ...]
    transition: Layer | None


@dataclass(frozen=True, slots=True)
class DenseNet:
    """The classifier; `head` makes the class activation map, `bias` float64 [C] is added to its mean.

    The input is gray, `side` pixels square. The stem sees two planes: gray less `centre`, and WHITE less
    `centre`, each padded with zeros.
    """

    side: int
    centre: int
    stem: Convolution
    pool: MaxPool
    blocks: tuple[Block, ...]
    last: Convolution
    head: Convolution
    bias: Array
    temperature: float

    def units(self) -> tuple[tuple[Convolution, ...], ...]:
        """What can be quantised, in order of execution: the stem, then every layer and transition."""
        units: list[tuple[Convolution, ...]] = [(self.stem,)]
        for block in self.blocks:
            units += [tuple(layer) for layer in block.layers]
            units += [tuple(block.transition)] if block.transition else []
        return tuple(units)

    def with_units(self, units: Iterable[tuple[Convolution, ...]]) -> DenseNet:
        """Return the same network with other convolutions in the places that `units` lists."""
        remaining = iter(units)
        (stem,) = next(remaining)
        blocks = []
        for block in self.blocks:
            inner = tuple(Layer(*next(remaining)) for _ in block.layers)
            blocks.append(Block(inner, Layer(*next(remaining)) if block.transition else None))
        return replace(self, stem=stem, blocks=tuple(blocks))


def normalisation(scale: Array, offset: Array) -> Convolution:
    """Return x * scale + offset and its ReLU as a depthwise convolution; float64 [channels] each."""
    return Convolution(scale[None, None, None], offset, depthwise=True, relu=True)


def averaging(size: int, channels: int) -> Convolution:
    """Return average pooling of size x size as a depthwise convolution."""
    kernel = np.full((size, size, 1, channels), 1 / size**2)
    return Convolution(kernel, np.zeros(channels), stride=size, depthwise=True)


def gray_stem(stem: Convolution, pixel_scale: Array, pixel_offset: Array) -> tuple[Convolution, int]:
    """Fold normalisation and three equal planes into a stem's kernel; return it and the centre of gray.

    Around the mean gray level the quantised weights' errors do not add up over a bright image.
    """
    centre = round(float(np.mean(-pixel_offset / pixel_scale)))
    gray = np.einsum("hwco,c->hwo", stem.kernel, pixel_scale)
    ones = np.einsum("hwco,c->hwo", stem.kernel, pixel_offset + pixel_scale * centre)
    return replace(stem, kernel=np.stack([gray, ones / (WHITE - centre)], axis=2)), centre


class Reader:
    """Follows the layers of a flat Keras model from tensor to tensor. Raises ModelError where it can't."""

    def __init__(self, model: keras.Model, path: Path) -> None:
        self._path = path
        self._users: dict[int, list[keras.Layer]] = {}
        for layer in model.layers:
            for tensor in keras.tree.flatten(layer.input):
                self._users.setdefault(id(tensor), []).append(layer)

    def find(self, tensor: keras.KerasTensor, kind: type[keras.Layer]) -> keras.Layer | None:
        """Return the one layer of a kind that reads a tensor, or None."""
        found = [layer for layer in self._users.get(id(tensor), ()) if isinstance(layer, kind)]
        return found[0] if len(found) == 1 else None

    def take(self, tensor: keras.KerasTensor, kind: type[keras.Layer]) -> keras.Layer:
        """Return the one layer of a kind that reads a tensor."""
        layer = self.find(tensor, kind)
        if layer is None:
            readers = ", ".join(type(one).__name__ for one in self._users.get(id(tensor), ())) or "nothing"
            raise self.error(f"{readers} follows {tensor.name!r}, expected {kind.__name__}")
        return layer

    def error(self, reason: str) -> ModelError:
        """Return the refusal of this model."""
        return ModelError(f"{self._path}: not a DenseNet as xray-train builds it: {reason}")

    def padding(self, tensor: keras.KerasTensor) -> tuple[int, keras.KerasTensor]:
        """Return the zeros that the next layer adds to each side, if it does, and what comes out."""
        layer = self.find(tensor, layers.ZeroPadding2D)
        if layer is None:
            return 0, tensor
        sides = {side for axis in layer.padding for side in axis}
        if len(sides) != 1:
            raise self.error(f"layer {layer.name!r} pads its sides differently")
        return sides.pop(), layer.output

    def relu(self, tensor: keras.KerasTensor) -> keras.KerasTensor:
        """Return what comes out of the ReLU that reads a tensor."""
        layer = self.take(tensor, layers.Activation)
        if layer.activation is not keras.activations.relu:
            raise self.error(f"layer {layer.name!r} is not a ReLU")
        return layer.output

    def batch_norm(self, tensor: keras.KerasTensor) -> tuple[Array, Array, keras.KerasTensor]:
        """Return scale and offset of the BatchNormalization that reads a tensor, and what comes out."""
        layer = self.take(tensor, layers.BatchNormalization)
        given = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
        if any(weights is None for weights in given):
            raise self.error(f"layer {layer.name!r} has no gamma or no beta")
        gamma, beta, mean, variance = (_array(weights) for weights in given)
        scale = gamma / np.sqrt(variance + layer.epsilon)
        return scale, beta - mean * scale, layer.output

    def convolution(self, tensor: keras.KerasTensor) -> tuple[Convolution, keras.KerasTensor]:
        """Return the convolution that reads a tensor, and what comes out."""
        padding, tensor = self.padding(tensor)
        layer = self.take(tensor, layers.Conv2D)
        plain = (
            layer.strides[0] == layer.strides[1]
            and layer.dilation_rate == (1, 1)
            and layer.groups == 1
            and layer.activation is keras.activations.linear
        )
        if not plain:
            raise self.error(f"layer {layer.name!r} has other strides, groups, dilation or activation")
        kernel = _array(layer.kernel)
        if layer.padding == "same":
            if layer.strides != (1, 1) or kernel.shape[0] % 2 == 0:
                raise self.error(f"layer {layer.name!r} pads its sides differently")
            padding += kernel.shape[0] // 2
        bias = _array(layer.bias) if layer.use_bias else np.zeros(kernel.shape[-1])
        return Convolution(kernel, bias, layer.strides[0], padding), layer.output

    def folded(self, tensor: keras.KerasTensor) -> tuple[Convolution, keras.KerasTensor]:
        """Return convolution, BatchNorm and ReLU as one convolution, and what comes out."""
        convolution, tensor = self.convolution(tensor)
        scale, offset, tensor = self.batch_norm(tensor)
        kernel, bias = convolution.kernel * scale, convolution.bias * scale + offset
        return replace(convolution, kernel=kernel, bias=bias, relu=True), self.relu(tensor)

    def max_pool(self, tensor: keras.KerasTensor) -> tuple[MaxPool, keras.KerasTensor]:
        """Return the pooling that reads a tensor, and what comes out."""
        padding, tensor = self.padding(tensor)
        layer = self.take(tensor, layers.MaxPooling2D)
        return MaxPool(layer.pool_size[0], layer.strides[0], padding), layer.output

    def blocks(self, tensor: keras.KerasTensor) -> tuple[tuple[Block, ...], Convolution, keras.KerasTensor]:
        """Return the blocks, the last normalisation, and what comes out of its ReLU."""
        blocks: list[Block] = []
        inner: list[Layer] = []
        while True:
            scale, offset, normalised = self.batch_norm(tensor)
            activated, norm = self.relu(normalised), normalisation(scale, offset)
            if self.find(activated, layers.Conv2D) is None:
                return (*blocks, Block(tuple(inner), None)), norm, activated
            convolution, output = self.convolution(activated)
            pooling = self.find(output, layers.AveragePooling2D)
            if pooling is not None:
                average = averaging(pooling.pool_size[0], convolution.kernel.shape[2])
                blocks.append(Block(tuple(inner), Layer(norm, average, convolution)))
                inner, tensor = [], pooling.output
                continue
            bottleneck, squeezed = self.folded(activated)
            growth, grown = self.convolution(squeezed)
            joined = self.take(grown, layers.Concatenate)
            if [id(one) for one in joined.input] != [id(tensor), id(grown)]:
                raise self.error(f"layer {joined.name!r} does not append to its block")
            inner.append(Layer(norm, bottleneck, growth))
            tensor = joined.output


def _array(weights: Any) -> Array:
    return np.asarray(ops.convert_to_numpy(weights), np.float64)

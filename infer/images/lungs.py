"""Where the lungs are in a gray picture: a box, found by a small convolutional network in plain NumPy.

The network sees the whole picture as a thumbnail, its brightness and contrast taken out, and answers with the
four edges of a box and a logit of "there are lungs". `xray-train lungs` trains it on boxes that Haar cascades
drew, and writes the file of its weights, `files/lungs.npz`:
    side          int64 []                    edge of the thumbnail in pixels
    strides       int64 [C]                   of the C convolutions, which are 3x3 and padded by one zero
    conv<i>       float16 [3, 3, inputs, outputs], and conv<i>_bias [outputs]
    dense<i>      float16 [outputs, inputs], and dense<i>_bias [outputs]; the first reads [H, W, channels],
                  the last has five outputs
A ReLU follows each layer but the last, whose first four outputs are left, top, right and bottom after a
sigmoid, as shares of width and height.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from importlib import resources
from typing import IO, Final

import cv2
import numpy as np
from numpy.typing import NDArray

# Of the picture's width and height. No training film's lungs are smaller; less is a failure.
SMALLEST_SHARE: Final = 0.25
# Gray levels. A thumbnail with less contrast is not stretched any further: it would be noise.
LEAST_DEVIATION: Final = 4.0

# Least samples along an edge of a thumbnail's pixel, where a picture has so many.
SAMPLES: Final = 4

_loading: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class Box:
    """Edges in pixels of the picture; `right` and `bottom` are the first column and row outside."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True, eq=False)
class LungNetwork:
    """The weights as float32, and the forward pass. Layers as the module describes them."""

    side: int
    strides: tuple[int, ...]
    kernels: tuple[NDArray[np.float32], ...]  # [9 * inputs, outputs]
    kernel_biases: tuple[NDArray[np.float32], ...]
    dense: tuple[NDArray[np.float32], ...]  # [outputs, inputs]
    dense_biases: tuple[NDArray[np.float32], ...]

    def __call__(self, thumbnail: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        """`float32 [side, side]`, normalised, to the box as shares (left, top, right, bottom) and the logit.

        No product has more than 262,144 multiplications: OpenBLAS stays on the calling thread up to there,
        and the callers are the threads of a run. Its limit for a matrix and a vector is far lower, so that
        the dense layers go without BLAS.
        """
        planes = thumbnail[..., None]
        for kernel, bias, stride in zip(self.kernels, self.kernel_biases, self.strides, strict=True):
            planes = _convolve(planes, kernel, bias, stride)
        values = planes.reshape(-1)
        for weights, bias in zip(self.dense[:-1], self.dense_biases[:-1], strict=True):
            values = np.maximum(np.einsum("oi,i->o", weights, values) + bias, 0)
        values = np.einsum("oi,i->o", self.dense[-1], values) + self.dense_biases[-1]
        return 1 / (1 + np.exp(-values[:4])), float(values[4])


def find_lungs(gray: NDArray[np.uint8]) -> Box | None:
    """Return the box of both lungs in a gray `uint8 [H, W]`, which may be of any size, or None.

    None where the network sees no lungs, and for a box of less than a quarter of the width or the height.
    """
    height, width = gray.shape
    network = shipped_network()
    seen = thumbnail(gray, network.side)
    if not seen.any():  # one gray level all over
        return None
    shares, logit = network(seen)
    if logit <= 0:
        return None
    left, right = (round(float(share) * width) for share in shares[0::2])
    top, bottom = (round(float(share) * height) for share in shares[1::2])
    if right - left < max(1, SMALLEST_SHARE * width) or bottom - top < max(1, SMALLEST_SHARE * height):
        return None
    return Box(left, top, right, bottom)


def thumbnail(gray: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Return what the network sees of a picture: `float32 [side, side]`, mean 0, deviation 0.5 or less."""
    return normalised(shrunk(gray, side))


def shrunk(gray: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the whole picture as a square, its aspect not kept.

    A pixel is the mean of its area; of a large picture, of 4 x 4 samples or more of it, in a fraction of the
    time.
    """
    down, across = (max(1, edge // (SAMPLES * side)) for edge in gray.shape)
    sampled = np.ascontiguousarray(gray[down // 2 :: down, across // 2 :: across])
    return np.asarray(cv2.resize(sampled, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def normalised(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Take mean and contrast out of a thumbnail: one film badly exposed gives nearly the same."""
    values = small.astype(np.float32)
    values -= values.mean()
    return values / np.float32(2 * max(float(values.std()), LEAST_DEVIATION))


def shipped_network() -> LungNetwork:
    """Return the network of this package, read once."""
    with _loading:
        return _shipped_network()


def read_network(stream: IO[bytes]) -> LungNetwork:
    """Read a network's file; its layout is the module's."""
    with np.load(stream, allow_pickle=False) as stored:
        strides = tuple(int(stride) for stride in stored["strides"])
        dense = [name for name in stored.files if name.startswith("dense") and not name.endswith("_bias")]

        def floats(name: str) -> NDArray[np.float32]:
            return np.ascontiguousarray(stored[name], dtype=np.float32)

        convolutions = [f"conv{number}" for number in range(len(strides))]
        return LungNetwork(
            side=int(stored["side"]),
            strides=strides,
            kernels=tuple(floats(name).reshape(-1, stored[name].shape[3]) for name in convolutions),
            kernel_biases=tuple(floats(f"{name}_bias") for name in convolutions),
            dense=tuple(floats(name) for name in sorted(dense)),
            dense_biases=tuple(floats(f"{name}_bias") for name in sorted(dense)),
        )


@functools.cache
def _shipped_network() -> LungNetwork:
    with resources.files(__package__).joinpath("files/lungs.npz").open("rb") as stream:
        return read_network(stream)


def _convolve(
    planes: NDArray[np.float32], kernel: NDArray[np.float32], bias: NDArray[np.float32], stride: int
) -> NDArray[np.float32]:
    """3x3 convolution of `[H, W, inputs]`, padded by one zero, and a ReLU; `[H/stride, W/stride, out]`."""
    height, width, inputs = planes.shape
    padded = np.zeros((height + 2, width + 2, inputs), np.float32)
    padded[1:-1, 1:-1] = planes
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))[::stride, ::stride]
    # Channels innermost: a row of a window is then one piece of memory.
    columns = windows.transpose(0, 1, 3, 4, 2).reshape(-1, 9 * inputs)
    out = columns @ kernel
    out += bias
    np.maximum(out, 0, out=out)
    return out.reshape(*windows.shape[:2], -1)

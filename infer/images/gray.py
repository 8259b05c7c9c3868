"""Decoded pixels to gray, and a gray picture at its full depth.

Deeper pixels are scaled by the range of their real bit depth: the smallest power of two, at least 256,
that holds the brightest pixel. A 12-bit radiograph in a 16-bit file keeps its contrast, and a 16-bit
copy of an 8-bit image (x 257) gives the 8-bit image back exactly, if its brightest pixel is at least 128.
A `Picture` is for looking at: its pixels stay as deep as they were stored, and what the file's own window
would clip is kept. The model's input is made by `decode` alone, of 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ImageError

Depth = TypeVar("Depth", np.uint8, np.uint16)
GrayValues = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """`values`: uint8 or uint16 [H, W], the larger the brighter.

    `black` and `white` > `black`: the values that are shown as 0 and 255, with a straight line between;
    either may lie beyond what the values' type holds. So shown, it is what `decode` gives, within one gray
    level.

    A value v stands for `zero` + `unit` * v in the file's own measure: in a DICOM file its physical values,
    which its window is given in, else the stored ones. `unit` is negative where the smaller are brighter.
    """

    values: GrayValues
    black: float
    white: float
    zero: float = 0.0
    unit: float = 1.0


def to_gray(pixels: NDArray[Any], *, straight_alpha: bool = True) -> NDArray[np.uint8]:
    """Turn decoded pixels, uint8 or uint16, gray, BGR or BGRA, into gray `uint8 [H, W]`.

    Raises ImageError for other pixel types or channel counts.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels == 1:
        return to_eight_bits(pixels.reshape(pixels.shape[:2]))
    if channels not in (3, 4):
        raise ImageError(f"{channels} channels; expected gray, RGB or RGBA")
    colour = to_eight_bits(np.ascontiguousarray(pixels[..., :3]))
    gray = _as_bytes(cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY))
    if channels == 3 or not straight_alpha:
        return gray
    alpha = pixels[..., 3]
    full = np.iinfo(alpha.dtype).max  # alpha always has the whole range, whatever the colours use of theirs
    if alpha.min() == full:
        return gray
    share = _as_bytes(cv2.convertScaleAbs(alpha, alpha=255 / full))
    return _as_bytes(cv2.multiply(gray, share, scale=1 / 255))


def _as_bytes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Tell the type checker what OpenCV's stubs leave open; no copy is made of uint8 pixels."""
    return pixels.astype(np.uint8, copy=False)


def to_eight_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale uint8 or uint16 pixels of any shape to uint8 by their real bit depth (see the module).

    Raises ImageError for other pixel types.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype != np.uint16:
        raise ImageError(f"{pixels.dtype} pixels; expected 8 or 16 bit unsigned integers")
    return _as_bytes(cv2.convertScaleAbs(pixels, alpha=255 / full_scale(pixels)))


def full_scale(pixels: NDArray[np.uint16]) -> int:
    """Return what is white in a 16-bit picture: the largest value of its real bit depth, at least 255."""
    return max(255, (1 << int(pixels.max()).bit_length()) - 1)


def upright(gray: NDArray[Depth], orientation: int) -> NDArray[Depth]:
    """Turn a picture as EXIF's orientation, 1 to 8, says it is to be seen."""
    if orientation in (5, 6, 7, 8):
        gray = gray.T
    if orientation in (3, 4, 7, 8):
        gray = gray[::-1]
    if orientation in (2, 3, 6, 7):
        gray = gray[:, ::-1]
    return np.ascontiguousarray(gray)

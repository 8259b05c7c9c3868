"""A small map to the size of its picture, and over it: colour and opacity rise with the heat.

**Size.** A cell's value stands at the cell's centre, as in OpenCV's and PyTorch's resizing (half-pixel
centres), and is reached there. Between the centres runs a monotone cubic (Fritsch and Butland 1984): no value
is larger or smaller than those of the cells around it. So nothing rings, as with a plain cubic, whose
overshoots draw heat where there is none, and no creases run from centre to centre, as in a bilinear map.

**Colour.** What lies below stays visible. The colours are plasma's (van der Walt and Smith 2015):
perceptually uniform, lighter with every step, and of such maps the one that is best told from gray when mixed
with it: its chroma (CIELAB) over a middle gray is 15 at a quarter of the scale, 17, 27 and 60 at its end.
Inferno's and magma's hottest, 27 and 18, are near the white of bone; cividis' is 1 at the half; viridis' is 5
at a quarter.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

# Steps that a cell is divided into; the bilinear step after them is off by 0.1 % of the scale at most.
PER_CELL: Final = 32
HEAT_LEVELS: Final = 256
_FULL: Final = (HEAT_LEVELS - 1) * 256  # the last level, in the 16 bits between


def upsample(values: NDArray[np.float32], scale: float, height: int) -> NDArray[np.uint16]:
    """Return the heat of a picture's rows, uint16 [height, w * PER_CELL] in 1/256 of a level of 0..255.

    `values` is float32 [h, w] >= 0, h and w >= 2; `scale` > 0 is the value that becomes the hottest, what is
    above it too. `widen` makes rows as long as the picture's of it, some at a time: of a large picture the
    whole would be the largest thing in memory but one.
    """
    shares = np.clip(values / scale, 0, 1).astype(np.float32)
    # Columns first and rows first differ a little; their mean treats both sides of a picture alike.
    fine = (_along_rows(_along_rows(shares).T).T + _along_rows(_along_rows(shares.T).T)) / 2
    return _resize(np.rint(fine * _FULL).astype(np.uint16), (fine.shape[1], height))


def widen(heat: NDArray[np.uint16], width: int) -> NDArray[np.uint16]:
    """Return rows of what `upsample` returns at a picture's width, uint16 [n, width]."""
    return _resize(heat, (width, len(heat)))


def _along_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Interpolate along the first axis, float32 [n, m] to [n * PER_CELL, m]."""
    count = len(values)
    steps = np.diff(values, axis=0)
    before, after = steps[:-1], steps[1:]
    slopes = np.zeros_like(values)
    # The harmonic mean where the map goes on in one direction; level at a peak, a hollow and the border.
    rises = before * after > 0
    np.divide(2 * before * after, before + after, out=slopes[1:-1], where=rises)
    place = (np.arange(count * PER_CELL, dtype=np.float32) + 0.5) / PER_CELL - 0.5
    place = np.clip(place, 0, count - 1)  # the outer half of an outer cell has its value
    cell = np.minimum(place.astype(np.intp), count - 2)
    t = (place - cell)[:, None]
    smooth = t * t * (3 - 2 * t)
    level = values[cell] * (1 - smooth) + values[cell + 1] * smooth
    result: NDArray[np.float32] = level + t * (1 - t) * ((1 - t) * slopes[cell] - t * slopes[cell + 1])
    return result


def _resize(heat: NDArray[np.uint16], size: tuple[int, int]) -> NDArray[np.uint16]:
    """Interpolate bilinearly, size (width, height); tell the type checker what OpenCV's stubs leave open."""
    return cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR).astype(np.uint16, copy=False)


MAX_OPACITY: Final = 0.55
STRIP_PIXELS: Final = 1 << 18  # at a time: small in memory, few enough calls

COLOURS: Final = cv2.applyColorMap(np.arange(HEAT_LEVELS, dtype=np.uint8)[:, None], cv2.COLORMAP_PLASMA)
ColourTable = NDArray[np.uint8]


@lru_cache(maxsize=128)
def _tables(strength: float) -> tuple[ColourTable, ColourTable]:
    """Return `kept` and `added`, by heat: a pixel becomes pixel * kept / 255 + added."""
    opacity = strength * MAX_OPACITY * np.arange(HEAT_LEVELS) / (HEAT_LEVELS - 1)
    kept = np.rint(255 * (1 - opacity)).astype(np.uint8)
    return kept, np.rint(COLOURS * opacity[:, None, None]).astype(np.uint8)


def blend(
    pixels: NDArray[np.uint8], heat: NDArray[np.uint16], out: NDArray[np.uint8], *, strength: float = 1.0
) -> None:
    """Draw `heat`, as `upsample` returns it, over `pixels`, uint8 [H, W], into `out`, BGR uint8 [H, W, 3].

    `strength`, 0 to 1, fades it. Within 2.5 gray levels of the same in floats. A strip of the picture at a
    time, in OpenCV, which lets go of the interpreter's lock.
    """
    height, width = pixels.shape
    rows = max(1, STRIP_PIXELS // width)
    kept_by_level, added_by_level = _tables(strength)
    for top in range(0, height, rows):
        strip = slice(top, top + rows)
        level = cv2.convertScaleAbs(widen(heat[strip], width), alpha=1 / 256)
        kept = cv2.multiply(pixels[strip], cv2.LUT(level, kept_by_level), scale=1 / 255)
        cv2.add(
            cv2.applyColorMap(level, added_by_level), cv2.cvtColor(kept, cv2.COLOR_GRAY2BGR), dst=out[strip]
        )

"""Heat over a gray picture: colour and opacity rise with it, and what lies below stays visible.

The colours are plasma's (van der Walt and Smith 2015): perceptually uniform, lighter with every step, and of
such maps the one that is best told from gray when mixed with it: its chroma (CIELAB) over a middle gray is 15
at a quarter of the scale, 17, 27 and 60 at its end. Inferno's and magma's hottest, 27 and 18, are near the
white of bone; cividis' is 1 at the half; viridis' is 5 at a quarter.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.outputs.heatmaps.upsample import HEAT_LEVELS, widen

MAX_OPACITY: Final = 0.55
STRIP_PIXELS: Final = 1 << 18  # at a time: small in memory, few enough calls

COLOURS: Final = cv2.applyColorMap(np.arange(HEAT_LEVELS, dtype=np.uint8)[:, None], cv2.COLORMAP_PLASMA)
Table = NDArray[np.uint8]


@lru_cache(maxsize=128)
def _tables(strength: float) -> tuple[Table, Table]:
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

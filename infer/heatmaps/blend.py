"""Heat over a gray picture: colour and opacity rise with it, and what lies below stays visible.

The colours are plasma's (van der Walt and Smith 2015): perceptually uniform, lighter with every step, and of
such maps the one that is best told from gray when mixed with it: its chroma (CIELAB) over a middle gray is 15
at a quarter of the scale, 17, 27 and 60 at its end. Inferno's and magma's hottest, 27 and 18, are near the
white of bone; cividis' is 1 at the half; viridis' is 5 at a quarter.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.heatmaps.upsample import HEAT_LEVELS, widen

MAX_OPACITY: Final = 0.55
STRIP_PIXELS: Final = 1 << 18  # at a time: small in memory, few enough calls

_opacity: Final = MAX_OPACITY * np.arange(HEAT_LEVELS) / (HEAT_LEVELS - 1)
COLOURS: Final = cv2.applyColorMap(np.arange(HEAT_LEVELS, dtype=np.uint8)[:, None], cv2.COLORMAP_PLASMA)
# A pixel becomes pixel * _KEPT[heat] / 255 + _ADDED[heat].
_KEPT: Final = np.rint(255 * (1 - _opacity)).astype(np.uint8)
_ADDED: Final = np.rint(COLOURS * _opacity[:, None, None]).astype(np.uint8)


def blend(pixels: NDArray[np.uint8], heat: NDArray[np.uint16], out: NDArray[np.uint8]) -> None:
    """Draw `heat`, as `upsample` returns it, over `pixels`, uint8 [H, W], into `out`, BGR uint8 [H, W, 3].

    Within 2.5 gray levels of the same in floats. A strip of the picture at a time, in OpenCV, which lets go
    of the interpreter's lock.
    """
    height, width = pixels.shape
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = slice(top, top + rows)
        level = cv2.convertScaleAbs(widen(heat[strip], width), alpha=1 / 256)
        kept = cv2.multiply(pixels[strip], cv2.LUT(level, _KEPT), scale=1 / 255)
        cv2.add(cv2.applyColorMap(level, _ADDED), cv2.cvtColor(kept, cv2.COLOR_GRAY2BGR), dst=out[strip])

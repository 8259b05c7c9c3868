"""A heat map over its picture, with what a reader must know beside it."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.classes import CLASS_NAMES, HEATMAP_NOTICE, RESEARCH_NOTICE
from xray_infer.heatmaps.methods import Heatmap
from xray_infer.results import Row

OVERLAY_SIDE: Final = 768  # longer side of the drawn picture, in pixels
MAX_OPACITY: Final = 0.55
COLOURS: Final = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)  # BGR
_LINE: Final = 26
_MARGIN: Final = 10


def draw_overlay(pixels: NDArray[np.uint8], heatmap: Heatmap, row: Row) -> NDArray[np.uint8]:
    """Draw one class's heat map over the picture.

    `pixels` is uint8 [H, W]. Returns BGR uint8: the picture with its longer side at
    768 pixels, coloured from transparent (no heat) to the map's own maximum, a colour bar, and a caption
    with label, probabilities and the notices.
    """
    height, width = pixels.shape
    scale = OVERLAY_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shown = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    picture = blend(shown, heatmap.values, heatmap.peak)
    bar = np.linspace(255, 0, size[1]).astype(np.uint8)[:, None].repeat(14, axis=1)
    body = np.hstack([picture, np.zeros((size[1], 4, 3), np.uint8), cv2.applyColorMap(bar, COLOURS)])
    return np.vstack([body, _caption(row, heatmap, body.shape[1])])


def blend(pixels: NDArray[np.uint8], values: NDArray[np.float32], scale: float) -> NDArray[np.uint8]:
    """Colour a picture by a map, from transparent (0) to opaque at `scale`, the value drawn as the hottest.

    `pixels` is uint8 [H, W], `values` float32 [h, w] >= 0. Returns BGR uint8 [H, W, 3]; the plain
    picture where `scale` is 0.
    """
    picture = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
    if scale <= 0:
        return picture
    size = (pixels.shape[1], pixels.shape[0])
    smooth = np.clip(cv2.resize(values / scale, size, interpolation=cv2.INTER_CUBIC), 0, 1)
    colours = cv2.applyColorMap((smooth * 255).astype(np.uint8), COLOURS)
    opacity = (MAX_OPACITY * smooth)[..., None]
    return (picture * (1 - opacity) + colours * opacity).astype(np.uint8)


def _caption(row: Row, heatmap: Heatmap, width: int) -> NDArray[np.uint8]:
    chances = ", ".join(
        f"{name} {value:.1%}" for name, value in zip(CLASS_NAMES, row.probabilities, strict=True)
    )
    name = heatmap.class_name
    what = f"{heatmap.title} of '{name}'" if heatmap.peak > 0 else f"No region speaks for '{name}'"
    lines = (f"{row.label}: {chances}", f"{what}. {HEATMAP_NOTICE}", RESEARCH_NOTICE)
    caption = np.zeros((_LINE * len(lines) + _MARGIN, width, 3), np.uint8)
    for number, line in enumerate(lines):
        (text_width, _), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
        fitted = 0.5 * min(1.0, (width - 2 * _MARGIN) / max(1, text_width))
        place = (_MARGIN, _LINE * (number + 1) - 6)
        cv2.putText(caption, line, place, cv2.FONT_HERSHEY_SIMPLEX, fitted, (255, 255, 255), 1, cv2.LINE_AA)
    return caption

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
    picture = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    heat, peak = heatmap.values, heatmap.peak
    if peak > 0:
        smooth = np.clip(cv2.resize(heat / peak, size, interpolation=cv2.INTER_CUBIC), 0, 1)
        colours = cv2.applyColorMap((smooth * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
        opacity = (MAX_OPACITY * smooth)[..., None]
        picture = (picture * (1 - opacity) + colours * opacity).astype(np.uint8)
    bar = np.linspace(255, 0, size[1]).astype(np.uint8)[:, None].repeat(14, axis=1)
    body = np.hstack(
        [picture, np.zeros((size[1], 4, 3), np.uint8), cv2.applyColorMap(bar, cv2.COLORMAP_INFERNO)]
    )
    return np.vstack([body, _caption(row, heatmap, body.shape[1])])


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

"""A heat map over its picture, at the picture's own size, with what a reader must know below it."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.classes import HEATMAP_NOTICE, RESEARCH_NOTICE
from xray_infer.outputs.heatmaps.blend import blend, upsample
from xray_infer.outputs.heatmaps.caption import BACKGROUND, NO_BREAK, Style, draw_caption
from xray_infer.outputs.heatmaps.methods import Heatmap
from xray_infer.run.results import Row

# Colours at full resolution: with halved ones the bar's edges are off by up to 70 gray levels instead of 31,
# for a file a seventh smaller. At 90 all but 0.1 % of the picture is within 4; 95 takes half as much again.
_JPEG: Final = (
    *(cv2.IMWRITE_JPEG_QUALITY, 90),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)
# By format: the encoder's name and settings.
ENCODERS: Final = {
    "jpeg": (".jpg", _JPEG),
    "png": (".png", (cv2.IMWRITE_PNG_COMPRESSION, 1)),
}
MOST_SIDE: Final = 60_000  # of a picture, in pixels; JPEG ends at 65,500, its caption included


def draw_overlay(pixels: NDArray[np.uint8], heatmap: Heatmap, row: Row) -> NDArray[np.uint8]:
    """Draw one class's heat map over the picture, uint8 [H, W].

    Returns BGR uint8: at its top left corner the picture, [:H, :W], nothing of it covered but by heat, from
    transparent to `heatmap.scale`; below it a colour bar, the label, all probabilities and the notices. Wider
    than the picture where that is too narrow for text. A side longer than MOST_SIDE is made that long.
    """
    pixels = _bounded(pixels)
    height, width = pixels.shape
    style = Style.beside(pixels.shape)
    below = caption(style, heatmap, row)
    canvas = np.empty((height + len(below), style.width, 3), np.uint8)
    canvas[:height, width:] = BACKGROUND
    lay_heat(pixels, heatmap, canvas[:height, :width])
    canvas[height:] = below
    return canvas


def lay_heat(pixels: NDArray[np.uint8], heatmap: Heatmap, out: NDArray[np.uint8]) -> None:
    """Draw a heat map over the picture, uint8 [H, W], and nothing else, into `out`, BGR uint8 [H, W, 3]."""
    rows, columns = heatmap.area.of(*pixels.shape)
    part = pixels[rows, columns]
    if part.shape != pixels.shape or heatmap.peak == 0:
        out[:] = pixels[..., None]
    if heatmap.peak > 0:
        blend(part, upsample(heatmap.values, heatmap.scale, len(part)), out[rows, columns])


def caption(style: Style, heatmap: Heatmap, row: Row) -> NDArray[np.uint8]:
    """Return what stands below the picture."""
    chances = ", ".join(
        f"{name}{NO_BREAK}{value:.1%}" for name, value in zip(row.class_names, row.probabilities, strict=True)
    )
    unit = f"{heatmap.scale:.3g} {heatmap.unit}"
    answer = f"Label: {row.label}. Probabilities: {chances}."
    paragraphs = (answer, f"{describe(heatmap)} {HEATMAP_NOTICE}", RESEARCH_NOTICE)
    return draw_caption(style, unit if heatmap.scale > 0 else "", paragraphs)


def describe(heatmap: Heatmap) -> str:
    """Return what a heat map shows, and how much of it there is, in a sentence."""
    name = heatmap.class_name
    if heatmap.peak == 0:
        return f"No region speaks for '{name}'."
    if heatmap.weak:
        share = heatmap.peak / heatmap.highest
        return f"{heatmap.title} of '{name}', weak: at most {share:.1%} of what speaks for another class."
    if heatmap.peak < heatmap.scale:
        return f"{heatmap.title} of '{name}', {heatmap.peak:.3g} at most; one scale for all classes."
    return f"{heatmap.title} of '{name}'."


def encode(overlay: NDArray[np.uint8], format: str) -> bytes:
    """Return a file of a format in `ENCODERS`."""
    suffix, settings = ENCODERS[format]
    return cv2.imencode(suffix, overlay, settings)[1].tobytes()


def _bounded(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = pixels.shape
    if max(height, width) <= MOST_SIDE:
        return pixels
    size = (min(width, MOST_SIDE), min(height, MOST_SIDE))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)

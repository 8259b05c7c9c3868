"""The worst errors of a method as a sheet of thumbnails.

It shows images of the training collection, so it belongs into the run's folder and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import ImageError
from xray_infer.images.decode import decode
from xray_infer.study.intervals import percent
from xray_infer.train.predictions import Predictions
from xray_infer.train.report.figures import WrongImage

_COLUMNS: Final = 4
_SIDE: Final = 220  # of a thumbnail, in pixels
_GAP: Final = 12
_LINE: Final = 17
_CAPTION: Final = 4 * _LINE
_HEAD: Final = 2 * _LINE + _GAP
_FOOT: Final = _LINE + _GAP
_PAD: Final = 215  # light, so that it is not taken for a black border of the picture
_DPI: Final = 120
_LONGEST: Final = 32  # characters that fit under a thumbnail


def draw_contact_sheet(title: str, split: Predictions, errors: Sequence[WrongImage], total: int) -> Figure:
    """Draw `errors`, of `total` that there are; a file that is gone or damaged is a tile that says so."""
    columns = max(2, min(_COLUMNS, len(errors)))
    rows = -(-len(errors) // columns)
    width = columns * (_SIDE + _GAP) + _GAP
    height = _HEAD + rows * (_SIDE + _CAPTION + _GAP) + _FOOT
    canvas = np.full((height, width), 255, np.uint8)
    figure = Figure(figsize=(width / _DPI, height / _DPI))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()

    def write(left: int, line_bottom: int, text: str, weight: str = "normal") -> None:
        # A file name with two dollar signs would be read as a formula.
        axes.text(left, line_bottom - 4, text, fontsize=8, parse_math=False, weight=weight)

    for number, error in enumerate(errors):
        left = _GAP + number % columns * (_SIDE + _GAP)
        top = _HEAD + number // columns * (_SIDE + _CAPTION + _GAP)
        tile = canvas[top : top + _SIDE, left : left + _SIDE]
        tile[:] = _PAD
        try:
            _place(decode(split.files[error.index].read_bytes()), tile)
        except (OSError, ImageError) as reason:
            tile[:] = _PAD
            gone = isinstance(reason, FileNotFoundError)
            write(left + _GAP, top + _SIDE // 2, "the file is gone" if gone else "the file cannot be read")
        lines = (
            f"true: {error.label}",
            f"predicted: {error.predicted}, {percent(error.probability)}",
            f"source: {error.source or 'not known'}",
            error.file,
        )
        for place, line in enumerate(lines, start=1):
            write(
                left, top + _SIDE + place * _LINE, _shorten(line), weight="bold" if place == 2 else "normal"
            )
    write(_GAP, _LINE + 4, f"Worst errors, {title}", weight="bold")
    write(_GAP, 2 * _LINE + 4, f"{len(errors)} of {total} errors, highest probability first")
    write(_GAP, height - _GAP // 2, RESEARCH_NOTICE)
    axes.imshow(canvas, cmap="gray", vmin=0, vmax=255, interpolation="none", extent=(0, width, height, 0))
    return figure


def _place(gray: NDArray[np.uint8], tile: NDArray[np.uint8]) -> None:
    """Put the picture into the middle of the square tile, its aspect kept."""
    scale = _SIDE / max(gray.shape)
    height, width = (max(1, round(length * scale)) for length in gray.shape)
    small = cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (_SIDE - height) // 2, (_SIDE - width) // 2
    tile[top : top + height, left : left + width] = small


def _shorten(text: str) -> str:
    """Leave out the middle of a long text: the end of a file name tells files apart."""
    text = " ".join(text.split())
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[: half - 1]}...{text[2 - half :]}"

"""What stands below a picture: a colour bar with numbers at its ends, and text that wraps to the width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.outputs.heatmaps.blend import blend

BACKGROUND: Final = 32  # dark, but no black: a picture's own black border ends visibly
NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_INK: Final = (255, 255, 255)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX

MIN_LETTER: Final = 11  # height of a capital, in pixels
_LONGER: Final = 64  # a picture's longer side, in capitals' heights
_SHORTER: Final = 6  # at least; a long and narrow picture would else be smaller than its caption
_LEAST_WIDTH: Final = 26  # of the caption, in capitals' heights: some 28 letters
_BAR_WIDTH: Final = 20  # at most, in capitals' heights
_LEADING: Final = 1.9  # from line to line, in capitals' heights


@dataclass(frozen=True, slots=True)
class Style:
    """The measures of a caption, in pixels: `letter` is the height of a capital, `width` that of all."""

    letter: int
    width: int

    @classmethod
    def beside(cls, shape: tuple[int, int]) -> Style:
        """Return the measures for a picture of this height and width: legible where all of it is in view."""
        letter = max(MIN_LETTER, round(min(max(shape) / _LONGER, min(shape) / _SHORTER)))
        return cls(letter, max(shape[1], _LEAST_WIDTH * letter))

    @property
    def scale(self) -> float:
        """OpenCV's measure of the font."""
        return self.letter / _letter_at_one()

    @property
    def stroke(self) -> int:
        """The width of a letter's lines."""
        return max(1, round(self.letter / 9))

    def measure(self, text: str) -> int:
        """Return a line's width."""
        return _measure(text, self.scale, self.stroke)

    def write(self, canvas: NDArray[np.uint8], text: str, left: int, base: int) -> None:
        """Write a line whose letters stand on row `base`."""
        cv2.putText(canvas, text, (left, base), _FONT, self.scale, _INK, self.stroke, cv2.LINE_AA)


@cache
def _letter_at_one() -> float:
    """Return the height of a capital at scale 1: OpenCV 4 and 5 draw this font in shapes of their own."""
    (_, height), _ = cv2.getTextSize("H", _FONT, 10.0, 1)
    return height / 10


@lru_cache(maxsize=1024)  # the notices are measured again for each picture
def _measure(text: str, scale: float, stroke: int) -> int:
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, stroke)
    return width


def draw_caption(style: Style, bar_end: str, paragraphs: Sequence[str]) -> NDArray[np.uint8]:
    """Return BGR uint8 [h, style.width, 3]: the bar from 0 to `bar_end`, unless that is empty; the text."""
    letter, margin = style.letter, style.letter
    lines = [line for one in paragraphs for line in wrap(style, one, style.width - 2 * margin)]
    step = round(_LEADING * letter)
    height = margin + (len(lines) + bool(bar_end)) * step + margin // 2
    canvas = np.full((height, style.width, 3), BACKGROUND, np.uint8)
    base = margin + letter
    if bar_end:
        _draw_bar(style, canvas, bar_end, base)
        base += step
    for number, line in enumerate(lines):
        style.write(canvas, line, margin, base + number * step)
    return canvas


def wrap(style: Style, text: str, width: int) -> Iterator[str]:
    """Yield the text in lines that are no wider; a word that is wider has a line to itself.

    Words with NO_BREAK between them stay in one line.
    """
    line = ""
    for word in text.split(" "):
        word = word.replace(NO_BREAK, " ")
        longer = f"{line} {word}" if line else word
        if line and style.measure(longer) > width:
            yield line
            line = word
        else:
            line = longer
    if line:
        yield line


def _draw_bar(style: Style, canvas: NDArray[np.uint8], end: str, base: int) -> None:
    """Draw 0, the bar and its end's number in a row: the colours over black at its top, over white below."""
    letter = style.letter
    left = letter + style.measure("0") + letter // 2
    room = style.width - left - style.measure(end) - 3 * letter // 2
    width, height = min(room, _BAR_WIDTH * letter), round(1.2 * letter)
    top = base - round(1.1 * letter)
    gray = np.linspace(0, 255, height).astype(np.uint8)[:, None].repeat(width, axis=1)
    heat = np.linspace(0, 255 * 256, width).astype(np.uint16)[None].repeat(height, axis=0)
    blend(gray, heat, canvas[top : top + height, left : left + width])
    style.write(canvas, "0", letter, base)
    style.write(canvas, end, left + width + letter // 2, base)

"""A picture to what the screen shows of it: the part in view, its window, the heat over it. No Qt in here.

The cost follows the screen's size and not the picture's: a picture is kept at full size, a half, a quarter
and so on, and what is in view is taken from the level that is at most twice as fine as the screen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.images.gray import Picture
from xray_infer.outputs.heatmaps.blend import blend, upsample, widen
from xray_infer.outputs.heatmaps.methods import Heatmap
from xray_infer.viewer.placement import Placement

SMALLEST_LEVEL: Final = 256  # pixels of the shorter side: there is nothing to gain below
HEAT_SIDE: Final = 448  # of the map that is stretched over the picture: 64 pixels a cell
LEAST_SHARE: Final = 1 / 512  # of the picture's range, that a window may be wide


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """A picture and its smaller copies, each half of the one before it; uint8 or uint16 [h, w]."""

    picture: Picture
    levels: tuple[NDArray[Any], ...]
    reach: float  # what a window may have to span: the values that occur, or the picture's own window

    @classmethod
    def of(cls, picture: Picture) -> Levels:
        """Make the copies, by averaging."""
        low, high, *_ = cv2.minMaxLoc(picture.values)
        return cls(picture, tuple(_halved(picture.values)), max(high - low, picture.white - picture.black))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the picture."""
        height, width = self.picture.values.shape
        return height, width

    @property
    def size_bytes(self) -> int:
        """What all of it takes in memory."""
        return sum(level.nbytes for level in self.levels)


def _halved(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    yield values
    while min(values.shape) >= 2 * SMALLEST_LEVEL:
        height, width = values.shape
        values = cv2.resize(values, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_AREA)
        yield values


@dataclass(frozen=True, slots=True)
class Window:
    """Which values are shown as black and as white (DICOM: level and width); `inverted` turns it round."""

    black: float
    white: float
    inverted: bool = False

    @classmethod
    def of(cls, picture: Picture, *, inverted: bool = False) -> Window:
        """Return the window that the picture comes with: what the model sees, unless it is inverted."""
        return cls(picture.black, picture.white, inverted)

    @property
    def level(self) -> float:
        """The value that is shown as middle gray."""
        return (self.black + self.white) / 2

    @property
    def width(self) -> float:
        """White's value less black's."""
        return self.white - self.black

    def changed(self, *, wider: float, brighter: float, reach: float) -> Window:
        """Return it wider by the factor e^`wider`, and brighter by a share of its own width.

        `reach`, see `Levels.reach`: it is never wider than 8 times that, nor narrower than LEAST_SHARE of it
        unless it was before; its level stays near the values.
        """
        least = min(self.width, reach * LEAST_SHARE)
        width = min(max(self.width * math.exp(wider), least), 8 * reach)
        lower = -brighter if self.inverted else brighter
        level = min(max(self.level - lower * self.width, -4 * reach), 5 * reach)
        return Window(level - width / 2, level + width / 2, self.inverted)

    def table(self, dtype: np.dtype[Any]) -> NDArray[np.uint8]:
        """Return what each value is shown as, uint8 [256] or [65536]."""
        values = np.arange(np.iinfo(dtype).max + 1, dtype=np.float64)
        shown = np.rint(np.clip(255 * (values - self.black) / self.width, 0, 255)).astype(np.uint8)
        return 255 - shown if self.inverted else shown


def stretch(heatmap: Heatmap) -> NDArray[np.uint16] | None:
    """Return a heat map as `render` lays it over a picture, uint16 [448, 448]; None where nothing is hot."""
    if heatmap.peak == 0:
        return None
    return widen(upsample(heatmap.values, heatmap.scale, HEAT_SIDE), HEAT_SIDE)


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """`pixels`: uint8 [h, w], gray, or [h, w, 3], BGR; their top left one is the screen's at `x`, `y`."""

    pixels: NDArray[np.uint8]
    x: int
    y: int


def render(
    levels: Levels,
    window: Window,
    placement: Placement,
    screen: tuple[int, int],
    heat: NDArray[np.uint16] | None = None,
    strength: float = 1.0,
) -> Rendered | None:
    """Return what is in view on a screen of this height and width; None when nothing is.

    `heat` as `stretch` returns it, laid over the picture with `strength`, 0 to 1, as in heat maps' files.
    """
    rows, columns = screen
    height, width = levels.shape
    left = columns / 2 - placement.x * placement.scale  # of the picture, on the screen
    top = rows / 2 - placement.y * placement.scale
    x0, y0 = max(0, math.floor(left)), max(0, math.floor(top))
    x1 = min(columns, math.ceil(left + width * placement.scale))
    y1 = min(rows, math.ceil(top + height * placement.scale))
    if x1 <= x0 or y1 <= y0:
        return None
    steps = math.floor(math.log2(max(1.0, 1 / placement.scale)))
    level = levels.levels[min(steps, len(levels.levels) - 1)]
    view = _View(x0 - left, y0 - top, x1 - x0, y1 - y0, placement.scale)
    part = view.of(level, (height, width))
    table = window.table(part.dtype)
    shown = cv2.LUT(part, table) if part.dtype == np.uint8 else table[part]
    gray = shown.astype(np.uint8, copy=False)
    if heat is None or strength <= 0:
        return Rendered(gray, x0, y0)
    hot = view.of(heat, (height, width))
    coloured = np.empty((*gray.shape, 3), np.uint8)
    blend(gray, hot, coloured, strength=strength)
    return Rendered(coloured, x0, y0)


@dataclass(frozen=True, slots=True)
class _View:
    """A part of the screen: its corner in screen pixels from the picture's corner, its size, the scale."""

    dx: float
    dy: float
    width: int
    height: int
    scale: float

    def of(self, image: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
        """Return what it shows of an image that covers a picture of this height and width."""
        across = image.shape[1] / shape[1] / self.scale  # image pixels a screen pixel
        down = image.shape[0] / shape[0] / self.scale
        # A screen pixel's centre, in the image's own places, whose pixels' centres are whole numbers.
        x = (self.dx + 0.5) * across - 0.5
        y = (self.dy + 0.5) * down - 0.5
        # Only what is needed, for OpenCV warps no image with a side beyond 32,767.
        first_x, last_x = _bounds(x, across, self.width, image.shape[1])
        first_y, last_y = _bounds(y, down, self.height, image.shape[0])
        part = image[first_y:last_y, first_x:last_x]
        matrix = np.array([[across, 0, x - first_x], [0, down, y - first_y]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(
            part, matrix, (self.width, self.height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )


def _bounds(start: float, step: float, count: int, size: int) -> tuple[int, int]:
    """Return the first pixel that is needed and the one after the last."""
    first = min(max(math.floor(start) - 1, 0), size - 1)
    return first, max(min(math.ceil(start + step * count) + 2, size), first + 1)

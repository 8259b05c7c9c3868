"""From a picture to what the screen shows: the part in view, window and level, the heat map over it.

All of it works on arrays; only `ArrayImage` knows Qt. The cost follows the screen's size and not the
picture's: a picture is kept at full size, a half, a quarter and so on, and the part in view is taken from the
level that is at most twice as fine as the screen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from xray_infer.images.gray import Picture
from xray_infer.outputs.heatmaps.blend import blend, upsample, widen
from xray_infer.outputs.heatmaps.methods import Heatmap

SMALLEST_LEVEL: Final = 256  # pixels of the shorter side: there is nothing to gain below
HEAT_SIDE: Final = 448  # of the map that is stretched over the picture: 64 pixels a cell
LEAST_SHARE: Final = 1 / 512  # least width of a window, as a share of the picture's range
LARGEST: Final = 32.0  # largest scale: screen pixels per pixel of the picture
STEP: Final = 1.25  # zoom factor of one notch of the wheel, or of one key


@dataclass(frozen=True, slots=True, eq=False)
class ImagePyramid:
    """A picture and its smaller copies, each half of the one before it; uint8 or uint16 [h, w]."""

    picture: Picture
    levels: tuple[NDArray[Any], ...]
    reach: float  # the widest range of values: those that occur, or the picture's own window

    @classmethod
    def of(cls, picture: Picture) -> ImagePyramid:
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
        """Memory that all levels take."""
        return sum(level.nbytes for level in self.levels)


def _halved(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    yield values
    while min(values.shape) >= 2 * SMALLEST_LEVEL:
        height, width = values.shape
        values = cv2.resize(values, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_AREA)
        yield values


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture stands on the screen: its scale, and which of its points is in the middle.

    `scale` is in screen pixels per pixel of the picture; `x`, `y` is the point in the middle of the screen.

    Points are in pixels of the picture, from its top left corner: a pixel's own centre is at a half.
    """

    scale: float
    x: float
    y: float

    @classmethod
    def fitting(cls, shape: tuple[int, int], screen: tuple[int, int]) -> Placement:
        """Return where all of a picture of this height and width is in view, as large as the screen allows.

        `screen` is its height and width in pixels. A picture that is smaller is enlarged.
        """
        (height, width), (rows, columns) = shape, screen
        scale = min(rows / height, columns / width, LARGEST)
        return cls(max(scale, 1e-6), width / 2, height / 2)

    def zoomed(self, factor: float, at: tuple[float, float], smallest: float) -> Placement:
        """Return it larger or smaller; the point that is `at` (dx, dy) from the middle stays where it is."""
        scale = min(max(self.scale * factor, smallest), max(LARGEST, smallest))
        gone = 1 / self.scale - 1 / scale
        return Placement(scale, self.x + at[0] * gone, self.y + at[1] * gone)

    def moved(self, dx: float, dy: float) -> Placement:
        """Return it with the picture shifted by so many screen pixels."""
        return replace(self, x=self.x - dx / self.scale, y=self.y - dy / self.scale)

    def kept_in(self, shape: tuple[int, int]) -> Placement:
        """Return it with some of the picture in view: a point of it stays in the middle of the screen."""
        height, width = shape
        return replace(self, x=min(max(self.x, 0), width), y=min(max(self.y, 0), height))


@dataclass(frozen=True, slots=True)
class WindowLevel:
    """Which values are shown as black and as white (DICOM: window centre and width).

    `inverted` exchanges black and white.
    """

    black: float
    white: float
    inverted: bool = False

    @classmethod
    def of(cls, picture: Picture, *, inverted: bool = False) -> WindowLevel:
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

    def changed(self, *, wider: float, brighter: float, reach: float) -> WindowLevel:
        """Return it wider by the factor e^`wider`, and brighter by a share of its own width.

        `reach` as in ImagePyramid. The window is never wider than 8 times that; unless it already was, it is
        not narrower than LEAST_SHARE of it. Its level stays near the values.
        """
        least = min(self.width, reach * LEAST_SHARE)
        width = min(max(self.width * math.exp(wider), least), 8 * reach)
        lower = -brighter if self.inverted else brighter
        level = min(max(self.level - lower * self.width, -4 * reach), 5 * reach)
        return WindowLevel(level - width / 2, level + width / 2, self.inverted)

    def table(self, dtype: np.dtype[Any]) -> NDArray[np.uint8]:
        """Return what each value is shown as, uint8 [256] or [65536]."""
        values = np.arange(np.iinfo(dtype).max + 1, dtype=np.float64)
        shown = np.rint(np.clip(255 * (values - self.black) / self.width, 0, 255)).astype(np.uint8)
        return 255 - shown if self.inverted else shown


def stretch(heatmap: Heatmap) -> NDArray[np.uint16] | None:
    """Return a heat map as `render` lays it over a picture, uint16 [448, 448]; None where nothing is hot."""
    if heatmap.peak == 0:
        return None
    heat = np.zeros((HEAT_SIDE, HEAT_SIDE), np.uint16)
    part = heat[heatmap.area.of(HEAT_SIDE, HEAT_SIDE)]
    height, width = part.shape
    part[:] = widen(upsample(heatmap.values, heatmap.scale, height), width)
    return heat


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """`pixels`: uint8 [h, w], gray, or [h, w, 3], BGR; their top left one is the screen's at `x`, `y`."""

    pixels: NDArray[np.uint8]
    x: int
    y: int


def render(
    pyramid: ImagePyramid,
    window_level: WindowLevel,
    placement: Placement,
    screen: tuple[int, int],
    heat: NDArray[np.uint16] | None = None,
    strength: float = 1.0,
) -> Rendered | None:
    """Return what is in view on a screen of this height and width; None when nothing is.

    `heat` as `stretch` returns it, laid over the picture with `strength`, 0 to 1, as in heat maps' files.
    """
    rows, columns = screen
    height, width = pyramid.shape
    left = columns / 2 - placement.x * placement.scale  # of the picture, on the screen
    top = rows / 2 - placement.y * placement.scale
    x0, y0 = max(0, math.floor(left)), max(0, math.floor(top))
    x1 = min(columns, math.ceil(left + width * placement.scale))
    y1 = min(rows, math.ceil(top + height * placement.scale))
    if x1 <= x0 or y1 <= y0:
        return None
    steps = math.floor(math.log2(max(1.0, 1 / placement.scale)))
    level = pyramid.levels[min(steps, len(pyramid.levels) - 1)]
    view = _View(x0 - left, y0 - top, x1 - x0, y1 - y0, placement.scale)
    part = view.of(level, (height, width))
    table = window_level.table(part.dtype)
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


class ArrayImage(QImage):
    """Shows an array, uint8 [h, w], gray, or [h, w, 3], BGR, in the same memory, which it keeps alive."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels = np.ascontiguousarray(pixels)
        height, width = self._pixels.shape[:2]
        form = QImage.Format.Format_Grayscale8 if self._pixels.ndim == 2 else QImage.Format.Format_BGR888
        super().__init__(self._pixels.data, width, height, self._pixels.strides[0], form)

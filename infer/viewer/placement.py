"""Where a picture stands on the screen: its scale and which of its points is in the middle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

LARGEST: Final = 32.0  # screen pixels a picture's pixel
STEP: Final = 1.25  # of one notch of the wheel, or one key


@dataclass(frozen=True, slots=True)
class Placement:
    """`scale` in screen pixels a picture's pixel; `x`, `y`: the picture's point in the middle of the screen.

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

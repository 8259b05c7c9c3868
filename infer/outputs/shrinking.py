"""Pictures that are to be no larger than those who look at them need."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import cv2
from numpy.typing import NDArray

Pixels = TypeVar("Pixels", bound=NDArray[Any])


def shrunk(pixels: Pixels, longest: int) -> Pixels:
    """Return a gray picture, uint8 or uint16 [H, W], with its longer side at `longest` at most.

    It is never enlarged.
    """
    height, width = pixels.shape
    scale = longest / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cast(Pixels, cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))

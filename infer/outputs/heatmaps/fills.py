"""What takes the place of a covered part of the model's input: one function and one line in `FILLS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

BLUR_SIGMA: Final = 16.0  # pixels of the model's input: ribs and vessels go, the chest's outline stays

Fill = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def mean_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture's own mean gray level everywhere, uint8 [H, W], of a picture uint8 [H, W]."""
    return np.full_like(image, round(float(image.mean())))


def blurred(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture behind a Gaussian of 16 pixels, uint8 [H, W], of a picture uint8 [H, W]."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), BLUR_SIGMA), np.uint8)


FILLS: Final[Mapping[str, Fill]] = {"gray": mean_gray, "blur": blurred}

"""Arrays to Qt's images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage


def to_image(pixels: NDArray[np.uint8]) -> QImage:
    """Return an image of uint8 [h, w], gray, or [h, w, 3], BGR, in the same memory."""
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    gray = pixels.ndim == 2
    form = QImage.Format.Format_Grayscale8 if gray else QImage.Format.Format_BGR888
    image = QImage(pixels.data, width, height, pixels.strides[0], form)
    image.pixels = pixels  # type: ignore[attr-defined]  # lives as long as the image does
    return image

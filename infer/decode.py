"""Image bytes to gray pixels.

Every decoder ends in `uint8 [H, W]` with black at 0 (MONOCHROME2). Colour is turned to luma (ITU-R
BT.601), transparency is laid over black, EXIF rotation is applied.

Deeper pixels are scaled by the range of their real bit depth: the smallest power of two, at least 256,
that holds the brightest pixel. A 12-bit radiograph in a 16-bit file keeps its contrast, and a 16-bit
copy of an 8-bit image (x 257) gives the 8-bit image back exactly.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ImageError
from xray_infer.header import read_header
from xray_infer.limits import DEFAULT_LIMITS, Limits
from xray_infer.preprocess import INPUT_SIDE

# Factor by which libjpeg can shrink while decoding (a smaller inverse DCT), with OpenCV's flag.
_REDUCED: Final = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)


def decode(data: bytes, *, side: int = INPUT_SIDE, limits: Limits = DEFAULT_LIMITS) -> NDArray[np.uint8]:
    """Decode JPEG, PNG, TIFF, WebP or BMP bytes to gray `uint8 [H, W]`.

    A JPEG is decoded at the smallest DCT scale that keeps twice `side` on its shorter edge, which costs
    nothing in agreement and halves the time on large files; `side=0` always decodes at full size.
    Raises ImageError, with the reason, for anything that cannot be decoded in full.
    """
    header = read_header(data, limits=limits)
    flags = cv2.IMREAD_UNCHANGED
    if header.format == "jpeg":
        shorter = min(header.width, header.height)
        flags = next(
            (flag for factor, flag in _REDUCED if side and shorter >= 2 * side * factor),
            cv2.IMREAD_GRAYSCALE,
        )
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"the {header.format.upper()} decoder refused it: {error.err}") from error
    if pixels is None or pixels.size == 0:
        raise ImageError(f"damaged {header.format.upper()}: it cannot be decoded")
    return to_gray(np.asarray(pixels))


def to_gray(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Turn decoded pixels, uint8 or uint16, gray, BGR or BGRA, into gray `uint8 [H, W]`.

    Raises ImageError for other pixel types or channel counts.
    """
    eight_bits = to_eight_bits(pixels)
    channels = 1 if eight_bits.ndim == 2 else eight_bits.shape[2]
    if channels == 1:
        return eight_bits.reshape(eight_bits.shape[:2])
    if channels == 2:
        return _over_black(eight_bits[..., 0], eight_bits[..., 1])
    if channels not in (3, 4):
        raise ImageError(f"{channels} channels; expected gray, RGB or RGBA")
    gray = _as_bytes(cv2.cvtColor(np.ascontiguousarray(eight_bits[..., :3]), cv2.COLOR_BGR2GRAY))
    return gray if channels == 3 else _over_black(gray, eight_bits[..., 3])


def _over_black(gray: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if alpha.min() == 255:
        return gray
    return _as_bytes(cv2.multiply(gray, alpha, scale=1 / 255))


def _as_bytes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Tell the type checker what OpenCV's stubs leave open; no copy is made of uint8 pixels."""
    return pixels.astype(np.uint8, copy=False)


def to_eight_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale uint8 or uint16 pixels of any shape to uint8 by their real bit depth (see the module).

    Raises ImageError for other pixel types.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype != np.uint16:
        raise ImageError(f"{pixels.dtype} pixels; expected 8 or 16 bit unsigned integers")
    highest = max(255, (1 << int(pixels.max()).bit_length()) - 1)
    return _as_bytes(cv2.convertScaleAbs(pixels, alpha=255 / highest))

"""Image bytes to gray pixels.

Every decoder ends in `uint8 [H, W]` with black at 0 (MONOCHROME2). Colour is turned to luma (ITU-R
BT.601), transparency is laid over black, EXIF rotation is applied.

Deeper pixels are scaled by the range of their real bit depth: the smallest power of two, at least 256,
that holds the brightest pixel. A 12-bit radiograph in a 16-bit file keeps its contrast, and a 16-bit
copy of an 8-bit image (x 257) gives the 8-bit image back exactly. DICOM says more of its pixels than that:
see `xray_infer.dicom`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ImageError, MissingExtraError, extra_for
from xray_infer.formats import Header
from xray_infer.header import read_header
from xray_infer.limits import DEFAULT_LIMITS, Limits
from xray_infer.preprocess import INPUT_SIDE

# Factor by which libjpeg can shrink while decoding (a smaller inverse DCT), with OpenCV's flag.
_REDUCED: Final = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)

Depth = TypeVar("Depth", np.uint8, np.uint16)

_importing: Final = threading.Lock()


def decode(data: bytes, *, side: int = INPUT_SIDE, limits: Limits = DEFAULT_LIMITS) -> NDArray[np.uint8]:
    """Decode JPEG, PNG, TIFF, WebP, BMP or DICOM bytes to gray `uint8 [H, W]`.

    A JPEG is decoded at the smallest DCT scale that keeps twice `side` on its shorter edge; `side=0` always
    decodes at full size. Of 28 real JPEGs that this makes smaller each kept its class; probabilities moved by
    0.006, 0.04 at most, and decoding took a third less time (`xray-bench reduced FOLDER`).
    Raises ImageError, with the reason, for anything that cannot be decoded in full, RejectedError for what
    can but is not one picture, or no frontal chest radiograph by its own account.
    """
    header = read_header(data, limits=limits)
    if header.format == "dicom":
        with dicom_extra():
            from xray_infer.dicom.reading import decode_dicom
        return decode_dicom(data, limits)
    return shown(stored(data, header, side=side), header)


def stored(data: bytes, header: Header, *, side: int) -> NDArray[Any]:
    """Return the pixels of a file that is no DICOM as it holds them: uint8 or uint16, gray, BGR or BGRA.

    `side` as in `decode`. What is to be no picture at all is black. Raises ImageError.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _flags(header, side))
    except cv2.error as error:
        raise ImageError(f"the {header.format.upper()} decoder refused it: {error.err}") from error
    if pixels is None or pixels.size == 0:
        raise ImageError(f"damaged {header.format.upper()}: it cannot be decoded")
    pixels = np.asarray(pixels)
    if header.transparent is not None and pixels.ndim == 2:
        pixels[pixels == header.transparent] = 0
    return pixels


def shown(pixels: NDArray[Any], header: Header) -> NDArray[np.uint8]:
    """Return `stored` pixels as they are to be seen, gray `uint8 [H, W]`. Raises ImageError."""
    gray = to_gray(pixels, straight_alpha=header.straight_alpha)
    return upright(255 - gray if header.white_is_zero else gray, header.orientation)


def full_size(
    pixels: NDArray[np.uint8], data: bytes, *, limits: Limits = DEFAULT_LIMITS
) -> NDArray[np.uint8]:
    """Return what `decode` made of `data` at its full size: `pixels` themselves unless a JPEG was reduced.

    Decoded anew, to be looked at: the model's input is made of the same pixels with and without drawing.
    Raises ImageError.
    """
    header = read_header(data, limits=limits)
    if header.format != "jpeg" or _flags(header, INPUT_SIDE) == _flags(header, 0):
        return pixels
    return decode(data, side=0, limits=limits)


def _flags(header: Header, side: int) -> int:
    if header.format == "bmp":
        return cv2.IMREAD_COLOR  # without the fourth channel
    if header.format != "jpeg":
        return cv2.IMREAD_UNCHANGED
    shorter = min(header.width, header.height)
    reduced = (flag for factor, flag in _REDUCED if side and shorter >= 2 * side * factor)
    return next(reduced, cv2.IMREAD_GRAYSCALE)


@contextmanager
def dicom_extra() -> Iterator[None]:
    """Guard the import of what reads DICOM: without the extra, an ImageError of the file that needs it."""
    try:
        # One at a time: an import that fails in one thread hands another the half-made module.
        with _importing, extra_for("reading DICOM", "dicom"):
            yield
    except MissingExtraError as error:
        # One stray file must not end a run over a folder.
        raise ImageError(str(error)) from error


def to_gray(pixels: NDArray[Any], *, straight_alpha: bool = True) -> NDArray[np.uint8]:
    """Turn decoded pixels, uint8 or uint16, gray, BGR or BGRA, into gray `uint8 [H, W]`.

    Raises ImageError for other pixel types or channel counts.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels == 1:
        return to_eight_bits(pixels.reshape(pixels.shape[:2]))
    if channels not in (3, 4):
        raise ImageError(f"{channels} channels; expected gray, RGB or RGBA")
    colour = to_eight_bits(np.ascontiguousarray(pixels[..., :3]))
    gray = _as_bytes(cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY))
    if channels == 3 or not straight_alpha:
        return gray
    alpha = pixels[..., 3]
    full = np.iinfo(alpha.dtype).max  # alpha always has the whole range, whatever the colours use of theirs
    if alpha.min() == full:
        return gray
    share = _as_bytes(cv2.convertScaleAbs(alpha, alpha=255 / full))
    return _as_bytes(cv2.multiply(gray, share, scale=1 / 255))


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
    return _as_bytes(cv2.convertScaleAbs(pixels, alpha=255 / full_scale(pixels)))


def full_scale(pixels: NDArray[np.uint16]) -> int:
    """Return what is white in a 16-bit picture: the largest value of its real bit depth, at least 255."""
    return max(255, (1 << int(pixels.max()).bit_length()) - 1)


def upright(gray: NDArray[Depth], orientation: int) -> NDArray[Depth]:
    """Turn a picture as EXIF's orientation, 1 to 8, says it is to be seen."""
    if orientation in (5, 6, 7, 8):
        gray = gray.T
    if orientation in (3, 4, 7, 8):
        gray = gray[::-1]
    if orientation in (2, 3, 6, 7):
        gray = gray[:, ::-1]
    return np.ascontiguousarray(gray)

"""Image bytes to gray pixels, and on to the model's input: `prepare` is what runs for each file of a run.

Every decoder ends in `uint8 [H, W]` with black at 0 (MONOCHROME2). Colour is turned to luma (ITU-R
BT.601), transparency is laid over black, EXIF rotation is applied; see `xray_infer.images.gray`. DICOM
says more of its pixels than that: see `xray_infer.images.dicom`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ImageError, MissingExtraError, extra_for
from xray_infer.images.formats import Header, read_header
from xray_infer.images.gray import Picture, full_scale, to_gray, upright
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.images.preprocess import Area, Preprocessing

# Factor by which libjpeg can shrink while decoding (a smaller inverse DCT), with OpenCV's flag.
_REDUCED: Final = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)

_importing: Final = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """`input` is uint8 [side, side, 1], of an `area` or of all; `pixels`, to draw on, all at full size.

    `station` names what took the picture, in capitals, where a DICOM file says it; else it is empty.
    """

    input: NDArray[np.uint8]
    area: Area | None = None
    pixels: NDArray[np.uint8] | None = None
    station: str = ""


# Bytes to what the model and the drawing need; raises ImageError.
Prepare = Callable[[bytes], Prepared]


def prepare(
    data: bytes, preprocessing: Preprocessing, *, limits: Limits, keep_pixels: bool = False
) -> Prepared:
    """Decode one image and make the model's input of it. Raises ImageError."""
    side = preprocessing.decode_side
    try:
        pixels, station = decode_with_station(data, side=side, limits=limits)
        made = preprocessing(pixels)
        kept = full_size(pixels, data, side=side, limits=limits) if keep_pixels else None
        return Prepared(made.pixels, made.area, kept, station)
    except MemoryError as error:
        raise out_of_memory() from error


def out_of_memory() -> ImageError:
    """Return the error of an image that there is no memory for."""
    return ImageError("there is not enough memory to decode it")


def decode(data: bytes, *, side: int = 0, limits: Limits = DEFAULT_LIMITS) -> NDArray[np.uint8]:
    """Decode JPEG, PNG, TIFF, WebP, BMP or DICOM bytes to gray `uint8 [H, W]`.

    A JPEG is decoded at the smallest DCT scale that keeps twice `side` on its shorter edge; `side=0` always
    decodes at full size. Of 28 real JPEGs that this makes smaller each kept its class; probabilities moved by
    0.006, 0.04 at most, and decoding took a third less time (the study `reduced`).
    Raises ImageError, with the reason, for anything that cannot be decoded in full, RejectedError for what
    can but is not one picture, or no frontal chest radiograph by its own account.
    """
    return decode_with_station(data, side=side, limits=limits)[0]


def decode_with_station(
    data: bytes, *, side: int = 0, limits: Limits = DEFAULT_LIMITS
) -> tuple[NDArray[np.uint8], str]:
    """Return what `decode` does, and what took the picture; see `Prepared`. Raises as `decode` does."""
    header = read_header(data, limits=limits)
    if header.format == "dicom":
        with dicom_extra():
            from xray_infer.images.dicom.reading import decode_dicom
        return decode_dicom(data, limits)
    return shown(stored(data, header, side=side), header), ""


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
    pixels: NDArray[np.uint8], data: bytes, *, side: int, limits: Limits = DEFAULT_LIMITS
) -> NDArray[np.uint8]:
    """Return what `decode` made of `data` for `side` at its full size: `pixels` unless a JPEG was reduced.

    Decoded anew, to be looked at: the model's input is made of the same pixels with and without drawing.
    Raises ImageError.
    """
    header = read_header(data, limits=limits)
    if header.format != "jpeg" or _flags(header, side) == _flags(header, 0):
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


def read_picture(data: bytes, *, side: int = 0, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Decode an image file at its full depth; `side` and errors are those of `decode`.

    Colour, and what has transparency, is turned to gray of 8 bits.
    """
    header = read_header(data, limits=limits)
    if header.format == "dicom":
        with dicom_extra():
            from xray_infer.images.dicom.reading import read_dicom_picture
        return read_dicom_picture(data, limits)
    pixels = stored(data, header, side=side)
    if pixels.ndim == 2 and pixels.dtype == np.uint16:
        white = full_scale(pixels)
        if header.white_is_zero:
            values = upright(np.uint16(white) - pixels, header.orientation)
            return Picture(values, 0.0, float(white), zero=float(white), unit=-1.0)
        return Picture(upright(pixels, header.orientation), 0.0, float(white))
    return Picture(shown(pixels, header), 0.0, 255.0)

"""What each file format says of a picture before its pixels are decoded: format, size, whether it is whole.

`read_header` tells a format by its first bytes, never by a file's name, and asks the format's own module. A
reader takes the bytes and the limits, walks the file's structure without unpacking anything, and returns a
`Header` or raises ImageError: for a size over the limit, for a file that is cut short, for a kind of picture
that the decoder would get wrong. Running off the end of the bytes (struct.error) means a cut file;
`read_header` says so, once for all readers.

A new format is one file, with `read_NAME`, and one line in `FORMATS`.

References: ITU-T T.81 (JPEG), W3C PNG, TIFF 6.0 and BigTIFF, RFC 9649 (WebP), the Windows BITMAPFILEHEADER,
PS3.10 section 7 (DICOM).
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from xray_infer.errors import ImageError
from xray_infer.images.limits import DEFAULT_LIMITS, Limits

HEAD_BYTES: Final = 4096  # what DICOM without its preamble may need; a disk reads no less
PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
TIFF_SIGNATURES: Final = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

# "BM" alone begins many a text; the size of the header that follows has few values.
_BMP_HEADER_SIZES: Final = frozenset((12, 16, 40, 52, 56, 64, 108, 124))

DICOM_PREFIX_AT: Final = 128
DICOM_PREFIX: Final = b"DICM"
_META: Final = b"\x02\x00\x00\x00UL\x04\x00"  # its first element: the length of group 0002
_IDENTIFYING: Final = 0x0008  # SOP class, dates, modality
_SHORT: Final = 1024
# Of that group's first elements.
_VRS: Final = frozenset((b"CS", b"UI", b"DA", b"TM", b"DT", b"LO", b"SH", b"PN", b"UL"))
_ELEMENTS: Final = 3


@dataclass(frozen=True, slots=True)
class Header:
    """`format` is one of FORMATS; a DICOM file's size is read with the file itself.

    The others say what the decoder leaves to be done: `orientation` is EXIF's, 1 to 8; `straight_alpha`
    that a fourth channel is yet to be applied; `white_is_zero` that the scale is yet to be turned round;
    `transparent` is the gray level, as decoded, that stands for no picture at all.
    """

    format: str
    width: int = 0
    height: int = 0
    orientation: int = 1
    straight_alpha: bool = False
    white_is_zero: bool = False
    transparent: int | None = None


Reader = Callable[[bytes, Limits], Header]


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """A format's name for people, and whether a file's first HEAD_BYTES bytes are of it."""

    title: str
    begins: Callable[[bytes], bool]


def is_dicom(head: bytes) -> bool:
    """Return whether the bytes begin as a DICOM file does, with or without its preamble.

    The preamble is asked for by the standard and missing from many files. Without it, a file counts that
    begins with file meta information, or with three elements of group 0008 in a row, in ascending order and
    short: how every image begins.
    """
    if head[DICOM_PREFIX_AT : DICOM_PREFIX_AT + len(DICOM_PREFIX)] == DICOM_PREFIX or head.startswith(_META):
        return True
    layouts = (("<HHI", False), ("<HH2sH", True), (">HH2sH", True))
    return any(_begins_with_group(head, layout, explicit=explicit) for layout, explicit in layouts)


def _begins_with_group(data: bytes, layout: str, *, explicit: bool) -> bool:
    position, last = 0, -1
    for _ in range(_ELEMENTS):
        if position + 8 > len(data):
            return False
        group, element, *_, length = struct.unpack_from(layout, data, position)
        if explicit and data[position + 4 : position + 6] not in _VRS:
            return False
        if group != _IDENTIFYING or element <= last or length > _SHORT or length % 2:
            return False
        position, last = position + 8 + length, element
    return position <= len(data)


def _is_bmp(head: bytes) -> bool:
    return head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES


FORMATS: Final[dict[str, ImageFormat]] = {
    "jpeg": ImageFormat("JPEG", lambda head: head.startswith(b"\xff\xd8\xff")),
    "png": ImageFormat("PNG", lambda head: head.startswith(PNG_SIGNATURE)),
    "webp": ImageFormat("WebP", lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP"),
    "tiff": ImageFormat("TIFF", lambda head: head.startswith(TIFF_SIGNATURES)),
    "bmp": ImageFormat("BMP", _is_bmp),
    "dicom": ImageFormat("DICOM", is_dicom),
}


def image_format(head: bytes) -> str | None:
    """Return one of FORMATS from a file's first HEAD_BYTES bytes; None for no image."""
    # First DICOM: the 128 bytes before its signature may be the head of a TIFF.
    return next((name for name in reversed(FORMATS) if FORMATS[name].begins(head)), None)


def read_header(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Identify an image file from its bytes and see that it is whole.

    Raises ImageError for an empty, truncated, over-large or unknown file, RejectedError for one that holds
    several pictures.
    """
    if not data:
        raise ImageError("the file is empty")
    found = image_format(data[:HEAD_BYTES])
    if found is None:
        known = ", ".join(one.title for one in FORMATS.values())
        raise ImageError(f"not an image of a known format ({known})")
    if found == "dicom":
        return Header(found)
    read: Reader = getattr(importlib.import_module(f"{__name__}.{found}"), f"read_{found}")
    try:
        return read(data, limits)
    except struct.error as error:  # the reader ran off the end of the bytes
        raise ImageError(f"truncated {FORMATS[found].title}: it ends inside its header") from error


def check_size(width: int, height: int, limits: Limits) -> None:
    """Raise ImageError for a picture without pixels or with more than `limits.max_pixels`."""
    if width < 1 or height < 1:
        raise ImageError(f"damaged header: a picture of {width} x {height} pixels")
    if width * height > limits.max_pixels:
        raise ImageError(f"{width} x {height} pixels; the limit is {limits.max_pixels:,}")

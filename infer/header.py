"""What an image file says before its pixels are decoded: format, size, whether it is complete.

Formats are told by content, not by suffix. OpenCV decodes a truncated JPEG without an error and fills
the missing part with gray, so completeness is checked here. References: ITU-T T.81 annex B (JPEG),
W3C PNG specification section 5.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from xray_infer.errors import ImageError
from xray_infer.limits import DEFAULT_LIMITS, Limits

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_JPEG_NO_LENGTH: Final = frozenset((0x01, *range(0xD0, 0xD8)))  # TEM and RST0..7 stand alone
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..15 without DHT, JPG, DAC


@dataclass(frozen=True, slots=True)
class Header:
    """`format` is one of jpeg, png, webp, tiff, bmp; the size in pixels is 0 x 0 where not read here."""

    format: str
    width: int = 0
    height: int = 0


def read_header(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Identify an image file from its bytes.

    Raises ImageError for an empty, truncated, over-large or unknown file.
    """
    if not data:
        raise ImageError("the file is empty")
    if data.startswith(b"\xff\xd8\xff"):
        header = _read_jpeg(data)
    elif data.startswith(_PNG_SIGNATURE):
        header = _read_png(data)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        header = _read_webp(data)
    elif data.startswith((b"II*\x00", b"MM\x00*")):
        header = Header("tiff")
    elif data.startswith(b"BM"):
        header = Header("bmp")
    else:
        raise ImageError("not an image of a known format (JPEG, PNG, TIFF, WebP, BMP)")
    if header.width * header.height > limits.max_pixels:
        raise ImageError(f"{header.width} x {header.height} pixels; the limit is {limits.max_pixels:,}")
    return header


def _read_jpeg(data: bytes) -> Header:
    """Walk the marker segments up to the first scan, then look for the end-of-image marker.

    Entropy-coded data escapes every 0xFF byte, so FF D9 after the first scan is the end of the image and
    not, as it might be before it, that of an embedded thumbnail.
    """
    position, width, height = 2, 0, 0
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise ImageError("damaged JPEG header")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _JPEG_NO_LENGTH:
            position += 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if marker in _JPEG_FRAMES and position + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, position + 5)
        if marker == 0xDA:
            if data.find(b"\xff\xd9", position + 2 + length) < 0:
                raise ImageError("truncated JPEG: the end of the image is missing")
            return Header("jpeg", width, height)
        position += 2 + length
    raise ImageError("truncated JPEG: it ends inside its header")


def _read_png(data: bytes) -> Header:
    position = len(_PNG_SIGNATURE)
    width = height = 0
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IHDR" and position + 16 <= len(data):
            width, height = struct.unpack_from(">II", data, position + 8)
        if kind == b"IEND":
            return Header("png", width, height)
        position += 12 + length
    raise ImageError("truncated PNG: the end of the image is missing")


def _read_webp(data: bytes) -> Header:
    if len(data) < 8 + struct.unpack_from("<I", data, 4)[0]:
        raise ImageError("truncated WebP: the file is shorter than its header says")
    return Header("webp")

"""WebP's chunks (RFC 9649). Coded data carry no checksum: only a file that is cut short is noticed."""

from __future__ import annotations

import struct
from typing import Final

from xray_infer.errors import ImageError, RejectedError
from xray_infer.images.formats import Header, check_size
from xray_infer.images.formats.directory import orientation_of
from xray_infer.images.limits import Limits

_ANIMATED: Final = 0x02
MAX_CHUNKS: Final = 10_000


def read_webp(data: bytes, limits: Limits) -> Header:
    """Return the header of a whole, still WebP. Raises ImageError, RejectedError for an animated one."""
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise ImageError("truncated WebP: the file is shorter than its header says")
    position, orientation, size = 12, 1, (0, 0)
    for _ in range(MAX_CHUNKS):
        if position + 8 > end:
            break
        kind, length = struct.unpack_from("<4sI", data, position)
        start = position + 8
        if start + length > end:
            raise ImageError("truncated WebP: a part of it is shorter than it says")
        if kind == b"VP8X":
            (flags,) = struct.unpack_from("<B", data, start)
            if flags & _ANIMATED:
                raise RejectedError("an animated WebP, not one picture")
            size = _size_of_canvas(data, start)
        elif kind in (b"VP8 ", b"VP8L"):
            size = _size_of_lossy(data, start) if kind == b"VP8 " else _size_of_lossless(data, start)
        elif kind == b"EXIF":
            orientation = orientation_of(data[start : start + length])
        if kind in (b"VP8X", b"VP8 ", b"VP8L"):
            check_size(*size, limits)
        position = start + length + length % 2
    if size == (0, 0):
        raise ImageError("damaged WebP: there is no picture in it")
    return Header("webp", *size, orientation, straight_alpha=True)


def _size_of_canvas(data: bytes, start: int) -> tuple[int, int]:
    low, high, rows_low, rows_high = struct.unpack_from("<HBHB", data, start + 4)
    return 1 + low + (high << 16), 1 + rows_low + (rows_high << 16)


def _size_of_lossy(data: bytes, start: int) -> tuple[int, int]:
    """A key frame: three bytes of tag, a start code, two sizes of 14 bits (RFC 6386, 9.1)."""
    code, width, height = struct.unpack_from("<3sHH", data, start + 3)
    if code != b"\x9d\x01\x2a":
        raise ImageError("damaged WebP: its picture does not begin with a key frame")
    return width & 0x3FFF, height & 0x3FFF


def _size_of_lossless(data: bytes, start: int) -> tuple[int, int]:
    signature, bits = struct.unpack_from("<BI", data, start)
    if signature != 0x2F:
        raise ImageError("damaged WebP: its picture has no signature")
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)

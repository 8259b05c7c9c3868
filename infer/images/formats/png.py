"""PNG's chunks (W3C PNG specification, third edition, sections 5 and 11). CRCs are the decoder's job."""

from __future__ import annotations

import struct
from typing import Final

from xray_infer.errors import ImageError, RejectedError
from xray_infer.images.formats import PNG_SIGNATURE, Header, check_size
from xray_infer.images.formats.directory import orientation_of
from xray_infer.images.limits import Limits

_GRAY: Final = 0
MAX_CHUNKS: Final = 1_000_000  # of a few KB each: far more than the largest picture needs


def read_png(data: bytes, limits: Limits) -> Header:
    """Return the header of a whole, still PNG. Raises ImageError, RejectedError for an animated one."""
    length, kind = struct.unpack_from(">I4s", data, len(PNG_SIGNATURE))
    if kind != b"IHDR" or length != 13:
        raise ImageError("damaged PNG: it does not begin with its header")
    width, height, depth, colour = struct.unpack_from(">IIBB", data, len(PNG_SIGNATURE) + 8)
    check_size(width, height, limits)
    position = len(PNG_SIGNATURE)
    orientation, transparent = 1, None
    for _ in range(MAX_CHUNKS):
        if position + 12 > len(data):
            raise ImageError("truncated PNG: the end of the image is missing")
        length, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        # The decoder allocates what a chunk's length says, the last one's too, before it looks at the rest.
        if start + length + 4 > len(data):
            raise ImageError("truncated PNG: a part of it is shorter than it says")
        if kind == b"IEND":
            return Header("png", width, height, orientation, straight_alpha=True, transparent=transparent)
        if kind == b"acTL":
            raise RejectedError("an animated PNG, not one picture")
        if kind == b"eXIf":
            orientation = orientation_of(data[start : start + length])
        if kind == b"tRNS" and colour == _GRAY and depth in (1, 2, 4, 8, 16):
            # OpenCV applies the transparent colour of RGB and palettes, not that of gray.
            (level,) = struct.unpack_from(">H", data, start)
            transparent = level if depth == 16 else level * 255 // (2**depth - 1)
        position = start + length + 4
    raise ImageError(f"damaged PNG: more than {MAX_CHUNKS:,} chunks")

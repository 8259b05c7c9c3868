"""BMP's header (Microsoft's BITMAPFILEHEADER with BITMAPCOREHEADER to BITMAPV5HEADER).

A fourth channel is not honoured: most writers leave it unset, and all of the picture would be transparent.
"""

from __future__ import annotations

import struct
from typing import Final

from xray_infer.errors import ImageError
from xray_infer.images.formats import Header, check_size
from xray_infer.images.limits import Limits

_CORE_HEADER: Final = 12  # the only one with sizes of 16 bits
_PLAIN: Final = frozenset((0, 3, 6))  # none, or bit fields
_RUN_LENGTHS: Final = frozenset((1, 2))
_END_OF_BITMAP: Final = b"\x00\x01"


def read_bmp(data: bytes, limits: Limits) -> Header:
    """Return the header of a whole BMP. Raises ImageError."""
    offset, header = struct.unpack_from("<II", data, 10)
    compression = 0
    if header == _CORE_HEADER:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    elif header >= 40:
        width, height, _, bits, compression, stored = struct.unpack_from("<iiHHII", data, 18)
    else:
        raise ImageError("damaged BMP: its header has no known length")
    height = abs(height)  # negative: the first row is the topmost
    check_size(width, height, limits)
    if offset > len(data):
        raise ImageError("truncated BMP: it ends before its pixels")
    if compression in _PLAIN:
        row = (width * bits + 31) // 32 * 4
        if offset + row * height > len(data):
            raise ImageError("truncated BMP: rows are missing")
    elif compression in _RUN_LENGTHS:
        # The decoder takes a stream that ends early for a picture whose rest is black.
        if offset + stored > len(data) or not data[offset:].rstrip(b"\0").endswith(_END_OF_BITMAP):
            raise ImageError("truncated BMP: the end of the bitmap is missing")
    else:
        raise ImageError(f"a BMP of compression {compression}, which is not decoded; save it as PNG")
    return Header("bmp", width, height)

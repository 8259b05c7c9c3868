"""A JPEG 2000 codestream's size and whether all of it is there (ITU-T T.800 annex A; HTJ2K, T.814, is alike).

OpenJPEG decodes what there is of a cut codestream without an error, so the lengths of its tile-parts are
added up here.
"""

from __future__ import annotations

import struct
from typing import Final

from xray_infer.errors import ImageError

_START: Final = b"\xff\x4f\xff\x51"  # SOC, then SIZ
_TILE_PART: Final = 0xFF90
_END: Final = 0xFFD9
_FILE: Final = b"\x00\x00\x00\x0cjP  \r\n\x87\n"  # JP2 around it (annex I): not by the book, but seen
MAX_PARTS: Final = 1_000_000


def walk(data: bytes) -> tuple[int, int, int]:
    """Return a whole codestream's width, height and components, from SIZ. Raises ImageError for another."""
    try:
        start = _codestream(data) if data.startswith(_FILE) else 0
        if data[start : start + len(_START)] != _START:
            raise ImageError("no JPEG 2000 codestream where there should be one")
        x1, y1, x0, y0 = struct.unpack_from(">4I", data, start + 8)
        (components,) = struct.unpack_from(">H", data, start + 40)
        _check_parts(data, start + 2)
    except struct.error as error:
        raise ImageError("truncated JPEG 2000: it ends inside its header") from error
    return x1 - x0, y1 - y0, components


def _codestream(data: bytes) -> int:
    """Return where the contiguous codestream's box begins its content."""
    position = 0
    for _ in range(MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", data, position)
        header = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, position + 8)
            header = 16
        if kind == b"jp2c":
            return position + header
        if not header <= length <= len(data):
            break
        position += length
    raise ImageError("damaged JPEG 2000: its file has no codestream")


def _check_parts(data: bytes, position: int) -> None:
    """Go from marker to marker, over the tile-parts' data, to the end of the codestream."""
    for _ in range(MAX_PARTS):
        (marker,) = struct.unpack_from(">H", data, position)
        if marker == _END:
            return
        if marker == _TILE_PART:
            (length,) = struct.unpack_from(">I", data, position + 6)
            if length == 0:  # the last one, as far as the data go
                return
            if length < 14 or position + length > len(data):
                raise ImageError("truncated JPEG 2000: a tile-part is cut short")
            position += length
            if position + 2 > len(data):  # whole, but without its end marker
                return
        else:
            (length,) = struct.unpack_from(">H", data, position + 2)
            position += 2 + length
    raise ImageError(f"damaged JPEG 2000: more than {MAX_PARTS:,} parts")

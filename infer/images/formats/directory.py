"""Image file directories, as in TIFF 6.0 section 2, BigTIFF and EXIF: integer entries by their tag.

PNG and WebP carry EXIF's orientation in such a structure (CIPA DC-008).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_ORIENTATION: Final = 0x0112
_PREFIX: Final = b"Exif\x00\x00"  # JPEG's; some writers of WebP keep it

# BYTE, SHORT, LONG, IFD, LONG8, IFD8: all integers that a picture's layout is told in.
_INTEGERS: Final = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}

# Views of the file: a directory of many large values costs nothing until they are used.
Entries = Mapping[int, NDArray[np.unsignedinteger[Any]]]


def read_directory(data: bytes, start: int, order: str, *, big: bool = False) -> tuple[Entries, int]:
    """Return a directory's integer entries and where the next begins (0: nowhere).

    `order` is struct's "<" or ">". Of a tag that is given twice the first counts, as in libtiff. Raises
    struct.error where the data end before the directory or a value does.
    """
    count_format, entry_format, inline = ("Q", "HHQ", 8) if big else ("H", "HHI", 4)
    if start > len(data):  # of BigTIFF's, an offset may be more than struct takes
        raise struct.error("the directory lies beyond the end of the file")
    (count,) = struct.unpack_from(order + count_format, data, start)
    position = start + struct.calcsize(order + count_format)
    entry_bytes = struct.calcsize(order + entry_format) + inline
    if position + count * entry_bytes > len(data):
        raise struct.error("the directory is longer than the file")
    entries: dict[int, NDArray[np.unsignedinteger[Any]]] = {}
    for _ in range(count):
        tag, kind, values = struct.unpack_from(order + entry_format, data, position)
        at = position + entry_bytes - inline
        if kind in _INTEGERS and tag not in entries:
            kind_of_value = np.dtype(order + _INTEGERS[kind])
            if values * kind_of_value.itemsize > inline:
                (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, at)
            if at + values * kind_of_value.itemsize > len(data):
                raise struct.error("a value lies beyond the end of the file")
            entries[tag] = np.frombuffer(data, kind_of_value, values, at)
        position += entry_bytes
    (following,) = struct.unpack_from(order + ("Q" if big else "I"), data, position)
    return entries, int(following)


def orientation_of(exif: bytes) -> int:
    """Return the orientation, 1 to 8; 1, upright, where there is none or the metadata are damaged."""
    data = exif.removeprefix(_PREFIX)
    if data[:4] not in (b"II*\x00", b"MM\x00*"):
        return 1
    order = "<" if data.startswith(b"I") else ">"
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        entries, _ = read_directory(data, start, order)
    except struct.error:
        return 1
    found = entries.get(_ORIENTATION)
    return int(found[0]) if found is not None and len(found) and 1 <= found[0] <= 8 else 1

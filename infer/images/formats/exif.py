"""EXIF's orientation, from the TIFF structure that PNG and WebP carry it in (CIPA DC-008)."""

from __future__ import annotations

import struct
from typing import Final

from xray_infer.images.formats.directory import read_directory

_ORIENTATION: Final = 0x0112
_PREFIX: Final = b"Exif\x00\x00"  # JPEG's; some writers of WebP keep it


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

"""Whether bytes are a DICOM file (PS3.10 section 7), told without pydicom.

The preamble is asked for by the standard and missing from many files. Without it, a file counts that begins
with file meta information, or with three elements of group 0008 in a row, in ascending order and short:
how every image begins.
"""

from __future__ import annotations

import struct
from typing import Final

PREFIX_AT: Final = 128
PREFIX: Final = b"DICM"
_META: Final = b"\x02\x00\x00\x00UL\x04\x00"  # its first element: the length of group 0002
_IDENTIFYING: Final = 0x0008  # SOP class, dates, modality
_SHORT: Final = 1024
# Of that group's first elements.
_VRS: Final = frozenset((b"CS", b"UI", b"DA", b"TM", b"DT", b"LO", b"SH", b"PN", b"UL"))
_ELEMENTS: Final = 3


def is_dicom(data: bytes) -> bool:
    """Return whether the bytes begin as a DICOM file does, with or without its preamble."""
    if data[PREFIX_AT : PREFIX_AT + len(PREFIX)] == PREFIX or data.startswith(_META):
        return True
    layouts = (("<HHI", False), ("<HH2sH", True), (">HH2sH", True))
    return any(_begins_with_group(data, layout, explicit=explicit) for layout, explicit in layouts)


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

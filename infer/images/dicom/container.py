"""A DICOM file's outer layer (PS3.10 section 7, PS3.5 annex A): its transfer syntax, and its data set.

Read here and not by pydicom, which would inflate a deflated data set whatever its size.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from xray_infer.errors import ImageError
from xray_infer.images.formats import DICOM_PREFIX, DICOM_PREFIX_AT
from xray_infer.images.limits import Limits

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_META_GROUP: Final = 0x0002
_STORAGE_CLASS: Final = 0x0002
_TRANSFER_SYNTAX: Final = 0x0010
_LONG_VRS: Final = frozenset((b"OB", b"OW", b"UN", b"UT", b"SQ"))  # two reserved bytes, then a length of four
_UID: Final = re.compile(rb"[0-9.]{1,64}")  # PS3.5 section 9.1
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Container:
    """`data` holds the encoded data set from `start` on: inflated, with the transfer syntax that it then has.

    `storage_class` is what the file says of itself before the data set does; empty where it does not.
    """

    transfer_syntax: str
    storage_class: str
    data: bytes
    start: int

    @property
    def implicit(self) -> bool:
        """Whether its elements name no value representation."""
        return self.transfer_syntax == IMPLICIT_LITTLE

    @property
    def little_endian(self) -> bool:
        """Whether numbers begin with their lowest byte."""
        return self.transfer_syntax != EXPLICIT_BIG


def open_container(data: bytes, limits: Limits) -> Container:
    """Read the file meta information, inflate what is deflated.

    Without a transfer syntax in the file it is guessed from the first element. Raises ImageError for a file
    that ends before its data set, or whose data set inflates to more than the limits allow.
    """
    start = DICOM_PREFIX_AT + len(DICOM_PREFIX) if data[DICOM_PREFIX_AT:].startswith(DICOM_PREFIX) else 0
    try:
        start, uids = _read_meta(data, start)
    except struct.error as error:
        raise ImageError("truncated DICOM: it ends inside its file meta information") from error
    syntax = uids.get(_TRANSFER_SYNTAX, "")
    if syntax == DEFLATED:
        data, start, syntax = _inflate(data[start:], limits), 0, EXPLICIT_LITTLE
    return Container(syntax or _guess(data[start : start + 6]), uids.get(_STORAGE_CLASS, ""), data, start)


def _read_meta(data: bytes, position: int) -> tuple[int, dict[int, str]]:
    """Return where group 0002 ends and its two UIDs by element; it is always explicit, little-endian."""
    uids = {}
    while position < len(data):
        group, element, representation, length = struct.unpack_from("<HH2sH", data, position)
        if group != _META_GROUP:
            break
        position += 8
        if representation in _LONG_VRS:
            (length,) = struct.unpack_from("<I", data, position)
            position += 4
        if position + length > len(data):
            raise struct.error("an element is longer than the file")
        if element in (_TRANSFER_SYNTAX, _STORAGE_CLASS):
            uid = data[position : position + length].rstrip(b"\0 ")
            if _UID.fullmatch(uid):
                uids[element] = uid.decode("ascii")
        position += length
    return position, uids


def _guess(first: bytes) -> str:
    """Return the transfer syntax that the first six bytes of a data set are written in."""
    if not first[4:6].isalpha() or not first[4:6].isupper():
        return IMPLICIT_LITTLE
    return EXPLICIT_BIG if first[:1] == b"\0" else EXPLICIT_LITTLE


def _inflate(packed: bytes, limits: Limits) -> bytes:
    """Raw deflate (RFC 1951), never more of it in memory than the limit allows."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    parts, size, rest = [], 0, packed
    try:
        while not inflater.eof:
            part = inflater.decompress(rest, _CHUNK)
            rest = inflater.unconsumed_tail
            if not part and not rest:
                raise ImageError("truncated DICOM: its deflated data set is cut short")
            parts.append(part)
            size += len(part)
            limits.check_ratio(size, len(packed) - len(rest))
            if size > limits.max_file_bytes:
                raise ImageError(
                    f"its data set inflates to more than {limits.max_file_bytes:,} bytes, which is the limit"
                )
    except zlib.error as error:
        raise ImageError("damaged DICOM: its data set cannot be inflated") from error
    return b"".join(parts)

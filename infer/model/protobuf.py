"""Just enough of the protobuf wire format to read one field of a file without its schema.

A message is a sequence of fields; each begins with the varint `number << 3 | wire type`
(https://protobuf.dev/programming-guides/encoding/). Only length-delimited fields (wire type 2: strings,
bytes, messages) are of use here; the others are stepped over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, Final

_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2
_FIXED_SIZES: Final = {1: 8, 5: 4}  # bytes, by wire type; 3 and 4, groups, are long out of use
_MOST_VARINT_BYTES: Final = 10


def length_delimited(stream: BinaryIO, number: int) -> Iterator[bytes]:
    """Yield the content of every field of this number in the message that is the whole stream.

    Other fields are stepped over unread, so a large file costs no more than a small one. Raises
    ValueError where the stream is no such message, or ends too early.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    while (position := stream.tell()) < size:
        key = _varint(stream)
        wire_type = key & 7
        if key >> 3 == 0:
            raise ValueError(f"no field begins at byte {position}")
        if wire_type == _VARINT:
            _varint(stream)
            continue
        length = _varint(stream) if wire_type == _LENGTH_DELIMITED else _FIXED_SIZES.get(wire_type)
        if length is None:
            raise ValueError(f"no field begins at byte {position}")
        if length > size - stream.tell():
            raise ValueError(f"it ends within the field at byte {position}")
        if key >> 3 == number and wire_type == _LENGTH_DELIMITED:
            yield stream.read(length)
        else:
            stream.seek(length, os.SEEK_CUR)


def _varint(stream: BinaryIO) -> int:
    """Read a number: seven bits a byte, the lowest first, the eighth bit set on all but the last byte."""
    value = 0
    for index in range(_MOST_VARINT_BYTES):
        byte = stream.read(1)
        if not byte:
            raise ValueError("it ends within a number")
        value |= (byte[0] & 0x7F) << 7 * index
        if byte[0] < 0x80:
            return value
    raise ValueError(f"a number of more than {_MOST_VARINT_BYTES} bytes")

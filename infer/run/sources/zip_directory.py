"""The directory of a zip archive, read a member at a time.

The standard library's ZipFile holds an object for every member, and reads a hostile directory whole before
anything can be counted; a run over a million members needs neither. Reference: PKWARE APPNOTE 6.3.10,
sections 4.3.12 (headers), 4.3.14 to 4.3.16 (ends), 4.4 (fields), 4.5.3 (Zip64).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final
from zipfile import BadZipFile

_END: Final = struct.Struct("<4s4H2LH")
_END64_LOCATOR: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_ENTRY: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT: Final = 0xFFFF
_FULL: Final = 0xFFFFFFFF  # the true value is in the Zip64 field

_ENCRYPTED: Final = 0x2041  # plainly, strongly, or with a masked directory
_LZMA_END_MARK: Final = 0x0002
_UTF8: Final = 0x0800


@dataclass(frozen=True, slots=True)
class ZipMember:
    """One entry: sizes in bytes; `mode` is the Unix file mode, 0 if unknown; `offset` that of its header."""

    name: str
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    mode: int
    offset: int

    @property
    def is_encrypted(self) -> bool:
        """Whether a password is needed."""
        return bool(self.flags & _ENCRYPTED)

    @property
    def has_lzma_end_mark(self) -> bool:
        """Whether its LZMA data say themselves where they end."""
        return bool(self.flags & _LZMA_END_MARK)


@dataclass(frozen=True, slots=True)
class ZipDirectory:
    """Where the directory lies, how many members it declares, and what lies before the archive (bytes)."""

    start: int
    end: int
    members: int
    prefix: int


def find_directory(stream: IO[bytes]) -> ZipDirectory:
    """Find the directory by the record at the end. Raises BadZipFile."""
    size = stream.seek(0, 2)
    tail_start = max(0, size - _END.size - _LONGEST_COMMENT)
    stream.seek(tail_start)
    tail = stream.read(size - tail_start)
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or found + _END.size > len(tail):
        raise BadZipFile("its directory is missing: the file is truncated; copy it again")
    _, disk, first_disk, _, members, length, offset, _ = _END.unpack_from(tail, found)
    end = tail_start + found
    if not {disk, first_disk} <= {0, 0xFFFF}:
        raise BadZipFile("one part of a split archive; join the parts first")
    locator_at = end - _END64_LOCATOR.size
    if locator_at >= 0:
        stream.seek(locator_at)
        mark, _, end64_offset, _ = _END64_LOCATOR.unpack(stream.read(_END64_LOCATOR.size))
        if mark == b"PK\x06\x07":
            # With something before the archive the offset is short; the record ends where its locator begins.
            for place in (end64_offset, locator_at - _END64.size):
                stream.seek(max(0, min(place, size)))
                record = stream.read(_END64.size)
                if len(record) == _END64.size and record.startswith(b"PK\x06\x06"):
                    *_, members, length, offset = _END64.unpack(record)
                    end = max(0, min(place, size))
                    break
            else:
                raise BadZipFile("its Zip64 directory is missing; the file is damaged")
    prefix = end - length - offset
    if prefix < 0:
        raise BadZipFile("its directory does not fit into the file; it is damaged or truncated")
    return ZipDirectory(offset + prefix, end, members, prefix)


def read_members(stream: IO[bytes], directory: ZipDirectory) -> Iterator[ZipMember]:
    """Yield the members in the directory's order, holding one at a time. Raises BadZipFile where it breaks.

    The number of members is told by the directory's length: that in the end record wraps at 65,536.
    """
    position = directory.start
    while position < directory.end:
        stream.seek(position)
        head = stream.read(_ENTRY.size)
        if len(head) < _ENTRY.size or not head.startswith(b"PK\x01\x02"):
            raise BadZipFile("its directory is damaged")
        _, _, _, flags, method, _, _, crc, packed, size, *rest = _ENTRY.unpack(head)
        name_length, extra_length, comment_length, _, _, attributes, offset = rest

        position += _ENTRY.size + name_length + extra_length + comment_length
        name = stream.read(name_length)
        extra = stream.read(extra_length)
        if position > directory.end or len(extra) < extra_length:
            raise BadZipFile("its directory ends early; the file is damaged")
        size, packed, offset = _with_zip64(extra, (size, packed, offset))
        yield ZipMember(
            _text(name, flags), method, flags, crc, packed, size, attributes >> 16, offset + directory.prefix
        )


def data_start(stream: IO[bytes], member: ZipMember) -> int:
    """Return where a member's packed bytes begin, by its own header. Raises BadZipFile, OSError."""
    stream.seek(member.offset)
    head = stream.read(_LOCAL.size)
    if len(head) < _LOCAL.size or not head.startswith(b"PK\x03\x04"):
        raise BadZipFile("damaged: it does not lie where the directory says")
    *_, name_length, extra_length = _LOCAL.unpack(head)
    return member.offset + _LOCAL.size + int(name_length) + int(extra_length)


def _with_zip64(extra: bytes, values: tuple[int, int, int]) -> tuple[int, int, int]:
    """Replace the values that are full by those of the Zip64 field, which holds just these, in order."""
    if _FULL not in values:
        return values
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        field = extra[position + 4 : position + 4 + length]
        if kind == 1:
            full = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
            size, packed, offset = (next(full, _FULL) if value == _FULL else value for value in values)
            return size, packed, offset
        position += 4 + length
    return values


def _text(raw: bytes, flags: int) -> str:
    """Decode a name: UTF-8 where it is that, flagged or not (Finder sets no flag), else DOS's code page."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "surrogateescape") if flags & _UTF8 else raw.decode("cp437")

"""A zip archive: its images are read in place, in the order of its directory."""

from __future__ import annotations

import itertools
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, BadZipFile

from xray_infer.errors import ImageError, ReadError, SourceError
from xray_infer.images.formats import HEAD_BYTES
from xray_infer.images.limits import Limits
from xray_infer.run.sources import Item
from xray_infer.run.sources.archive import (
    Budget,
    check_size,
    plain_name,
    too_many_members,
)
from xray_infer.run.sources.listing import OUTSIDE, FailedItem, Listing, Tally
from xray_infer.run.sources.opening import SourceSpec
from xray_infer.run.sources.selection import is_input, leads_outside
from xray_infer.run.sources.unpack import BZIP2, DEFLATE, PackedBytes, unpacked, zip_lzma
from xray_infer.run.sources.zip_directory import ZipMember, data_start, find_directory, read_members

_CODECS: Final = {ZIP_DEFLATED: DEFLATE, ZIP_BZIP2: BZIP2}
_METHODS: Final = {9: "Deflate64", 93: "Zstandard", 95: "xz", 98: "PPMd"}


@dataclass(frozen=True, slots=True)
class ZipItem:
    """One member. Each reading opens the archive for itself, so that any number of threads may read."""

    archive: Path
    member: ZipMember
    name: str

    def stamp(self) -> str:
        """Return size and CRC-32 of the content, as the directory says and `read` checks."""
        return f"{self.member.size} {self.member.crc:08x}"

    def read(self, limits: Limits) -> bytes:
        """Unpack the member. Raises ReadError when the archive is out of reach, ImageError for all else.

        What is unpacked is held against the directory and the limits piece by piece, not by what is declared.
        """
        member = self.member
        check_size(member.size, limits)
        data = b"".join(self._unpack(limits))
        if len(data) < member.size:
            raise ImageError(f"damaged: unpacks to {len(data):,} bytes, not {member.size:,} as it declares")
        if zlib.crc32(data) != member.crc:
            raise ImageError("damaged: its checksum (CRC-32) is wrong")
        return data

    def read_head(self, limits: Limits) -> bytes:
        """Unpack the first bytes. Raises as `read` does."""
        head = b""
        for piece in self._unpack(limits):
            head += piece
            if len(head) >= HEAD_BYTES:
                break
        return head[:HEAD_BYTES]

    def _unpack(self, limits: Limits) -> Iterator[bytes]:
        if self.member.is_encrypted:
            raise ImageError("encrypted: unpack the archive with its password, and classify the folder")
        try:
            with self.archive.open("rb") as stream:
                stream.seek(data_start(stream, self.member))
                packed = PackedBytes(stream, self.member.packed)
                total = 0
                for piece in self._pieces(packed):
                    total += len(piece)
                    if total > self.member.size:
                        raise ImageError("damaged: unpacks to more bytes than it declares")
                    limits.check_ratio(total, packed.consumed)
                    yield piece
        except BadZipFile as error:
            raise ImageError(str(error)) from error
        except OSError as error:
            raise ReadError(f"cannot be opened: {error.strerror}") from error

    def _pieces(self, packed: PackedBytes) -> Iterator[bytes]:
        member = self.member
        if member.method == ZIP_STORED:
            return iter(packed)
        if member.method == ZIP_LZMA:
            codec = zip_lzma(packed, member.size, has_end_mark=member.has_lzma_end_mark)
            return unpacked(packed, codec, joined=False)
        if member.method in _CODECS:
            return unpacked(packed, _CODECS[member.method], joined=False)
        name = _METHODS.get(member.method, f"method {member.method}")
        raise ImageError(f"packed with {name}, which is not supported: unpack the archive first")


class ZipSource(Listing[Item]):
    """The images in a zip archive; see `Source`. Memory holds one member at a time, whatever their number.

    Where the directory is damaged, the listing ends with an item, named like the archive, that says so.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        """Raises SourceError for no readable directory or too many members."""
        super().__init__()
        self._path, self._limits = path, limits
        try:
            with path.open("rb") as stream:
                self._directory = find_directory(stream)
        except BadZipFile as error:
            raise SourceError(f"{path}: not a complete zip archive: {error}") from error
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}") from error
        if self._directory.members > limits.max_members:
            raise SourceError(f"{path}: {too_many_members(limits)}")

    @property
    def location(self) -> str:
        """The archive's absolute path."""
        return os.path.realpath(self._path)

    def _list(self, tally: Tally) -> Iterator[Item]:
        try:
            with self._path.open("rb") as stream:
                yield from self._members(stream, tally)
        except BadZipFile as error:
            yield FailedItem(self._path.name, f"{error}; there may be more images in it")
        except OSError as error:
            yield FailedItem(self._path.name, f"cannot be read: {error.strerror}", transient=True)

    def _members(self, stream: IO[bytes], tally: Tally) -> Iterator[Item]:
        most = self._limits.max_members
        budget = Budget(self._limits, stream.seek(0, 2))
        members = read_members(stream, self._directory)
        for member in itertools.islice(members, most):
            if member.name.endswith("/"):
                continue
            item = ZipItem(self._path, member, plain_name(member.name).replace("\0", "\ufffd"))
            if is_input(member.name, partial(item.read_head, self._limits)):
                yield self._checked(item, budget)
            else:
                tally.skipped += 1
        if next(members, None) is not None:
            yield FailedItem(self._path.name, f"{too_many_members(self._limits)}; the rest was not read")

    def _checked(self, item: ZipItem, budget: Budget) -> Item:
        """Return the item, or one that says why it cannot be read."""
        kind = stat.S_IFMT(item.member.mode)
        try:
            budget.admit(unpacked=item.member.size, packed=item.member.packed)
        except ImageError as error:
            return FailedItem(item.name, str(error))
        if leads_outside(item.member.name):
            return FailedItem(item.name, OUTSIDE)
        if kind not in (0, stat.S_IFREG):
            what = "a link" if kind == stat.S_IFLNK else "a special file"
            return FailedItem(item.name, f"{what} inside the archive, which is not followed")
        return item

    def _nothing_found(self, skipped: int) -> str:
        return f"{self._path}: no images in this archive ({skipped} other files)"


def open_zip(spec: SourceSpec) -> ZipSource:
    """Return the source of a zip archive. Raises SourceError for no readable directory."""
    return ZipSource(spec.path, spec.limits)

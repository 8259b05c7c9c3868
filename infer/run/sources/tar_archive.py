"""A tar archive, plain or compressed with gzip, bzip2 or xz, in the order of its members.

A plain one is read in place. A compressed one can only be read from its beginning: each image is unpacked as
the listing passes it, and its item holds the bytes, so that memory holds as many as are listed ahead of use.
"""

from __future__ import annotations

import os
import struct
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
from xray_infer.run.sources.opening import HEAD_FOR_ARCHIVES, SourceSpec, archive_format, is_tar_header
from xray_infer.run.sources.selection import is_input, judge_name, leads_outside
from xray_infer.run.sources.tar_stream import PackedTar, PlainTar, TarStream
from xray_infer.run.sources.unpack import BZIP2, GZIP, XZ, Codec

_CODECS: Final[dict[str, Codec | None]] = {"tar": None, "gzip": GZIP, "bzip2": BZIP2, "xz": XZ}

# What tarfile lets through where a header is damaged, besides its own; a chain of extended headers recurses.
_DAMAGE: Final = (tarfile.TarError, ValueError, OverflowError, struct.error, RecursionError, EOFError)


@dataclass(frozen=True, slots=True)
class TarItem:
    """A member of a plain archive, by its place; each reading opens the archive for itself."""

    archive: Path
    name: str
    offset: int
    size: int
    mark: str

    def stamp(self) -> str:
        """Return size, modification time and the header's checksum."""
        return self.mark

    def read(self, limits: Limits) -> bytes:
        """Read the member. Raises ReadError when the archive is out of reach, ImageError for all else."""
        check_size(self.size, limits)
        try:
            with self.archive.open("rb") as stream:
                stream.seek(self.offset)
                data = stream.read(self.size)
        except OSError as error:
            raise ReadError(f"cannot be opened: {error.strerror}") from error
        if len(data) < self.size:
            raise ImageError("truncated: the archive ends inside this member")
        return data


@dataclass(frozen=True, slots=True)
class HeldItem:
    """A member of a compressed archive, with its content."""

    name: str
    data: bytes
    mark: str

    def stamp(self) -> str:
        """Return size, modification time and the header's checksum."""
        return self.mark

    def read(self, limits: Limits) -> bytes:
        """Return the content. Raises ImageError when it is too large."""
        check_size(len(self.data), limits)
        return self.data


class TarSource(Listing[Item]):
    """The images in a tar archive; see `Source`.

    Links and special files named like images are items whose row says so. Where the archive is damaged, cut
    off or beyond a limit, the listing ends with an item, named like the archive, that says so.
    """

    def __init__(self, path: Path, codec: Codec | None, limits: Limits) -> None:
        super().__init__()
        self._path, self._codec, self._limits = path, codec, limits

    @property
    def location(self) -> str:
        """The archive's absolute path."""
        return os.path.realpath(self._path)

    def count(self) -> int | None:
        """Count the images by their headers; None if compressed."""
        return None if self._codec else super().count()

    def _list(self, tally: Tally) -> Iterator[Item]:
        try:
            with closing(self._open()) as stream:
                yield from self._members(stream, tally)
        except ReadError as error:
            yield FailedItem(self._path.name, str(error), transient=True)
        except ImageError as error:
            yield self._end(str(error))
        except OSError as error:
            yield FailedItem(self._path.name, f"cannot be read: {error.strerror}", transient=True)

    def _open(self) -> TarStream:
        return PackedTar(self._path, self._codec, self._limits) if self._codec else PlainTar(self._path)

    def _end(self, reason: str) -> FailedItem:
        return FailedItem(self._path.name, f"{reason}; there may be more images in it")

    def _members(self, stream: TarStream, tally: Tally) -> Iterator[Item]:
        budget = Budget(self._limits, stream.size) if isinstance(stream, PlainTar) else None
        for passed, member in enumerate(_headers(stream)):
            if passed == self._limits.max_members:
                yield self._end(too_many_members(self._limits))
                return
            if not member.isdir():
                item = self._look(stream, member, budget)
                if item is None:
                    tally.skipped += 1
                else:
                    yield item
        if not stream.ended_well():
            raise ImageError("damaged or truncated: the end mark is missing")
        stream.finish()

    def _look(self, stream: TarStream, member: tarfile.TarInfo, budget: Budget | None) -> Item | None:
        """Return the member's item; None for no image. The stream stands at the member's content."""
        name = plain_name(member.name).replace("\0", "\ufffd")
        if not member.isreg():
            what = "a link" if member.issym() or member.islnk() else "a special file"
            reason = f"{what} inside the archive, which is not followed"
            return FailedItem(name, reason) if judge_name(member.name) else None
        if member.issparse():
            reason = "a sparse file, which is not supported: unpack the archive first"
            return None if judge_name(member.name) is False else FailedItem(name, reason)
        head = b""

        def read_head() -> bytes:
            nonlocal head
            head = stream.read_data(min(HEAD_BYTES, member.size))
            return head

        if not is_input(member.name, read_head):
            return None
        try:
            return self._item(stream, member, name, head, budget)
        except ImageError as error:
            return FailedItem(name, str(error), transient=isinstance(error, ReadError))

    def _item(
        self, stream: TarStream, member: tarfile.TarInfo, name: str, head: bytes, budget: Budget | None
    ) -> Item:
        """Return the item of an image, with its content where that cannot be had later. Raises ImageError."""
        if leads_outside(member.name):
            raise ImageError(OUTSIDE)
        mark = f"{member.size} {member.mtime} {member.chksum}"
        if budget:
            if member.offset_data + member.size > budget.archive_bytes:
                raise ImageError("truncated: the archive ends inside this member")
            budget.admit(unpacked=member.size, packed=member.size)
            return TarItem(self._path, name, member.offset_data, member.size, mark)
        check_size(member.size, self._limits)
        data = head + stream.read_data(member.size - len(head))
        if len(data) < member.size:
            raise ImageError("truncated: the archive ends inside this member")
        return HeldItem(name, data, mark)

    def _nothing_found(self, skipped: int) -> str:
        return f"{self._path}: no images in this archive ({skipped} other files)"


def _headers(stream: TarStream) -> Iterator[tarfile.TarInfo]:
    """Yield the members; the stream may be read on to the end of each. Raises ImageError where it breaks."""
    tar = None
    while True:
        stream.expect_header()
        try:
            if tar is None:
                tar = tarfile.TarFile(fileobj=stream, encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]
            member = tar.next()
        except _DAMAGE as error:
            what = "too many headers in a row" if isinstance(error, RecursionError) else error
            raise ImageError(f"damaged or truncated: {what}") from error
        if member is None:
            return
        if member.size < 0:
            raise ImageError("damaged or truncated: a member of negative size")
        tar.members.clear()  # type: ignore[attr-defined]  # or it would hold them all
        yield member


def open_tar(spec: SourceSpec) -> TarSource:
    """Return the source of a tar archive, plain or compressed, as its content says.

    Raises SourceError for a compressed file that is no tar archive inside.
    """
    kind = archive_format(spec.head)
    codec = _CODECS[kind]
    if codec:
        try:
            with closing(PackedTar(spec.path, codec, spec.limits)) as stream:
                head = stream.read_data(HEAD_FOR_ARCHIVES)
        except ImageError as error:
            raise SourceError(f"{spec.path}: compressed with {kind}: {error}") from error
        except OSError as error:
            raise SourceError(f"{spec.path}: {error.strerror}") from error
        if not is_tar_header(head):
            raise SourceError(f"{spec.path}: compressed with {kind}, but no tar archive; unpack it first")
    return TarSource(spec.path, codec, spec.limits)

"""A list of paths or URIs, from a file or standard input: one a line, or each ended by a NUL character.

NUL is what `find -print0` writes, and the only way to list a name that holds a newline. Lines are UTF-8;
bytes that are not are kept as surrogates, as the file system needs them. A list is streamed: it may be
longer than memory, and the first paths are taken while a slow producer still writes the last.
"""

from __future__ import annotations

import codecs
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final, Protocol, cast

from xray_infer.errors import SourceError
from xray_infer.images.formats import image_format
from xray_infer.run.object_store import connect, is_uri, local_path, store_errors, without_secrets
from xray_infer.run.sources import STANDARD_INPUT, Item
from xray_infer.run.sources.folder import FileItem
from xray_infer.run.sources.opening import SourceSpec
from xray_infer.run.sources.remote import UriItem

_CHUNK: Final = 1 << 16
_LONGEST: Final = 1 << 16  # bytes; no system's paths are as long


class _Bytes(Protocol):
    def read1(self, size: int, /) -> bytes:
        """Return what there is, at most `size` bytes; none at the end."""
        ...


class _Remote:
    """A list in a store; see `xray_infer.run.object_store`."""

    def __init__(self, uri: str) -> None:
        self._what = f"--from-list {without_secrets(uri)}"
        files, path = connect(uri, SourceError)
        with store_errors(SourceError, self._what):
            self._stream = files.open(path, "rb")

    def read1(self, size: int, /) -> bytes:
        """Return the next bytes. Raises SourceError."""
        with store_errors(SourceError, self._what):
            data: bytes = self._stream.read(size)
            return data

    def __enter__(self) -> _Remote:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()


class ListSource:
    """Every path of a list, in its order, as often as it stands there; see `Source`.

    Relative paths are relative to the current folder, and names are shown as listed. A pipe or standard input
    can be read once, so that such a source has no count.
    """

    skipped = 0

    def __init__(self, listed_in: str) -> None:
        """Raises SourceError when there is no such list."""
        self._listed_in = listed_in
        self._spent = False
        self._once = False
        if is_uri(listed_in):
            return
        try:
            found = None if listed_in == STANDARD_INPUT else os.stat(listed_in)
        except OSError as error:
            raise SourceError(f"--from-list {listed_in}: {error.strerror}") from error
        if found and stat.S_ISDIR(found.st_mode):
            raise SourceError(f"--from-list {listed_in}: a folder; give it without --from-list")
        self._once = found is None or not stat.S_ISREG(found.st_mode)

    @property
    def location(self) -> str:
        """The list's absolute path, its URI as it may be shown, or `-`."""
        if is_uri(self._listed_in):
            return without_secrets(self._listed_in)
        return STANDARD_INPUT if self._listed_in == STANDARD_INPUT else os.path.abspath(self._listed_in)

    def __iter__(self) -> Iterator[Item]:
        """Yield an item a path. Raises SourceError for an empty list, or what is no list at all."""
        found = False
        for raw in self._paths():
            found = True
            yield _item(raw.decode("utf-8", "surrogateescape"))
        if not found:
            raise SourceError(f"--from-list {self._listed_in}: no paths in it; it needs one a line")

    def count(self) -> int | None:
        """Count the paths; None for what can be read only once."""
        return None if self._once else sum(1 for _ in self._paths())

    def _paths(self) -> Iterator[bytes]:
        if self._once and self._spent:
            raise SourceError(f"--from-list {self._listed_in}: a pipe can be read only once")
        self._spent = True
        try:
            with self._open() as stream:
                yield from _split(stream, f"--from-list {self._listed_in}")
        except OSError as error:
            raise SourceError(f"--from-list {self._listed_in}: {error.strerror}") from error

    def _open(self) -> AbstractContextManager[_Bytes]:
        if is_uri(self._listed_in):
            return _Remote(self._listed_in)
        if self._listed_in != STANDARD_INPUT:
            return open(self._listed_in, "rb")
        if sys.stdin is None:
            raise SourceError("--from-list -: there is no standard input")
        return nullcontext(cast(_Bytes, sys.stdin.buffer))


def open_list(spec: SourceSpec) -> ListSource:
    """Return the source of a list's file, its URI, or `-`. Raises SourceError when there is none."""
    return ListSource(spec.text)


def _split(stream: _Bytes, where: str) -> Iterator[bytes]:
    """Yield the paths in a stream of bytes, empty ones left out."""
    rest = stream.read1(_CHUNK)
    if rest.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError(f"{where}: in UTF-16; save it as UTF-8")
    if (kind := image_format(rest)) is not None:
        raise SourceError(f"{where}: a {kind} image, not a list of paths; give it without --from-list")
    rest = rest.removeprefix(codecs.BOM_UTF8)
    while b"\0" not in rest and b"\n" not in rest and len(rest) <= _LONGEST:
        more = stream.read1(_CHUNK)
        if not more:
            break
        rest += more
    end = b"\0" if b"\0" in rest else b"\n"
    while True:
        *paths, rest = rest.split(end)
        for path in paths:
            yield from _clean(path, end)
        if len(rest) > _LONGEST:
            raise SourceError(f"{where}: a line of more than {_LONGEST:,} bytes; not a list of paths")
        more = stream.read1(_CHUNK)
        if not more:
            yield from _clean(rest, end)
            return
        rest += more


def _clean(path: bytes, end: bytes) -> Iterator[bytes]:
    if end == b"\n":
        path = path.removesuffix(b"\r")
    if path.strip():
        yield path


def _item(text: str) -> Item:
    if not is_uri(text):
        return FileItem(Path(text), text)
    on_disk = local_path(text)
    return UriItem(text) if on_disk is None else FileItem(Path(on_disk), text)

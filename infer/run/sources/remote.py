"""Objects in a store that fsspec reaches by URI: s3://, gs://, memory:// and others. Needs `[remote]`.

A store is walked as a folder is, and each object is read by one bounded spec. S3 is listed in pages; of
other stores memory holds the names of one folder, at each level.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from xray_infer.errors import ImageError, ReadError, SourceError, XrayError
from xray_infer.images.formats import HEAD_BYTES
from xray_infer.images.limits import Limits
from xray_infer.run.object_store import connect, list_level, mark, store_errors, without_secrets
from xray_infer.run.sources import Item
from xray_infer.run.sources.listing import OUTSIDE, FailedItem, Listing, Tally
from xray_infer.run.sources.opening import HEAD_FOR_ARCHIVES, SourceSpec, archive_format
from xray_infer.run.sources.pattern import Pattern, States, below, everything, has_wildcard, split_wild
from xray_infer.run.sources.selection import is_input, leads_outside


@dataclass(frozen=True, slots=True)
class RemoteItem:
    """One object: the file system that reads it, its path there, and what the listing said of it."""

    files: Any
    path: str
    name: str
    size: int | None
    mark: str

    def stamp(self) -> str:
        """Return size and ETag, or size and time of the last change, as listed."""
        return self.mark

    def read(self, limits: Limits) -> bytes:
        """Read the object. Raises ReadError when it cannot be fetched, ImageError when too large."""
        most = limits.max_file_bytes
        if self.size is not None and self.size > most:
            raise ImageError(f"{self.size:,} bytes; the limit is {most:,}")
        data = self.read_start(most + 1)
        if len(data) > most:
            raise ImageError(f"more than {most:,} bytes, the limit")
        return data

    def read_start(self, count: int) -> bytes:
        """Read the first `count` bytes. Raises ReadError."""
        if self.size == 0:  # a store answers a range of nothing with an error
            return b""
        with store_errors(ReadError, "cannot be fetched"):
            data: bytes = self.files.cat_file(self.path, start=0, end=count)
            return data


@dataclass(frozen=True, slots=True)
class UriItem:
    """One object by its URI, looked up only when it is read; its name is the URI without what is secret."""

    uri: str
    name: str = field(init=False)

    def __post_init__(self) -> None:
        """Name it."""
        object.__setattr__(self, "name", without_secrets(self.uri))

    def stamp(self) -> str:
        """Return what `RemoteItem.stamp` would; empty when the store does not answer."""
        try:
            return self._find().mark
        except XrayError:
            return ""

    def read(self, limits: Limits) -> bytes:
        """Read the object. Raises ReadError or ImageError."""
        try:
            found = self._find()
        except ImageError:
            raise
        except XrayError as error:
            raise ReadError(str(error)) from error
        return found.read(limits)

    def _find(self) -> RemoteItem:
        files, path = connect(self.uri, SourceError)
        with store_errors(ReadError, "cannot be fetched"):
            info = files.info(path)
        if info["type"] != "file":
            raise ReadError("a folder, not a file")
        return RemoteItem(files, path, self.name, info.get("size"), mark(info))


class RemoteSource(Listing[Item]):
    """The images below a path of a store that match a pattern; see `FolderSource`, whose rules these are."""

    def __init__(self, uri: str, files: Any, root: str, pattern: Pattern) -> None:
        super().__init__()
        self._uri, self._files, self._root, self._pattern = uri, files, root, pattern

    @property
    def location(self) -> str:
        """The URI as it may be shown."""
        return without_secrets(self._uri)

    def _list(self, tally: Tally) -> Iterator[Item]:
        start = self._pattern.start()
        pending = [("", start, self._entries(self._root, "", start, tally))]
        while pending:
            prefix, states, entries = pending[-1]
            try:
                entry = self._next(prefix, entries)
            except ReadError as error:
                pending.pop()
                yield FailedItem(prefix[:-1], str(error), transient=True)
                continue
            if entry is None:
                pending.pop()
            elif entry.name.endswith("/"):
                inside = self._pattern.step(states, entry.name[len(prefix) : -1])
                pending.append((entry.name, inside, self._entries(entry.path, entry.name, inside, tally)))
            elif not is_input(entry.name, partial(entry.read_start, HEAD_BYTES)):
                tally.skipped += 1
            elif leads_outside(entry.name):
                yield FailedItem(entry.name, OUTSIDE)
            else:
                yield entry

    def _next(self, prefix: str, entries: Iterator[RemoteItem]) -> RemoteItem | None:
        """Return the next entry, None at the end. Raises SourceError at the root, ReadError in a folder."""
        if prefix:
            with store_errors(ReadError, "a folder that cannot be listed"):
                return next(entries, None)
        with store_errors(SourceError, f"{self.location}: cannot be listed"):
            return next(entries, None)

    def _entries(self, folder: str, prefix: str, states: States, tally: Tally) -> Iterator[RemoteItem]:
        """Yield what can match, in order; a folder's name ends in a slash, as in `FolderSource`."""
        for info in list_level(self._files, folder):
            path = info["name"]
            last = path.rsplit("/", 1)[-1]
            inside = self._pattern.step(states, last)
            is_folder = info["type"] == "directory"
            wanted = self._pattern.leads_on(inside) if is_folder else self._pattern.accepts(inside)
            if wanted and last.startswith(".") and last != "..":
                tally.skipped += 1
            elif wanted:
                name = f"{prefix}{last}/" if is_folder else f"{prefix}{last}"
                yield RemoteItem(self._files, path, name, info.get("size"), mark(info))

    def _nothing_found(self, skipped: int) -> str:
        return f"{self.location}: no images there ({skipped} other files)"


class ObjectSource:
    """One object; see `Source`."""

    skipped = 0

    def __init__(self, uri: str, item: RemoteItem) -> None:
        self._uri, self._item = uri, item

    @property
    def location(self) -> str:
        """The URI as it may be shown."""
        return without_secrets(self._uri)

    def __iter__(self) -> Iterator[RemoteItem]:
        """Yield the object."""
        yield self._item

    def count(self) -> int:
        """Return 1."""
        return 1


def open_uri(spec: SourceSpec) -> RemoteSource | ObjectSource:
    """Return the source of a URI: an object, all below a path, or a pattern.

    Raises SourceError when the store does not answer or has no such path, MissingExtraError without fsspec.
    """
    where = without_secrets(spec.text)
    files, path = connect(spec.text, SourceError)
    with store_errors(SourceError, f"{where}: cannot be opened"):
        is_glob = has_wildcard(path) and not files.exists(path)
        info = {} if is_glob else files.info(path)
    if is_glob:
        base, parts = split_wild(tuple(path.split("/")))
        return RemoteSource(spec.text, files, "/".join(base), below(parts, recursive=spec.recursive))
    if info["type"] == "directory":
        return RemoteSource(spec.text, files, path, everything(recursive=spec.recursive))
    name = path.rstrip("/").rsplit("/", 1)[-1]
    item = RemoteItem(files, path, name, info.get("size"), mark(info))
    with store_errors(SourceError, f"{where}: cannot be opened"):
        if archive_format(item.read_start(HEAD_FOR_ARCHIVES)):
            raise SourceError(f"{where}: an archive in a store cannot be read in place; download it first")
    return ObjectSource(spec.text, item)

"""Objects in a store that fsspec reaches by URI: s3://, gs://, memory:// and others. Needs `[remote]`.

A store is walked as a folder is, one level's listing in memory at a time, and each object is read by one
bounded request. fsspec loads on first use; a store's own package (s3fs, gcsfs) is fsspec's to import.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from xray_infer.errors import ImageError, ReadError, SourceError, XrayError, extra_for
from xray_infer.limits import Limits
from xray_infer.magic import HEAD_BYTES
from xray_infer.sources import Item, Request
from xray_infer.sources.archive import HEAD_FOR_ARCHIVES, archive_format
from xray_infer.sources.listing import OUTSIDE, FailedItem, Listing, Tally
from xray_infer.sources.pattern import Pattern, States, below, everything, has_wildcard, split_wild
from xray_infer.sources.selection import is_input, leads_outside

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_FILE: Final = "file://"
_PASSWORD: Final = re.compile(r"(://[^/@:]*):[^/@]*@")

# What stores call a mark of the content, and of its last change, in the order of trust.
_CONTENT_KEYS: Final = ("ETag", "etag", "md5Hash", "generation", "content_settings.content_md5")
_CHANGE_KEYS: Final = ("LastModified", "last_modified", "updated", "mtime", "created")


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
        with _store_errors(ReadError, "cannot be fetched"):
            data: bytes = self.files.cat_file(self.path, start=0, end=count)
            return data


@dataclass(frozen=True, slots=True)
class UriItem:
    """One object by its URI, looked up only when it is read; its name is the URI."""

    name: str

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
        files, path = _connect(self.name)
        with _store_errors(ReadError, "cannot be fetched"):
            info = files.info(path)
        if info["type"] != "file":
            raise ReadError("a folder, not a file")
        return RemoteItem(files, path, self.name, info.get("size"), _mark(info))


class RemoteSource(Listing[Item]):
    """The images below a path of a store that match a pattern; see `FolderSource`, whose rules these are."""

    def __init__(self, uri: str, files: Any, root: str, pattern: Pattern) -> None:
        super().__init__()
        self._uri, self._files, self._root, self._pattern = uri, files, root, pattern

    @property
    def location(self) -> str:
        """The URI, without a password."""
        return _without_password(self._uri)

    def _list(self, tally: Tally) -> Iterator[Item]:
        start = self._pattern.start()
        with _store_errors(SourceError, f"{self.location}: cannot be listed"):
            pending = [("", start, self._entries(self._root, "", start, tally))]
        while pending:
            prefix, states, entries = pending[-1]
            if not entries:
                pending.pop()
                continue
            entry = entries.pop()
            if not entry.name.endswith("/"):
                if not is_input(entry.name, lambda entry=entry: entry.read_start(HEAD_BYTES)):  # type: ignore[misc]
                    tally.skipped += 1
                elif leads_outside(entry.name):
                    yield FailedItem(entry.name, OUTSIDE)
                else:
                    yield entry
                continue
            inside = self._pattern.step(states, entry.name[len(prefix) : -1])
            try:
                with _store_errors(ReadError, "a folder that cannot be listed"):
                    pending.append((entry.name, inside, self._entries(entry.path, entry.name, inside, tally)))
            except ReadError as error:
                yield FailedItem(entry.name[:-1], str(error), transient=True)

    def _entries(self, folder: str, prefix: str, states: States, tally: Tally) -> list[RemoteItem]:
        """Return what can match, the first last; a folder's name ends in a slash, as in `FolderSource`."""
        found = []
        for info in self._files.ls(folder, detail=True):
            path = info["name"]
            if path.strip("/") == folder.strip("/"):  # a store's mark of an empty folder
                continue
            last = path.rstrip("/").rsplit("/", 1)[-1]
            inside = self._pattern.step(states, last)
            is_folder = info["type"] == "directory"
            wanted = self._pattern.leads_on(inside) if is_folder else self._pattern.accepts(inside)
            if wanted and last.startswith(".") and last != "..":
                tally.skipped += 1
            elif wanted:
                name = f"{prefix}{last}/" if is_folder else f"{prefix}{last}"
                found.append(RemoteItem(self._files, path, name, info.get("size"), _mark(info)))
        found.sort(key=lambda entry: entry.name, reverse=True)
        return found

    def _nothing_found(self, skipped: int) -> str:
        return f"{self.location}: no images there ({skipped} other files)"


class ObjectSource:
    """One object; see `Source`."""

    skipped = 0

    def __init__(self, uri: str, item: RemoteItem) -> None:
        self._uri, self._item = uri, item

    @property
    def location(self) -> str:
        """The URI, without a password."""
        return _without_password(self._uri)

    def __iter__(self) -> Iterator[RemoteItem]:
        """Yield the object."""
        yield self._item

    def count(self) -> int:
        """Return 1."""
        return 1


def is_uri(text: str) -> bool:
    """Say whether the text begins with a scheme and `://`."""
    return _URI.match(text) is not None


def local_path(uri: str) -> str | None:
    """Return the path of a file:// URI (RFC 8089, percent signs decoded); None for any other."""
    if not uri.lower().startswith(_FILE):
        return None
    from urllib.request import url2pathname  # knows Windows's drives

    return url2pathname(uri[len(_FILE) :].removeprefix("localhost"))


def open_uri(request: Request) -> RemoteSource | ObjectSource | None:
    """Return the source if a URI was asked for: an object, all below a path, or a pattern.

    Raises SourceError when the store does not answer or has no such path, MissingExtraError without fsspec.
    """
    if not is_uri(request.text):
        return None
    files, path = _connect(request.text)
    where = _without_password(request.text)
    with _store_errors(SourceError, f"{where}: cannot be opened"):
        is_glob = has_wildcard(path) and not files.exists(path)
        info = {} if is_glob else files.info(path)
    if is_glob:
        base, parts = split_wild(tuple(path.split("/")))
        return RemoteSource(request.text, files, "/".join(base), below(parts, recursive=request.recursive))
    if info["type"] == "directory":
        return RemoteSource(request.text, files, path, everything(recursive=request.recursive))
    name = path.rstrip("/").rsplit("/", 1)[-1]
    item = RemoteItem(files, path, name, info.get("size"), _mark(info))
    with _store_errors(SourceError, f"{where}: cannot be opened"):
        if archive_format(item.read_start(HEAD_FOR_ARCHIVES)):
            raise SourceError(f"{where}: an archive in a store cannot be read in place; download it first")
    return ObjectSource(request.text, item)


def _connect(uri: str) -> tuple[Any, str]:
    """Return the file system of a URI and the path there. Raises SourceError, MissingExtraError."""
    with extra_for(uri[: uri.index("://") + 3], "remote"):
        from fsspec.core import url_to_fs
    with _store_errors(SourceError, f"{_without_password(uri)}: cannot be opened"):
        # Without its cache of listings, which would hold every name, and show a store as it once was.
        files, path = url_to_fs(uri, use_listings_cache=False)
    return files, path


@contextmanager
def _store_errors(kind: type[XrayError], what: str) -> Iterator[None]:
    """Turn an error of a store's package into one of ours, in one line.

    Each package raises a family of its own (botocore's, aiohttp's, Google's), which cannot be named without
    loading it: this is the one place where every Exception of foreign code is taken for the store's answer.
    """
    try:
        yield
    except XrayError as error:
        if isinstance(error, kind):
            raise
        raise kind(f"{what}: {error}") from error
    except FileNotFoundError as error:
        raise kind(f"{what}: no such object, folder or bucket") from error
    except PermissionError as error:
        raise kind(f"{what}: access denied; check the credentials") from error
    except Exception as error:
        lines = str(error).splitlines()
        raise kind(f"{what}: {lines[0] if lines else type(error).__name__}") from error


def _mark(info: dict[str, Any]) -> str:
    for key in (*_CONTENT_KEYS, *_CHANGE_KEYS):
        if info.get(key):
            return f"{info.get('size')} {info[key]}"
    return ""


def _without_password(uri: str) -> str:
    return _PASSWORD.sub(r"\1@", uri)

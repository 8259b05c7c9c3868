"""A folder on disk with its sub-folders, a pattern of paths, or one file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Final

from xray_infer.errors import ImageError, ReadError, SourceError
from xray_infer.images.formats import HEAD_BYTES
from xray_infer.images.limits import Limits
from xray_infer.run.sources.listing import Listing, Tally
from xray_infer.run.sources.opening import SourceSpec
from xray_infer.run.sources.pattern import Pattern, States, below, everything, split_wild
from xray_infer.run.sources.selection import IMAGE_SUFFIXES, is_input

# A FIFO would block the run for ever, a terminal could take it over.
_OPEN_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


@dataclass(frozen=True, slots=True)
class FileItem:
    """A file on disk: `path` to open, and `name`, the path as shown in the results."""

    path: Path
    name: str

    def stamp(self) -> str:
        """Return size and modification time, see `xray_infer.run.sources.Item`."""
        try:
            found = self.path.stat()
        except (OSError, ValueError):
            return ""
        return f"{found.st_size} {found.st_mtime_ns}"

    def read(self, limits: Limits) -> bytes:
        """Read the file. Raises ReadError for no readable regular file, ImageError when too large.

        What is judged is what was opened, and no more is read than the limit, however the file may grow.
        """
        most = limits.max_file_bytes
        try:
            with _open(self.path) as stream:
                size = os.fstat(stream.fileno()).st_size
                if size > most:
                    raise ImageError(f"{size:,} bytes; the limit is {most:,}")
                parts = [stream.read(size + 1)]
                left = most - len(parts[0])
                while left >= 0 and (more := stream.read(1 << 20)):
                    parts.append(more)
                    left -= len(more)
        except OSError as error:
            raise ReadError(f"cannot be opened: {error.strerror}") from error
        except ValueError as error:
            raise ReadError("cannot be opened: not a possible name") from error
        if left < 0:
            raise ImageError(f"more than {most:,} bytes, the limit, and still growing")
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class UnlistedFolder(FileItem):
    """A sub-folder whose images cannot be known."""

    def stamp(self) -> str:
        """Return nothing: it is looked at again by every run."""
        return ""

    def read(self, limits: Limits) -> bytes:
        """Raise ReadError."""
        raise ReadError("a folder that cannot be listed")


class FolderSource(Listing[FileItem]):
    """The images of a folder that match a pattern, in the order of their names' text; see `Source`.

    Links to files are followed, links to folders are not (they can loop). A sub-folder that cannot be listed
    becomes an item of its own, so that it gets a row. Pipes and devices are items only if named like images,
    and are never opened to look. Memory holds the names of one folder, at each level.
    """

    def __init__(self, root: Path, pattern: Pattern | None = None, *, asked: str = "") -> None:
        super().__init__()
        self._root = root
        self._pattern = pattern or everything(recursive=True)
        self._asked = asked  # the pattern as it was typed

    @property
    def location(self) -> str:
        """The folder's absolute path, with the pattern that was asked for."""
        return os.path.abspath(self._asked) if self._asked else os.path.realpath(self._root)

    def _list(self, tally: Tally) -> Iterator[FileItem]:
        start = self._pattern.start()
        try:
            pending = [("", start, self._names(self._root, start, tally))]
        except OSError as error:
            raise SourceError(f"{self._root}: {error.strerror}") from error
        while pending:
            prefix, states, names = pending[-1]
            if not names:
                pending.pop()
                continue
            name = names.pop()
            path = self._root / f"{prefix}{name}"
            if name.endswith("/"):
                inside = self._pattern.step(states, name[:-1])
                try:
                    pending.append((f"{prefix}{name}", inside, self._names(path, inside, tally)))
                except OSError:
                    yield UnlistedFolder(path, f"{prefix}{name[:-1]}")
            elif is_input(name, partial(_read_head, path)):
                yield FileItem(path, f"{prefix}{name}")
            else:
                tally.skipped += 1

    def _names(self, folder: Path, states: States, tally: Tally) -> list[str]:
        """Return the names in a folder that can match, the first last; a folder's ends in a slash.

        Sorted as text with that slash, all paths come in the order of their text. Raises OSError.
        """
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                inside = self._pattern.step(states, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    wanted, name = self._pattern.leads_on(inside), f"{entry.name}/"
                elif entry.is_symlink() and _is_folder(entry):
                    tally.skipped += self._pattern.leads_on(inside)
                    continue
                else:
                    wanted, name = self._pattern.accepts(inside), entry.name
                if wanted and entry.name.startswith("."):
                    tally.skipped += 1
                elif wanted:
                    names.append(name)
        names.sort(reverse=True)
        return names

    def _nothing_found(self, skipped: int) -> str:
        if self._asked:
            return f"{self._asked}: no images match this pattern ({skipped} other files)"
        only = "" if self._pattern.parts == ("**",) else "; sub-folders were not searched"
        return (
            f"{self._root}: no images in this folder ({skipped} other files){only}; "
            f"looked for {' '.join(sorted(IMAGE_SUFFIXES))} and for the first bytes of an image"
        )


class FileSource:
    """One file; see `Source`."""

    skipped = 0

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def location(self) -> str:
        """The file's absolute path."""
        return os.path.realpath(self._path)

    def __iter__(self) -> Iterator[FileItem]:
        """Yield the file. Raises SourceError when there is none."""
        try:
            self._path.stat()
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror}") from error
        yield FileItem(self._path, self._path.name)

    def count(self) -> int:
        """Return 1."""
        return 1


def local_source(path: Path) -> FolderSource | FileSource:
    """Return the source that a path on disk names: a folder with its sub-folders, or one file."""
    return FolderSource(path) if os.path.isdir(path) else FileSource(path)


def open_folder(spec: SourceSpec) -> FolderSource:
    """Return the source of a folder."""
    return FolderSource(spec.path, everything(recursive=spec.recursive))


def open_pattern(spec: SourceSpec) -> FolderSource:
    """Return the source of a pattern: wildcards, in a path that does not exist as it stands.

    A folder that matches stands for all that it holds, unless `recursive` is false.
    """
    base, parts = split_wild(spec.path.parts)
    return FolderSource(Path(*base), below(parts, recursive=spec.recursive), asked=spec.text)


def open_file(spec: SourceSpec) -> FileSource:
    """Return the source of a file of any sort. Raises SourceError when there is none."""
    try:
        os.lstat(spec.path)
    except OSError as error:
        raise SourceError(f"{spec.text}: {error.strerror}") from error
    except ValueError as error:
        raise SourceError(f"{spec.text!r}: not a possible name") from error
    return FileSource(spec.path)


def _open(path: Path) -> FileIO:
    """Open a regular file. Raises OSError, and ReadError for anything else."""
    descriptor = os.open(path, _OPEN_FLAGS)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return FileIO(descriptor)
    os.close(descriptor)
    raise ReadError("a folder, not a file" if stat.S_ISDIR(mode) else "not a regular file")


def _read_head(path: Path) -> bytes:
    """Return a file's first bytes, none for what is no regular file. Raises ReadError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return b""
        with _open(path) as stream:
            return stream.read(HEAD_BYTES)
    except OSError as error:
        raise ReadError(f"cannot be opened: {error.strerror}") from error


def _is_folder(link: os.DirEntry[str]) -> bool:
    try:
        return link.is_dir()
    except OSError:  # a link to itself, among others: its row will say so
        return False

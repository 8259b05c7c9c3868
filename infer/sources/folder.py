"""A folder on disk with its sub-folders, or one file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xray_infer.errors import ImageError, ReadError, SourceError
from xray_infer.limits import Limits

IMAGE_SUFFIXES: Final = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".bmp")
)

OVERLAY_SUFFIX: Final = ".heatmap.png"


@dataclass(frozen=True, slots=True)
class FileItem:
    """A file on disk: `path` to open, and `name`, the path as shown in the results."""

    path: Path
    name: str

    def stamp(self) -> str:
        """Return size and modification time, see `xray_infer.sources.Item`."""
        try:
            found = self.path.stat()
        except (OSError, ValueError):
            return ""
        return f"{found.st_size} {found.st_mtime_ns}"

    def read(self, limits: Limits) -> bytes:
        """Read the file. Raises ReadError for no readable regular file, ImageError when too large."""
        try:
            # A FIFO or a device would block the run for ever.
            found = self.path.stat()
            if stat.S_ISDIR(found.st_mode):
                raise ReadError("a folder that cannot be listed")
            if not stat.S_ISREG(found.st_mode):
                raise ReadError("not a regular file")
            if found.st_size > limits.max_file_bytes:
                raise ImageError(f"{found.st_size:,} bytes; the limit is {limits.max_file_bytes:,}")
            return self.path.read_bytes()
        except OSError as error:
            raise ReadError(f"cannot be opened: {error.strerror}") from error


class FolderSource:
    """The images of a folder and its sub-folders, in the order of their names; see `Source`.

    Hidden files and folders are passed over silently; files that are no images, and heat maps of an
    earlier run, are counted as skipped. Links to files are followed, links to folders are not (they can
    loop). A sub-folder that cannot be listed becomes an item of its own, so that it gets a row.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.skipped = 0

    @property
    def location(self) -> str:
        """The folder's absolute path."""
        return str(self._root.resolve())

    def __iter__(self) -> Iterator[FileItem]:
        """List the images. Memory holds one folder's names at a time, for each level."""
        self.skipped = 0
        found = False
        for path in self._walk(self._root):
            found = True
            yield FileItem(path, path.relative_to(self._root).as_posix())
        if not found:
            raise SourceError(
                f"{self._root}: no images in this folder ({self.skipped} other files); "
                f"looked for {' '.join(sorted(IMAGE_SUFFIXES))}"
            )

    def count(self) -> int:
        """Count the images."""
        return sum(1 for _ in FolderSource(self._root)._walk(self._root))

    def _walk(self, folder: Path) -> Iterator[Path]:
        try:
            # A folder is sorted as if its name ended in a slash: all paths come in the order of text.
            entries = [
                (f"{entry.name}/", True)
                if entry.is_dir(follow_symlinks=False)
                else (entry.name, entry.is_dir())
                for entry in os.scandir(folder)
                if not entry.name.startswith(".")
            ]
        except OSError as error:
            if folder == self._root:
                raise SourceError(f"{folder}: {error.strerror}") from error
            yield folder
            return
        for name, is_folder in sorted(entries):
            if name.endswith("/"):
                yield from self._walk(folder / name)
            elif is_folder:  # a link to one
                continue
            elif Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.endswith(OVERLAY_SUFFIX):
                yield folder / name
            else:
                self.skipped += 1


class FileSource:
    """One file; see `Source`."""

    skipped = 0

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def location(self) -> str:
        """The file's absolute path."""
        return str(self._path.resolve())

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
    return FolderSource(path) if path.is_dir() else FileSource(path)

"""Where images come from: a folder or a file becomes a list of items, in a stable order."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xray_infer.errors import SourceError

IMAGE_SUFFIXES: Final = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".bmp")
)

OVERLAY_SUFFIX: Final = ".heatmap.png"


@dataclass(frozen=True, slots=True)
class Item:
    """One input: `path` to open, and `name`, the path as shown in the results (relative to the folder)."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The items of a source and the number of other files that were passed over."""

    items: tuple[Item, ...]
    skipped: int = 0


def list_images(source: Path) -> Listing:
    """List one image file, or a folder's images, recursively, sorted by path.

    Hidden files and folders are passed over silently; files without an image suffix, and heat maps of an
    earlier run, are counted as skipped. Links to files are followed, links to folders are not (they can
    loop). A sub-folder that cannot be listed becomes an item of its own, so that it gets a row. Raises
    SourceError when the source is missing, unreadable or holds no images.
    """
    unreadable: list[Path] = []
    try:
        if not source.is_dir():
            os.stat(source)
            return Listing((Item(source, source.name),))
        items: list[Item] = []
        skipped = 0
        os.scandir(source).close()
        for folder, folders, files in os.walk(source, onerror=lambda e: unreadable.append(Path(e.filename))):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in files:
                path = Path(folder, name)
                if name.startswith("."):
                    continue
                if path.suffix.lower() in IMAGE_SUFFIXES and not name.endswith(OVERLAY_SUFFIX):
                    items.append(Item(path, path.relative_to(source).as_posix()))
                else:
                    skipped += 1
    except OSError as error:
        raise SourceError(f"{error.filename}: {error.strerror}") from error
    items += [Item(path, path.relative_to(source).as_posix()) for path in unreadable]
    if not items:
        raise SourceError(
            f"{source}: no images in this folder ({skipped} other files); "
            f"looked for {' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return Listing(tuple(sorted(items, key=lambda item: item.name)), skipped)

"""Folders of good and bad inputs, and the command that classifies them, as a user would give it."""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from xray_infer.run.sources.folder import FileItem, local_source

EVERY: Final = 10  # one input in so many is bad


@contextmanager
def good_and_bad(folder: Path, count: int, *, gone: bool) -> Iterator[Path]:
    """Yield a temporary folder of `count` inputs: links to the images of `folder`, one in ten of them bad.

    Bad are, in turn: an empty file, text, half an image, a header of a huge image; with `gone`, also a link
    to nothing, which another run reads again.
    """
    images = [one.path.resolve() for one in local_source(folder) if isinstance(one, FileItem)]
    half = images[0].read_bytes()
    kinds = [b"", b"not an image\n", half[: len(half) // 2], HUGE_PNG, *([None] if gone else [])]
    bad = itertools.cycle(kinds)
    with tempfile.TemporaryDirectory(prefix="xray-bench-") as scratch:
        for number, path in zip(range(count), itertools.cycle(images), strict=False):
            place = Path(scratch, f"ward{number % 7}", f"{number:07}_{path.name}")
            place.parent.mkdir(exist_ok=True)
            if number % EVERY:
                os.symlink(path, place)
            elif (data := next(bad)) is None:
                os.symlink(Path(scratch, "nothing"), place.with_suffix(".png"))
            else:
                place.with_suffix(".png").write_bytes(data)
        yield Path(scratch)


def command(source: str | Path, out: str | Path, *options: str | int) -> list[str]:
    """Return the command, with this Python."""
    return [sys.executable, "-m", "xray_infer", str(source), "--out", str(out), "--quiet", *map(str, options)]


def merge_command(shards: str | Path, out: Path) -> list[str]:
    """Return the command that merges shards."""
    return [sys.executable, "-m", "xray_infer", "merge", str(shards), "--out", str(out)]


def on_ray(actors: int, *options: str | int) -> Sequence[str | int]:
    """Return the options of the engine ray with so many actors."""
    return ("--engine", "ray", "--actors", actors, *options)


def _huge_png() -> bytes:
    """Return the header of a PNG of 100,000 x 100,000 pixels, which no reader should believe."""
    import struct
    import zlib

    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + crc


HUGE_PNG: Final = _huge_png()

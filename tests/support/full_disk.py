"""A folder whose disk is full, as Python code meets it: bytes are written until there is no room."""

from __future__ import annotations

import builtins
import errno
import io
import os
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest


def fill_disk(monkeypatch: pytest.MonkeyPatch, folder: Path, *, names: str = "*", room: int = 0) -> None:
    """Let files of these names anywhere in the folder take `room` bytes together, then raise ENOSPC.

    Room is not given back. Writes by native code are not seen.
    """
    really_open, left = io.open, [room]

    class Disk(io.FileIO):
        def write(self, data: Any) -> int:
            taken = min(left[0], len(data))
            left[0] -= taken
            super().write(bytes(data)[:taken])
            if taken < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return taken

    def open_on_it(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        path = Path(os.fsdecode(file)) if isinstance(file, str | bytes | os.PathLike) else None
        if path is None or mode.strip("bt+") == "r" or folder not in path.parents:
            return really_open(file, mode, *arguments, **options)
        if not fnmatch(path.name, names):
            return really_open(file, mode, *arguments, **options)
        raw = Disk(path, mode.replace("b", "").replace("t", ""))
        if options.get("buffering") == 0:
            return raw
        stream = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return stream if "b" in mode else io.TextIOWrapper(stream, encoding="utf-8")

    monkeypatch.setattr(io, "open", open_on_it)
    monkeypatch.setattr(builtins, "open", open_on_it)

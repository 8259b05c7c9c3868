"""Files that are whole or not there: written beside their place, then moved into it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xray_infer.errors import OutputError


def make_folder(path: Path) -> None:
    """Make a folder unless it exists. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot make the folder: {error.strerror}") from error


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Yield a temporary neighbour of `path` with its suffix; afterwards it takes the place of `path`.

    When the body raises, the temporary file is removed and `path` is left as it was. Raises OutputError
    when the folder cannot be written to.
    """
    temporary = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make the file at the path that it is given, then put it in place. Raises OutputError."""
    with staged(path) as temporary:
        write(temporary)


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, atomically. Raises OutputError."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON in UTF-8, atomically. Raises OutputError."""
    write_text(path, json.dumps(value, indent=1) + "\n")

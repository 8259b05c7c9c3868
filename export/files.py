"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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

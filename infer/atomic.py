"""Files that are whole or not there: written beside their place, then moved into it."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from xray_infer.errors import OutputError

_ROOM: Final = "free some space or write to another disk"
_RIGHTS: Final = "choose a folder that you may write to"
_PLACE: Final = "a file stands in its place; choose another folder"
ADVICE: Final = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
    errno.EEXIST: _PLACE,
    errno.ENOTDIR: _PLACE,
}


def make_folder(path: Path) -> None:
    """Make a folder unless it exists, and see that files can be made in it. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal(path, "cannot make the folder", error) from error
    try:
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise refusal(path, "cannot write to the folder", error) from error


def refusal(path: Path, problem: str, error: OSError) -> OutputError:
    """Return the error of a file that cannot be written, with what to do where that is known."""
    reason = error.strerror or str(error)
    advice = ADVICE.get(error.errno or 0)
    return OutputError(f"{path}: {problem}: {reason}" + (f"; {advice}" if advice else ""))


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
        raise refusal(path, "cannot be written", error) from error
    finally:
        with suppress(OSError):  # its own error would hide the one that counts
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

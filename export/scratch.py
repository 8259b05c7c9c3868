"""A full temporary folder, where converters and quantisers keep files of their own, told in one line."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from xray_infer.errors import OutputError, XrayError

REFUSED: Final = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM)
)
ROOM: Final = 8  # times the Keras model's size; int8 of a small network took four times its ONNX file


@contextmanager
def scratch_errors(path: Path, *, model: Path) -> Iterator[None]:
    """Raise OutputError when the file at `path` cannot be made of `model` for want of temporary space.

    A converter tells of a failed write by an OSError, by an exception of its own, or not at all: then it
    stumbles over its own file, cut short. So whatever it raises counts where the folder, which it has cleared
    by now, has less room than a conversion takes. Anything else is a bug and goes on.
    """
    try:
        yield
    except XrayError:
        raise
    except Exception as error:  # converters' exceptions have no common base
        reason = _reason(error, wanted=ROOM * model.stat().st_size)
        if reason is None:
            raise
        raise OutputError(
            f"{path}: cannot be made: {reason}; free some space there, or name another folder in TMPDIR"
        ) from error


def _reason(error: Exception, *, wanted: int) -> str | None:
    """Say in what way the temporary folder fails, or return None where it does not."""
    try:
        folder = tempfile.gettempdir()
        free = shutil.disk_usage(folder).free
    except OSError as missing:
        return f"temporary folder: {missing}"
    if isinstance(error, OSError) and error.errno in REFUSED:
        return f"temporary folder {folder}: {error.strerror}"
    if free < wanted:
        return f"temporary folder {folder}: {free / 1e6:.1f} MB free, {wanted / 1e6:.1f} MB wanted"
    return None

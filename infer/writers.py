"""Rows to a file. While a run goes on the rows stand in `NAME.partial`, each on disk as soon as it is
known; the finished file appears under its own name atomically."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from xray_infer.errors import OutputError
from xray_infer.results import COLUMNS, Row


class CsvWriter:
    """CSV in UTF-8 with a header line; bytes of a file name that are not UTF-8 are written as \\xNN.

    A context manager: leaving it normally puts the file in place, leaving it by an exception keeps the
    partial file, unless it has no rows. Raises OutputError when the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        try:
            if path.is_dir():
                raise OutputError(f"{path}: is a folder; give --out a file name")
            self._stream = self.partial.open("w", newline="", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise OutputError(f"{path}: cannot write there: {error.strerror}") from error
        self._rows = 0
        self._csv = csv.writer(self._stream, lineterminator="\n")
        self._csv.writerow(COLUMNS)

    def write(self, row: Row) -> None:
        """Write one row through to the operating system. Raises OutputError, for example on a full disk."""
        try:
            self._csv.writerow(row.cells())
            self._stream.flush()
            self._rows += 1
        except OSError as error:
            raise OutputError(f"{self.partial}: cannot write: {error.strerror}") from error

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file and, unless an exception is on its way, put it in place."""
        self._stream.close()
        if kind is None:
            os.replace(self.partial, self.path)
        elif self._rows == 0:
            self.partial.unlink(missing_ok=True)


WRITERS: Final = {".csv": CsvWriter}


def open_writer(path: Path) -> CsvWriter:
    """Open the writer for the suffix of `path`. Raises OutputError."""
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise OutputError(f"{path}: cannot write this format; use one of {', '.join(WRITERS)}")
    return writer(path)

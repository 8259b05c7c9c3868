"""Rows to a file: one writer a suffix; a new format is one new file and one line in `WRITERS`.

While a run goes on the rows stand in `NAME.partial`; the finished file appears under its own name
atomically. The rows themselves are safe in the journal: what is partial is written anew by the next run.
"""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from xray_infer.atomic import refusal
from xray_infer.errors import OutputError
from xray_infer.run.results import Columns, Tabular

PARTIAL: Final = ".partial"
STANDARD_OUTPUT: Final = "-"


class Writer(ABC):
    """One format's way of writing rows. A context manager that closes the file and leaves it partial.

    `path` is where the finished file goes; `columns` are those of its rows. Methods raise OutputError, for
    example on a full disk.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path, self.columns = path, columns
        self.partial = path.with_name(path.name + PARTIAL)
        try:
            self._begin()
        except OSError as error:
            raise refusal(path, "cannot write there", error) from error

    def write(self, row: Tabular) -> None:
        """Write one row."""
        try:
            self._write(row)
        except OSError as error:
            raise refusal(self.partial, "cannot write", error) from error

    def note(self, name: str, text: str) -> None:  # noqa: B027  most formats have no place for it
        """Keep a fact of the whole run in the file's metadata, where the format has such."""

    def finish(self) -> None:
        """Complete the file and put it in place."""
        try:
            self._end()
            with self.partial.open("rb") as stream:  # on disk before its name is
                os.fsync(stream.fileno())
            os.replace(self.partial, self.path)
        except OSError as error:
            raise refusal(self.path, "cannot be put in place", error) from error

    @abstractmethod
    def _begin(self) -> None:
        """Open `self.partial`. Raises OSError."""

    @abstractmethod
    def _write(self, row: Tabular) -> None:
        """Append a row. Raises OSError."""

    @abstractmethod
    def _end(self) -> None:
        """Complete and close `self.partial`, once or more often. Raises OSError."""

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        try:
            self._end()
        except OSError:
            if kind is None:
                raise


# Module and class by suffix: one of them is an extra and is loaded only when it is wanted.
WRITERS: Final = {
    ".csv": ("xray_infer.run.writers.csv_file", "CsvWriter"),
    ".jsonl": ("xray_infer.run.writers.jsonl_file", "JsonlWriter"),
    ".parquet": ("xray_infer.run.writers.parquet_file", "ParquetWriter"),
}


def find_writer(path: Path) -> type[Writer]:
    """Return the writer for the suffix of `path`; it opens the file when it is called.

    Raises OutputError for another suffix and for a folder, and MissingExtraError for an extra.
    """
    if path.suffix.lower() not in WRITERS:
        raise OutputError(f"{path}: cannot write this format; use one of {', '.join(WRITERS)}")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; give --out a file name, or {path}{os.sep} for shards")
    module, name = WRITERS[path.suffix.lower()]
    writer: type[Writer] = getattr(importlib.import_module(module), name)
    return writer

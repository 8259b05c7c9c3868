"""Reading and writing results.json, and the parts of a run that is not finished.

Folder of a run:
    parts/request.json   what was asked for; another request in the same folder is refused
    parts/NAME.json      one finished piece of the measurement each, written whole or not at all
    results.json         all of it, when the run is complete

A killed run goes on with the pieces that are missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from xray_infer.atomic import make_folder, write_text
from xray_infer.benchmarks.results_schema import SCHEMA, Results
from xray_infer.errors import DataError

RESULTS_FILE: Final = "results.json"
T = TypeVar("T")


def read_results(path: Path) -> Results:
    """Read results.json, or that of a folder. Raises DataError for what is none of this schema."""
    if path.is_dir():
        path = path / RESULTS_FILE
    try:
        data = path.read_bytes()
        schema = json.loads(data).get("schema")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, AttributeError) as error:
        raise DataError(f"{path}: is no results.json of xray-bench") from error
    if schema != SCHEMA:
        raise DataError(f"{path}: has schema {schema!r}, and this version reads {SCHEMA}; measure again")
    try:
        return msgspec.json.decode(data, type=Results)
    except msgspec.ValidationError as error:
        raise DataError(f"{path}: is no results.json of xray-bench: {error}") from error


def write_results(path: Path, results: Results) -> None:
    """Write results.json, atomically."""
    write_text(path, msgspec.json.encode(results).decode())


class PartStore:
    """The pieces of a run in a folder, each measured once.

    Raises DataError when the folder holds a run of another request.
    """

    def __init__(self, out: Path, request: dict[str, Any]) -> None:
        self.folder = out / "parts"
        make_folder(self.folder)
        asked = self.folder / "request.json"
        text = json.dumps(request, indent=1, sort_keys=True, default=str) + "\n"
        if asked.exists() and asked.read_text(encoding="utf-8") != text:
            raise DataError(
                f"{out}: holds a run of other models, data or options; give another --out, or delete it"
            )
        write_text(asked, text)

    def has(self, name: str) -> bool:
        """Whether the piece is there already."""
        return self._path(name).exists()

    def get(self, name: str, kind: type[T], measure: Callable[[], T]) -> T:
        """Return the piece of that name as a `kind`; measure it first where it is missing."""
        path = self._path(name)
        if path.exists():
            return msgspec.json.decode(path.read_bytes(), type=kind)
        piece = measure()
        write_text(path, msgspec.json.encode(piece).decode())
        return piece

    def _path(self, name: str) -> Path:
        return self.folder / f"{name.replace('/', '_')}.json"

"""One image's measurements a line: `explain.jsonl` in the folder of `--out`; a stopped run goes on from it.

The first line is {"explain": 1, "run": {...}}: what the measurements depend on. Each other line is one
image's record, see `measuring`. A line counts once its newline is there; a torn one is cut off.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from xray_infer.atomic import make_folder, refusal
from xray_infer.closing import Closing
from xray_infer.errors import OutputError

SCHEMA: Final = 1
FILE_NAME: Final = "explain.jsonl"


class Records(Closing):
    """The records of one run, by their image's digest; a context manager.

    `append` may be called from any thread. Raises OutputError when the file cannot be written, or is of a run
    of another kind.
    """

    def __init__(self, folder: Path, run: Mapping[str, Any]) -> None:
        make_folder(folder)
        self.path = folder / FILE_NAME
        self.found: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        header = json.dumps({"explain": SCHEMA, "run": run}, separators=(",", ":"))
        try:
            kept = self._read(header) if self.path.exists() else 0
            self._file = self.path.open("ab")
            self._file.truncate(kept)
            if not kept:
                self._write(header)
        except OSError as error:
            raise refusal(self.path, "cannot be written", error) from error

    def _read(self, header: str) -> int:
        """Take in the records of an earlier run; return the bytes of its whole lines."""
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        first, *lines = whole.decode().splitlines() or [""]
        if first and first != header:
            raise OutputError(
                f"{self.path}: measured with another model, data or options; give another --out"
            )
        for line in lines:
            record = json.loads(line)
            self.found[record["digest"]] = record
        return len(whole)

    def append(self, record: Mapping[str, Any]) -> None:
        """Keep one image's record, in the file at once."""
        with self._lock:
            self._write(json.dumps(record, separators=(",", ":")))
            self.found[record["digest"]] = dict(record)

    def _write(self, line: str) -> None:
        try:
            self._file.write(line.encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise refusal(self.path, "cannot be written", error) from error

    def close(self) -> None:
        """Close the file, and keep it."""
        self._file.close()

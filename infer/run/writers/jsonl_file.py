"""JSON Lines (https://jsonlines.org): one object a row, UTF-8; null where a value is absent."""

from __future__ import annotations

import json
import math

from xray_infer.run.results import Tabular
from xray_infer.run.writers import Writer


def to_line(row: Tabular) -> str:
    """Return one row as a line of JSON, without its newline. A score that is no finite number is null."""
    values = {key: None if _has_no_number(value) else value for key, value in row.values().items()}
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def _has_no_number(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


class JsonlWriter(Writer):
    """See `xray_infer.run.writers.Writer`."""

    def _begin(self) -> None:
        self._stream = self.partial.open("w", newline="\n", encoding="utf-8")

    def _write(self, row: Tabular) -> None:
        self._stream.write(to_line(row) + "\n")
        self._stream.flush()

    def _end(self) -> None:
        self._stream.close()

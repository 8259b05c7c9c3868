"""CSV: RFC 4180's quoting, UTF-8, a header line, newlines as the text has them."""

from __future__ import annotations

import csv
from typing import Final

from xray_infer.run.results import DECIMALS, Tabular
from xray_infer.run.writers import Writer

# A spreadsheet runs a cell that begins so as a formula, or strips what hides that
# (https://owasp.org/www-community/attacks/CSV_Injection); an apostrophe in front makes it text.
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class CsvWriter(Writer):
    """See `xray_infer.run.writers.Writer`. Numbers have six decimals, absent values are empty."""

    def _begin(self) -> None:
        self._stream = self.partial.open("w", newline="", encoding="utf-8")
        self._csv = csv.writer(self._stream, lineterminator="\n")
        self._quoting = csv.writer(self._stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
        self._csv.writerow(map(_cell, self.columns))

    def _write(self, row: Tabular) -> None:
        cells = [_cell(value) for value in row.values().values()]
        # Python before 3.13 leaves a lone carriage return unquoted, where readers see the end of a line.
        writer = self._quoting if any("\r" in cell for cell in cells) else self._csv
        writer.writerow(cells)
        self._stream.flush()

    def _end(self) -> None:
        self._stream.close()


def _cell(value: str | float | int | None) -> str:
    if isinstance(value, float):
        return f"{value:.{DECIMALS}f}"
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text

"""Apache Parquet, by pyarrow: a fixed schema, written a row group at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from xray_infer.errors import extra_for
from xray_infer.run.results import ROW_SCHEMA, Cells, Tabular
from xray_infer.run.writers import Writer

with extra_for("writing Parquet", "parquet"):
    import pyarrow
    import pyarrow.parquet

ROWS_A_GROUP: Final = 10_000


class ParquetWriter(Writer):
    """See `xray_infer.run.writers.Writer`. Text columns are never null; numbers are where they are absent.

    The file's key-value metadata has `xray_infer.row_schema`, and `xray_infer.alarm`, the alarm of the run's
    record as JSON. Memory holds one row group.
    """

    def _begin(self) -> None:
        types: dict[type, Callable[[], Any]] = {
            str: pyarrow.string,
            float: pyarrow.float64,
            int: pyarrow.int32,
        }
        self._schema = pyarrow.schema(
            [
                pyarrow.field(name, types[kind](), nullable=kind is float)
                for name, kind in self.columns.items()
            ],
            metadata={"xray_infer.row_schema": str(ROW_SCHEMA)},
        )
        self._stream = self.partial.open("wb")
        self._parquet = pyarrow.parquet.ParquetWriter(self._stream, self._schema, compression="zstd")
        self._rows: list[Cells] = []

    def _write(self, row: Tabular) -> None:
        self._rows.append(row.values())
        if len(self._rows) == ROWS_A_GROUP:
            self._write_group()

    def note(self, name: str, text: str) -> None:
        """See `Writer.note`."""
        self._parquet.add_key_value_metadata({f"xray_infer.{name}": text})

    def _end(self) -> None:
        if self._stream.closed:
            return
        if self._rows:
            self._write_group()
        self._parquet.close()
        self._stream.close()

    def _write_group(self) -> None:
        self._parquet.write_table(pyarrow.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []

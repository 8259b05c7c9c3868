#!/usr/bin/env bash
# Key-value metadata that pyarrow's ParquetWriter adds late is in the file, and not in the schema that pyarrow reads.
#
# pyarrow 26.0.1, CPython 3.11, Linux x86-64.
#
# `ParquetWriter.add_key_value_metadata` keeps facts that are known only once all rows are written. `read_metadata` gives them
# back, beside those of the schema. `read_schema`, and the schema of the table that `read_table` returns, have only what the
# schema had when the writer was opened, because pyarrow takes it from a copy of the schema in the footer (ARROW:schema). A
# reader that looks for `table.schema.metadata`, which works for metadata given in time, finds nothing and is told nothing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv env
env/bin/python -m pip install -q --disable-pip-version-check pyarrow==26.0.1
env/bin/python - <<'PY' | tee seen
import pyarrow
import pyarrow.parquet as parquet

schema = pyarrow.schema([pyarrow.field("x", pyarrow.int32())], metadata={"early": "1"})
with parquet.ParquetWriter("t.parquet", schema) as writer:
    writer.write_table(pyarrow.table({"x": pyarrow.array([1, 2], pyarrow.int32())}, schema=schema))
    writer.add_key_value_metadata({"late": "2"})


def ours(found):
    return sorted(key.decode() for key in found if not key.startswith(b"ARROW:"))


print("read_metadata:", ours(parquet.read_metadata("t.parquet").metadata))
print("read_schema:", ours(parquet.read_schema("t.parquet").metadata))
print("read_table:", ours(parquet.read_table("t.parquet").schema.metadata))
PY
cat > expected <<'TEXT'
read_metadata: ['early', 'late']
read_schema: ['early']
read_table: ['early']
TEXT
diff expected seen && echo "as described"

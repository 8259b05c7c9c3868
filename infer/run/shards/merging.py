"""Shards to one file of results, its rows in the order of the source.

Shards are read once, one at a time; rows wait on disk in stretches of the listing, and each stretch is
sorted in memory. No more than MOST_STRETCHES files are open.
"""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from xray_infer.atomic import refusal
from xray_infer.classes import CLASS_NAMES, check_class_names
from xray_infer.errors import OutputError, extra_for
from xray_infer.run.object_store import is_uri
from xray_infer.run.record import SUFFIX, write_record
from xray_infer.run.results import ROW_SCHEMA, StoredRow, columns
from xray_infer.run.shards import FORMATS
from xray_infer.run.shards.shard_inputs import digest, number_of
from xray_infer.run.shards.shard_store import PLAN, RECORD, Shard, Store
from xray_infer.run.writers import Writer, find_writer

LEAST_STRETCH: Final = 20_000
MOST_STRETCHES: Final = 200


def merge(store: Store, out: str) -> int:
    """Write all rows of a finished run to `out`, a path or a URI, and return their number.

    The record goes beside it, as beside any file of results. Raises OutputError for a run that is not
    finished or not whole, and for a file that cannot be written.
    """
    try:
        return _merge(store, out)
    except (KeyError, TypeError, ValueError) as error:  # what was read is not what a run wrote
        raise OutputError(
            f"{store.location}: its shards are damaged ({type(error).__name__}); "
            "give the command that makes them again"
        ) from error


def _merge(store: Store, out: str) -> int:
    if not is_uri(out):
        return _merge_to_file(store, Path(out))
    place, _, name = out.rpartition("/")
    target = Store(place)
    with tempfile.TemporaryDirectory(prefix="xray-infer-") as temporary:
        local = Path(temporary, name)
        count = _merge_to_file(store, local)
        for path in (local, local.with_name(name + SUFFIX)):
            target.put(path, path.name)
    return count


def _merge_to_file(store: Store, out: Path) -> int:
    plan, record = store.read_json(PLAN), store.read_json(RECORD)
    if plan is None or record is None:
        raise OutputError(f"{store.location}: no shards of xray-infer there")
    if not record.get("finished"):
        done = record.get("beside_the_rows", {}).get("shards_finished", 0)
        raise OutputError(
            f"{store.location}: {done:,} of {plan['shards']:,} shards were finished when last told; "
            "give the command that makes them again"
        )
    if record["row_schema"] != ROW_SCHEMA:
        raise OutputError(f"{store.location}: rows of another version of xray-infer; merge them with that")
    count, form = int(plan["shards"]), str(plan["fingerprint"]["shard_format"])
    if form not in FORMATS:
        raise OutputError(f"{store.where(PLAN)}: shards of an unknown format, {form}")
    images: int = record["counts"]["images"]
    wanted = columns(check_class_names(record["model"].get("class_names", CLASS_NAMES)))
    open_writer = partial(find_writer(out), out, wanted)
    if not out.absolute().parent.is_dir():
        raise OutputError(f"{out}: there is no such folder")
    try:
        with tempfile.TemporaryDirectory(prefix=".xray-infer-", dir=out.absolute().parent) as temporary:
            folder, shards = Path(temporary), [Shard(number, count) for number in range(count)]
            stretches = _deal(store, shards, form, folder, images)
            alarm = json.dumps(record.get("alarm", {}))
            written = _write(stretches, open_writer, out, images, alarm)
    except OSError as error:
        raise refusal(out, "cannot be merged there", error) from error
    write_record(out, {**record, "results": out.name})
    return written


def _deal(store: Store, shards: Sequence[Shard], form: str, folder: Path, images: int) -> list[Path]:
    """Deal all rows into files, a stretch of the listing each, and return these. Raises OutputError."""
    stretch = max(LEAST_STRETCH, -(-images // MOST_STRETCHES))
    paths = [folder / f"stretch-{index}" for index in range(-(-images // stretch))]
    with ExitStack() as stack:
        streams = [stack.enter_context(open(path, "wb")) for path in paths]
        for shard in shards:
            for place, cells in _numbered(store, shard, form, folder):
                if place >= images:
                    raise OutputError(f"{store.where(shard.inputs)}: not of the run that run.json tells of")
                streams[place // stretch].write(json.dumps([place, cells]).encode("ascii") + b"\n")
    return paths


def _write(
    stretches: Sequence[Path], open_writer: Callable[[], Writer], out: Path, images: int, alarm: str
) -> int:
    """Write the rows of all stretches in order, and return their number. Raises OutputError."""
    written = 0
    with open_writer() as writer:
        for path in stretches:
            with open(path, "rb") as stream:
                rows = sorted((json.loads(line) for line in stream), key=lambda row: row[0])
            for place, cells in rows:
                if place != written:
                    raise OutputError(f"{out}: row {written:,} of the source is missing or there twice")
                writer.write(StoredRow({column: cells[column] for column in writer.columns}))
                written += 1
        if written != images:
            raise OutputError(f"{out}: {written:,} rows; the record of the shards tells of {images:,}")
        writer.note("alarm", alarm)
        writer.finish()
    return written


def _numbered(store: Store, shard: Shard, form: str, folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield a shard's rows with their places in the listing. Raises OutputError when they do not fit."""
    again = "give the command that makes them again"
    inputs, counts = store.read(shard.inputs), store.read_json(shard.counts)
    name = shard.rows(form)
    lines = (inputs or b"").splitlines(keepends=True)
    if inputs is None or counts is None or counts["inputs_sha256"] != digest(lines):
        raise OutputError(f"{store.where(name)}: not of the inputs that are listed now; {again}")
    local = folder / name
    store.fetch(name, local)
    if local.stat().st_size != counts["rows_bytes"]:
        raise OutputError(f"{store.where(name)}: {local.stat().st_size:,} bytes, not as it was made; {again}")
    rows = _READERS[form](local)
    places = 0
    for line, cells in zip(lines, rows, strict=False):
        places += 1
        yield number_of(line), cells
    if places != counts["images"] or places != len(lines):
        raise OutputError(f"{store.where(name)}: {places:,} rows for {len(lines):,} inputs; {again}")
    local.unlink()


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    with extra_for("reading Parquet", "parquet"):
        parquet = importlib.import_module("pyarrow.parquet")
    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return rows


def _jsonl_rows(path: Path) -> list[dict[str, Any]]:
    with open(path, encoding="utf-8", newline="\n") as stream:
        return [json.loads(line) for line in stream]


_READERS: Final = {"parquet": _parquet_rows, "jsonl": _jsonl_rows}

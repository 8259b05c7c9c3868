"""Many small objects in an S3 on the loopback interface, listed and classified: the driver's peak memory."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from benchmarks.studies.shards.fixtures import command, merge_command, on_ray
from benchmarks.studies.shards.loopback import loopback
from benchmarks.studies.study_command import FILE, study
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.benchmarks.processes import run_command
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.run.shards.shard_store import Store
from xray_infer.terminal import Report, say

ENGINES: Final[Mapping[str, Sequence[str | int]]] = {"local": ("--workers", 2), "ray": on_ray(2)}


@dataclass(frozen=True, slots=True)
class Listed:
    """One run: its objects and engine, the driver's seconds and peak memory, and what came of the rows.

    `row_bytes`: of a row in the shards. `merge_s` and `merge_mb`: of the command that makes one file of them.
    """

    objects: int
    engine: str
    seconds: float
    peak_mb: float
    rows: int
    names: int
    unread: int
    row_bytes: float
    merge_s: float
    merge_mb: float


def measure_objects(
    counts: Sequence[int], engines: Sequence[str], *, model: Path | None, report: Report
) -> Iterator[Listed]:
    """Classify each number of objects by each engine, and yield each run as it ends."""
    chosen = () if model is None else ("--model", str(model))
    with tempfile.TemporaryDirectory() as scratch, loopback(counts) as variables, environment(variables):
        for count in counts:
            for engine in engines:
                report(f"{count:,} objects, {engine}")
                out = f"s3://results/{count}-{engine}/"
                done = run_command(
                    command(f"s3://films/{count}", out, *ENGINES[engine], *chosen), accepted=(0, 1)
                )
                merged = Path(scratch, "merged.jsonl")
                merging = run_command(merge_command(out, merged))
                sizes = [size for name, size in Store(out).sizes().items() if name.startswith("rows-")]
                with merged.open(encoding="utf-8") as stream:
                    rows = [json.loads(line) for line in stream]
                yield Listed(
                    count,
                    engine,
                    done.seconds,
                    done.peak_mb,
                    len(rows),
                    len({row["path"] for row in rows}),
                    sum(row["status"] == "error" for row in rows),
                    sum(size or 0 for size in sizes) / len(rows),
                    merging.seconds,
                    merging.peak_mb,
                )


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for this process and those that it starts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def objects_table(runs: Sequence[Listed]) -> str:
    """Return Markdown."""
    lines = [
        "| objects | engine | rows | different names | could not be read | seconds | objects/s "
        "| driver's peak memory, MB | bytes a row | merge, s | merge, MB |",
        "|---" * 11 + "|",
    ]
    lines += [
        f"| {one.objects:,} | {one.engine} | {one.rows:,} | {one.names:,} | {one.unread:,} "
        f"| {one.seconds:.0f} | {one.objects / one.seconds:.1f} | {one.peak_mb:.0f} "
        f"| {one.row_bytes:.0f} | {one.merge_s:.1f} | {one.merge_mb:.0f} |"
        for one in runs
    ]
    return "\n".join(lines)


@study("objects")
@click.option(
    "--objects",
    "counts",
    type=click.IntRange(1),
    multiple=True,
    default=(1000, 10_000, 100_000),
    show_default=True,
)
@click.option(
    "--engine",
    "engines",
    type=click.Choice(list(ENGINES)),
    multiple=True,
    default=("ray",),
    show_default=True,
)
@click.option("--model", type=FILE, help="Model file.  [default: the one that ships]")
def main(counts: tuple[int, ...], engines: tuple[str, ...], model: Path | None) -> None:
    """List and classify small objects of an S3 on the loopback interface; the driver's peak memory."""
    runs = []
    for one in measure_objects(counts, engines, model=model, report=say):
        runs.append(one)
        say(f"  {one}")
    click.echo(objects_table(runs))
    click.echo(f"\nmoto's server, one flat prefix. {describe_machine()} {RESEARCH_NOTICE}")


if __name__ == "__main__":
    main()

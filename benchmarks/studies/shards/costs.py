"""What a run into shards is made of, measured apart: planning, what a shard costs, waiting for objects."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.studies.shards.fixtures import command, good_and_bad, on_ray
from xray_infer.benchmarks.processes import FinishedProcess, run_command
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.model.choice import shipped_model
from xray_infer.run.engine import Engine, Task
from xray_infer.run.settings import EngineOptions
from xray_infer.run.sources.folder import FileItem, local_source
from xray_infer.run.sources.remote import RemoteItem
from xray_infer.terminal import Report

OBJECT_BYTES: Final = 1_500_000


@dataclass(frozen=True, slots=True)
class SlowItem:
    """An image in memory that is there after `wait_s`, as an object of a store is."""

    name: str
    data: bytes
    wait_s: float

    def stamp(self) -> str:
        """Return nothing."""
        return ""

    def read(self, limits: Limits) -> bytes:
        """Return the bytes, after a while."""
        time.sleep(self.wait_s)
        return self.data


def measure_waiting(
    folder: Path, latencies_ms: Sequence[float], threads: Sequence[int], *, rounds: int, report: Report
) -> dict[tuple[float, int], list[float]]:
    """Return images/s on one processor by (latency, threads), round by round, of FOLDER's images."""
    data = [one.read(DEFAULT_LIMITS) for one in local_source(folder) if isinstance(one, FileItem)]
    allowed = os.sched_getaffinity(0)
    rates: dict[tuple[float, int], list[float]] = {}
    os.sched_setaffinity(0, {min(allowed)})
    try:
        for number in range(rounds):
            for latency in latencies_ms:
                for count in threads:
                    report(f"round {number + 1} of {rounds}: {latency:g} ms, {count} workers")
                    items = [SlowItem("x", one, latency / 1000) for one in data]
                    with Engine(shipped_model("onnx"), EngineOptions(workers=count)) as engine:
                        list(engine.run(Task(item) for item in items[: 2 * count]))
                        started = time.perf_counter()
                        list(engine.run(Task(item) for item in items))
                        rate = len(items) / (time.perf_counter() - started)
                    rates.setdefault((latency, count), []).append(rate)
    finally:
        os.sched_setaffinity(0, allowed)
    return rates


def measure_planning(counts: Sequence[int], report: Report) -> dict[int, FinishedProcess]:
    """Plan made-up listings of so many objects in processes of their own; no shard is made."""
    found = {}
    for count in counts:
        report(f"planning {count:,} objects")
        with tempfile.TemporaryDirectory() as scratch:
            found[count] = run_command([sys.executable, "-m", __spec__.name, str(count), scratch])
    return found


def measure_shards(folder: Path, *, rounds: int, report: Report) -> list[float]:
    """Return what a shard costs on Ray beside its images, in seconds: many shards against few, one actor."""
    images = [one.path for one in local_source(folder) if isinstance(one, FileItem)]
    smallest = min(images, key=lambda path: path.stat().st_size)
    costs = []
    with tempfile.TemporaryDirectory() as scratch:
        many = Path(scratch, "many")
        many.mkdir()
        for number in range(300):
            os.symlink(smallest.resolve(), many / f"{number:03}{smallest.suffix}")
        for number in range(rounds):
            report(f"round {number + 1} of {rounds}: shards of 1 and of 100")
            seconds = [
                run_command(
                    command(many, f"{scratch}/{number}-{size}/", "--shard-size", size, *on_ray(1)),
                    accepted=(0, 1),
                ).seconds
                for size in (1, 100)
            ]
            costs.append((seconds[0] - seconds[1]) / (300 - 3))
    return costs


def measure_actors(
    folder: Path, *, images: int, shard_size: int, rounds: int, report: Report
) -> dict[int, list[tuple[float, float]]]:
    """Return, by number of actors, (seconds of a run over two images, of one over all), round by round."""
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    with (
        good_and_bad(folder, images, gone=False) as many,
        good_and_bad(folder, 2, gone=False) as few,
        tempfile.TemporaryDirectory() as scratch,
    ):
        for number in range(rounds):
            for actors, pairs in found.items():
                report(f"round {number + 1} of {rounds}: {actors} actors")
                start, whole = (
                    run_command(
                        command(
                            source,
                            f"{scratch}/{number}-{actors}-{source.name}/",
                            *("--shard-size", shard_size, *on_ray(actors)),
                        ),
                        accepted=(0, 1),
                    ).seconds
                    for source in (few, many)
                )
                pairs.append((start, whole))
    return found


def planning_table(found: dict[int, FinishedProcess], *, input_bytes: float) -> str:
    """Return Markdown."""
    lines = ["| objects | seconds | peak memory, MB |", "|---" * 3 + "|"]
    lines += [f"| {count:,} | {one.seconds:.1f} | {one.peak_mb:.0f} |" for count, one in found.items()]
    return "\n".join([*lines, "", f"A line of the listing takes {input_bytes:.0f} bytes."])


def synthetic_objects(count: int) -> Iterator[RemoteItem]:
    """Yield objects as a listing of S3 gives them, in its order."""
    digits = np.random.default_rng(0)
    for number in range(count):
        name = f"study{number // 4:08}/series1/{number:010}.dcm"
        mark = f'{OBJECT_BYTES} "{digits.bytes(16).hex()}"'
        yield RemoteItem(None, f"bucket/scans/{name}", name, OBJECT_BYTES, mark)


@dataclass(frozen=True, slots=True)
class SyntheticSource:
    """A `Source` of them."""

    objects: int
    location: str = "s3://bucket/scans"
    skipped: int = 0

    def __iter__(self) -> Iterator[RemoteItem]:
        return synthetic_objects(self.objects)

    def count(self) -> int:
        """Return their number."""
        return self.objects


def plan(count: int, out: Path) -> None:
    """List and deal so many objects into `out`; whoever makes shards makes none."""
    from xray_infer.run.job import Stop
    from xray_infer.run.progress import Progress, Summary
    from xray_infer.run.shards.shard_job import ShardJob, ShardOptions, worker_settings
    from xray_infer.run.shards.shard_store import Store

    source, model = SyntheticSource(count), shipped_model("onnx")
    wanted = ShardOptions(f"{out}/", source.location, 1000, "parquet")
    settings = worker_settings(wanted, model, None, EngineOptions(workers=1), source)
    job = ShardJob(
        source=source,
        items=source,
        stop=Stop(),
        progress=Progress(lambda: None, quiet=True),
        summary=Summary(model.manifest().class_names),
        settings=settings,
        store=Store(settings.out),
        model=model,
        engine=lambda *given: iter(()),
        shard_size=wanted.size,
    )
    job.run(restart=False)


def line_bytes() -> float:
    """Return the mean length of a line of such a listing."""
    from xray_infer.run.shards.shard_inputs import to_line

    lines = [len(to_line(number, item)) for number, item in enumerate(synthetic_objects(1000))]
    return sum(lines) / len(lines)


if __name__ == "__main__":
    plan(int(sys.argv[1]), Path(sys.argv[2]))

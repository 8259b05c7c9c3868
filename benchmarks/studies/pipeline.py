"""The folder command's parts and the whole: what decoding, inference and the command reach on the same files.

All of it runs in the same rounds, one after the other. The parts work as the engine does, one thread a
processor; the command is a process of its own, and its speed is that of its record, without start-up.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.benchmarks.commands import CommandRun, run_command, spread
from xray_infer.images.limits import DEFAULT_LIMITS
from xray_infer.images.prepare import prepare
from xray_infer.model.processors import default_workers
from xray_infer.model.runtimes import Session
from xray_infer.model.shipped import shipped_model
from xray_infer.run.sources.folder import FileItem, local_source
from xray_infer.terminal import Report

DECODE, INFER = "decode only", "inference only"
# What the command may make beside its rows, and the options for it.
BESIDE: Final[Mapping[str, tuple[str, ...]]] = {
    "heatmap": ("--heatmap", "{scratch}/maps"),
    "report": ("--report", "{scratch}/report.html"),
}
COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "xray-infer": (),
    "xray-infer --workers 1": ("--workers", "1"),
    "xray-infer --workers 1 --threads 2": ("--workers", "1", "--threads", "2"),
    "xray-infer --batch-size 4": ("--batch-size", "4"),
    "xray-infer --isolate": ("--isolate",),
    **{f"xray-infer --{name}": options for name, options in BESIDE.items()},
}
WHOLE: Final = next(iter(COMMANDS))


@dataclass(slots=True)
class Speeds:
    """Images/s of each round; of a command, its peak memory, MB, and its stages' seconds an image, too."""

    images_per_s: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
    stages: list[Mapping[str, float]] = field(default_factory=list)


@contextmanager
def planted(folder: Path, count: int) -> Iterator[Path]:
    """Yield a temporary folder with `count` links to the images of `folder`, each under a name of its own."""
    images = [item.path.resolve() for item in local_source(folder)]
    with tempfile.TemporaryDirectory() as scratch:
        for number, path in zip(range(count), itertools.cycle(images), strict=False):
            os.symlink(path, Path(scratch, f"{number:07}_{path.name}"))
        yield Path(scratch)


def command_for(folder: Path, out: Path, options: Sequence[str] = ()) -> list[str]:
    """Return the folder command as a user would give it, with this Python."""
    filled = [option.format(scratch=out.parent) for option in options]
    return [sys.executable, "-m", "xray_infer", str(folder), "--out", str(out), "--restart", *filled]


def compare_parts(folder: Path, *, rounds: int, report: Report) -> dict[str, Speeds]:
    """Measure the parts and the commands in turn, `rounds` times after a warm-up that does not count."""
    cv2.setNumThreads(1)
    items = [item for item in local_source(folder) if isinstance(item, FileItem)]
    workers = default_workers()
    sessions = shipped_model("onnx").open_many(workers)
    inputs = [prepare(item.read(DEFAULT_LIMITS), limits=DEFAULT_LIMITS).input for item in items]
    speeds = {name: Speeds() for name in (DECODE, INFER, *COMMANDS)}
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(workers) as pool:
        out = Path(scratch, "results.csv")

        def share(number: int) -> range:
            return range(number, len(items), workers)

        def decode(number: int) -> None:
            for index in share(number):
                prepare(items[index].read(DEFAULT_LIMITS), limits=DEFAULT_LIMITS)

        def infer(number: int) -> None:
            _run_all(sessions[number], [inputs[index] for index in share(number)])

        for number in range(rounds + 1):
            report(f"round {number} of {rounds}" if number else "warm-up")
            for name, part in ((DECODE, decode), (INFER, infer)):
                seconds = _timed(lambda part=part: list(pool.map(part, range(workers))))  # type: ignore[misc]
                if number:
                    speeds[name].images_per_s.append(len(items) / seconds)
            for name, options in COMMANDS.items():
                done = run_command(command_for(folder, out, options))
                if number:
                    note(speeds[name], done, out)
    return speeds


def _run_all(session: Session, images: Sequence[NDArray[np.uint8]]) -> None:
    for image in images:
        session.run(image[None])


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def note(speeds: Speeds, done: CommandRun, out: Path) -> None:
    """Add what a finished folder command and its record say."""
    record = json.loads(out.with_name(f"{out.name}.run.json").read_text(encoding="utf-8"))
    images = record["counts"]["images"]
    speeds.images_per_s.append(images / record["time"]["seconds"])
    speeds.peak_mb.append(done.peak_mb)
    stages = record["time"]["seconds_by_stage_over_all_workers"]
    speeds.stages.append({name: seconds / images for name, seconds in stages.items()})


def parts_table(speeds: Mapping[str, Speeds]) -> str:
    """Return Markdown; the ratio compares with the plain command, round by round."""
    lines = [
        "| what runs | images/s, median (min-max) | of the command's speed (min-max) | peak memory, MB "
        "| ms an image: read, decode, infer, draw, write |",
        "|---" * 5 + "|",
    ]
    base = speeds[WHOLE].images_per_s
    for name, one in speeds.items():
        ratios = [rate / other for rate, other in zip(one.images_per_s, base, strict=True)]
        memory = f"{statistics.median(one.peak_mb):.0f}" if one.peak_mb else ""
        stages = ", ".join(
            f"{1000 * statistics.median(stage[part] for stage in one.stages):.1f}"
            for part in (one.stages[0] if one.stages else ())
        )
        lines.append(
            f"| {name} | {spread(one.images_per_s, 1)} | {spread(ratios, 2)} | {memory} | {stages} |"
        )
    return "\n".join(lines)


def bound(speeds: Mapping[str, Speeds]) -> str:
    """Return what decoding and inference would give if they shared the processors without any loss."""
    rates = [
        1 / (1 / decode + 1 / infer)
        for decode, infer in zip(speeds[DECODE].images_per_s, speeds[INFER].images_per_s, strict=True)
    ]
    reached = [rate / most for rate, most in zip(speeds[WHOLE].images_per_s, rates, strict=True)]
    return (
        f"Both parts on the same processors allow {spread(rates, 1)} images/s; "
        f"the command reaches {spread(reached, 2)} of that."
    )

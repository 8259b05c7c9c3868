"""The folder command's parts and the whole: what decoding, inference and the command reach on the same files.

All of it runs in the same rounds, one after the other. The parts work as the engine does, one thread a
processor; the command is a process of its own, and its speed is that of its record, without start-up.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.folder_runs import (
    BESIDE,
    WHOLE,
    Speeds,
    command_for,
    linked_images,
    note,
    parts_table,
)
from benchmarks.studies.rounds import spread
from benchmarks.studies.study_command import folder_argument, rounds_option, study
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.benchmarks.processes import run_command
from xray_infer.host import default_workers
from xray_infer.images.decode import prepare
from xray_infer.images.limits import DEFAULT_LIMITS
from xray_infer.model.choice import shipped_model
from xray_infer.model.runtimes import Session
from xray_infer.run.sources.folder import FileItem, local_source
from xray_infer.terminal import Report, say

DECODE, INFER = "decode only", "inference only"
COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    WHOLE: (),
    "xray-infer --workers 1": ("--workers", "1"),
    "xray-infer --workers 1 --threads 2": ("--workers", "1", "--threads", "2"),
    "xray-infer --batch-size 4": ("--batch-size", "4"),
    "xray-infer --isolate": ("--isolate",),
    **{f"xray-infer --{name}": options for name, options in BESIDE.items()},
}


def compare_parts(folder: Path, *, rounds: int, report: Report) -> dict[str, Speeds]:
    """Measure the parts and the commands in turn, `rounds` times after a warm-up that does not count."""
    cv2.setNumThreads(1)
    items = [item for item in local_source(folder) if isinstance(item, FileItem)]
    workers = default_workers()
    sessions = shipped_model("onnx").open_many(workers)
    made = partial(prepare, preprocessing=sessions[0].manifest.preprocessing, limits=DEFAULT_LIMITS)
    inputs = [made(item.read(DEFAULT_LIMITS)).input for item in items]
    speeds = {name: Speeds() for name in (DECODE, INFER, *COMMANDS)}
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(workers) as pool:
        out = Path(scratch, "results.csv")

        def share(number: int) -> range:
            return range(number, len(items), workers)

        def decode(number: int) -> None:
            for index in share(number):
                made(items[index].read(DEFAULT_LIMITS))

        def infer(number: int) -> None:
            _run_all(sessions[number], [inputs[index] for index in share(number)])

        def in_all_threads(part: Callable[[int], None]) -> None:
            list(pool.map(part, range(workers)))

        for number in range(rounds + 1):
            report(f"round {number} of {rounds}" if number else "warm-up")
            for name, part in ((DECODE, decode), (INFER, infer)):
                seconds = _timed(partial(in_all_threads, part))
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


@study("pipeline")
@folder_argument
@click.option("--images", type=click.IntRange(1), default=352, show_default=True, help="Links to FOLDER's.")
@rounds_option(5)
def main(folder: Path, images: int, rounds: int) -> None:
    """Time the folder command on FOLDER's images beside decoding alone and inference alone."""
    with linked_images(folder, images) as many:
        speeds = compare_parts(many, rounds=rounds, report=say)
    click.echo(parts_table(speeds))
    click.echo(f"\n{bound(speeds)}\n{images} images, {rounds} interleaved rounds. {describe_machine()}")


if __name__ == "__main__":
    main()

"""What decoding in child processes costs, beside decoding in the process itself."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import click
import cv2
import numpy as np

from benchmarks.studies.rounds import spread
from benchmarks.studies.study_command import folder_argument, rounds_option, study
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.errors import DataError, ImageError
from xray_infer.images.decode import Prepare, Prepared, prepare
from xray_infer.images.isolation import IsolatedPrepare
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.images.preprocess import STUDY, Preprocessing
from xray_infer.run.sources.folder import local_source
from xray_infer.terminal import Report, say

DIRECT: Final = "in the process"
ISOLATED: Final = "in child processes"
MODULE: Final = "benchmarks.studies.isolation"  # also where it runs as __main__: its children import it
CALL_SIZES_MB: Final = (0.1, 1.0, 10.0)
_WITH_PIXELS: Final = ", pixels kept for heat maps"


@dataclass(frozen=True, slots=True)
class IsolationCost:
    """`rates`: images/s of each way, one a round; `start_seconds`: of each child.

    `call_ms`: by the size of a file in MB, calls whose decoding does nothing: what is left is the way there
    and back.
    """

    rates: Mapping[str, Sequence[float]]
    start_seconds: Sequence[float]
    call_ms: Mapping[float, Sequence[float]]


def readable_files(folder: Path) -> list[bytes]:
    """Return the content of the folder's images that can be decoded. Raises DataError when there is none."""
    files = []
    for item in local_source(folder):
        try:
            data = item.read(DEFAULT_LIMITS)
            prepare(data, STUDY, limits=DEFAULT_LIMITS)
        except ImageError:
            continue
        files.append(data)
    if not files:
        raise DataError(f"{folder}: no image that can be read")
    return files


def measure_isolation(files: Sequence[bytes], *, rounds: int, threads: int, report: Report) -> IsolationCost:
    """Prepare all files by every way in turn, `rounds` times after a warm-up that does not count."""
    cv2.setNumThreads(1)  # as the command does: the workers are the parallelism
    start_seconds = []
    with ExitStack() as children:
        ways: dict[str, list[Prepare]] = {}
        for keep_pixels, suffix in ((False, ""), (True, _WITH_PIXELS)):
            direct = partial(prepare, preprocessing=STUDY, limits=DEFAULT_LIMITS, keep_pixels=keep_pixels)
            ways[DIRECT + suffix] = [direct] * threads
            isolated = [
                children.enter_context(IsolatedPrepare(STUDY, keep_pixels=keep_pixels))
                for _ in range(threads)
            ]
            ways[ISOLATED + suffix] = list(isolated)
            start_seconds += [_seconds_of_first(one, files[0]) for one in isolated]
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            report(f"round {number} of {rounds}" if number else "warm-up")
            for name, workers in ways.items():
                started = time.perf_counter()
                _prepare_all(files, workers)
                if number:
                    rates[name].append(len(files) / (time.perf_counter() - started))
    return IsolationCost(rates, start_seconds, _call_ms())


def decode_nothing(
    data: bytes, *, preprocessing: Preprocessing, limits: Limits, keep_pixels: bool
) -> Prepared:
    """Stand in for `prepare` in a child, to time the call alone."""
    return Prepared(np.zeros(preprocessing.shape, np.uint8))


def _call_ms(calls: int = 50) -> dict[float, list[float]]:
    call_ms: dict[float, list[float]] = {}
    with IsolatedPrepare(STUDY, prepare=f"{MODULE}:{decode_nothing.__name__}") as isolated:
        for megabytes in CALL_SIZES_MB:
            data = bytes(int(megabytes * 1e6))
            isolated(data)  # the first starts the child, or makes its pages
            call_ms[megabytes] = [1000 * _seconds(isolated, data) for _ in range(calls)]
    return call_ms


def _seconds(prepared_by: Prepare, data: bytes) -> float:
    started = time.perf_counter()
    prepared_by(data)
    return time.perf_counter() - started


def _seconds_of_first(isolated: IsolatedPrepare, data: bytes) -> float:
    """Return what a child's first answer takes longer than its second."""
    return _seconds(isolated, data) - _seconds(isolated, data)


def _prepare_all(files: Sequence[bytes], workers: Sequence[Prepare]) -> None:
    """Prepare every file once; each worker, in a thread of its own, takes the next that is left."""
    left = itertools.count()

    def work(worker: Prepare) -> None:
        while (number := next(left)) < len(files):
            worker(files[number])

    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(work, workers))


def isolation_table(cost: IsolationCost) -> str:
    """Return Markdown: each way, and of the isolated ones what is left of the rate, round by round."""
    return "\n".join(_table_lines(cost))


def _table_lines(cost: IsolationCost) -> Iterator[str]:
    yield "| decoding | images/s, median (min-max) | of the rate in the process (min-max) |"
    yield "|---" * 3 + "|"
    for name, rates in cost.rates.items():
        direct = cost.rates[name.replace(ISOLATED, DIRECT)]
        ratios = [mine / other for mine, other in zip(rates, direct, strict=True)]
        yield f"| {name} | {spread(rates, 1)} | {spread(ratios, 2) if ISOLATED in name else ''} |"
    yield ""
    yield "| file, MB | a call that decodes nothing, ms, median (min-max) |"
    yield "|---" * 2 + "|"
    for megabytes, call_ms in cost.call_ms.items():
        yield f"| {megabytes:g} | {spread(call_ms, 2)} |"
    yield ""
    yield f"A child starts in {spread(cost.start_seconds, 2)} s: once a worker, and again after each crash."


@study("isolation")
@folder_argument
@rounds_option(5)
@click.option(
    "--threads", type=click.IntRange(1), default=2, show_default=True, help="Each with its own child."
)
def main(folder: Path, rounds: int, threads: int) -> None:
    """Time decoding the images of FOLDER in child processes, as --isolate does, beside doing it directly."""
    files = readable_files(folder)
    click.echo(isolation_table(measure_isolation(files, rounds=rounds, threads=threads, report=say)))
    click.echo(
        f"\n{len(files)} files in memory, {threads} threads, {rounds} interleaved rounds. "
        f"{describe_machine()}"
    )


if __name__ == "__main__":
    main()

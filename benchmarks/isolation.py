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

import cv2

from xray_infer.benchmarks.commands import spread
from xray_infer.errors import DataError, ImageError
from xray_infer.isolation import IsolatedPrepare
from xray_infer.limits import DEFAULT_LIMITS
from xray_infer.prepare import Prepare, prepare
from xray_infer.sources.folder import local_source
from xray_infer.terminal import Report

DIRECT: Final = "in the process"
ISOLATED: Final = "in child processes"
_WITH_PIXELS: Final = ", pixels kept for heat maps"


@dataclass(frozen=True, slots=True)
class IsolationCost:
    """`rates`: images/s of each way, one a round; `start_seconds`: of each child; `files`: how many."""

    rates: Mapping[str, Sequence[float]]
    start_seconds: Sequence[float]
    files: int


def readable_files(folder: Path) -> list[bytes]:
    """Return the content of the folder's images that can be decoded. Raises DataError when there is none."""
    files = []
    for item in local_source(folder):
        try:
            data = item.read(DEFAULT_LIMITS)
            prepare(data, limits=DEFAULT_LIMITS)
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
            direct = partial(prepare, limits=DEFAULT_LIMITS, keep_pixels=keep_pixels)
            ways[DIRECT + suffix] = [direct] * threads
            isolated = [
                children.enter_context(IsolatedPrepare(keep_pixels=keep_pixels)) for _ in range(threads)
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
    return IsolationCost(rates, start_seconds, len(files))


def _seconds_of_first(isolated: IsolatedPrepare, data: bytes) -> float:
    """Return what a child's first answer takes longer than its second."""
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        isolated(data)
        seconds.append(time.perf_counter() - started)
    return seconds[0] - seconds[1]


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
    yield f"A child starts in {spread(cost.start_seconds, 2)} s: once a worker, and again after each crash."

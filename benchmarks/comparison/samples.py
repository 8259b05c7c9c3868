"""From results.json to figures that can be compared: one a process and measure, as logarithms of a cost.

A cost is lower where it is better: of images/s it is the inverse. Within a process, latencies are quantiles
of its queries, a stage is the geometric mean over the files (a change in some of them shows, one stray file
hardly).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xray_infer.benchmarks.records.schema import (
    CommandRun,
    PeerRun,
    ProcessRun,
    Results,
    RowKey,
    StageRun,
)

LATENCY: Final = "latency, SingleStream"
THROUGHPUT: Final = "throughput, Offline"
START: Final = "load time, first result, peak memory, energy"
STAGES: Final = "stages"
COMMANDS: Final = "end-to-end command"
PEERS: Final = "peers"
KINDS: Final = (LATENCY, THROUGHPUT, START, STAGES, COMMANDS, PEERS)
# Beyond a quantile above the median there must be this many queries a process for it to be judged.
LEAST_BEYOND: Final = 10
LEAST_MS: Final = 1e-3  # shorter is beyond the clock and would have no logarithm


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured, in which unit, and what more and less of its cost are called.

    A `rate` is shown as one over its cost. What is not `timed`, memory, owes nothing to the machine's speed.
    """

    kind: str
    name: str
    unit: str
    worse: str = "slower"
    better: str = "faster"
    rate: bool = False
    timed: bool = True

    def shown(self, cost: float) -> float:
        """Return the figure itself from the logarithm of its cost."""
        return math.exp(-cost if self.rate else cost)


@dataclass(frozen=True, slots=True)
class Sample:
    """The logarithm of what one process cost, and its place in the run."""

    round: int
    turn: int
    cost: float


Samples: TypeAlias = dict[str, list[Sample]]  # by the name of the row or peer


def memory(kind: str) -> Measure:
    """Return the measure of peak memory of a kind."""
    return Measure(kind, "peak memory", "MB", worse="larger", better="smaller", timed=False)


P50, P90, P99 = (Measure(LATENCY, f"p{level}", "ms") for level in (50, 90, 99))
OFFLINE: Final = Measure(THROUGHPUT, "images/s", "images/s", rate=True)
LATENCIES: Final[dict[Measure, float]] = {P50: 50.0, P90: 90.0, P99: 99.0}
STARTS: Final[dict[Measure, Callable[[ProcessRun], float | None]]] = {
    Measure(START, "load", "s"): lambda run: run.load_s,
    Measure(START, "first result", "s"): lambda run: run.first_result_s,
    memory(START): lambda run: run.peak_mb,
    Measure(START, "energy an image", "J", worse="more energy", better="less energy"): lambda run: (
        run.energy_j / run.energy_images if run.energy_j and run.energy_images else None
    ),
}
COMMAND_MEASURES: Final[dict[Measure, Callable[[CommandRun], float | None]]] = {
    Measure(COMMANDS, "images/s", "images/s", rate=True): lambda run: run.images / run.seconds,
    memory(COMMANDS): lambda run: run.peak_mb,
}
PEER_MEASURES: Final[dict[Measure, Callable[[PeerRun], float | None]]] = {
    Measure(PEERS, "images/s", "images/s", rate=True): lambda run: run.images / run.seconds,
    Measure(PEERS, "start", "s"): lambda run: run.start_s,
    Measure(PEERS, "steady images/s", "images/s", rate=True): lambda run: run.steady_images_per_s,
    memory(PEERS): lambda run: run.peak_mb,
}


def process_measures(first: Results, second: Results) -> dict[Measure, Callable[[ProcessRun], float | None]]:
    """Return what is taken from every process of two runs."""
    batches = best_batches([*first.processes, *second.processes])
    found: dict[Measure, Callable[[ProcessRun], float | None]] = {
        measure: lambda run, level=level: (  # type: ignore[misc]
            float(np.percentile(run.single_stream_ms, level)) if run.single_stream_ms else None
        )
        for measure, level in LATENCIES.items()
    }
    found[OFFLINE] = lambda run: offline_rate(run, batches.get(run.row))
    return {**found, **STARTS}


def gather(runs: Iterable[tuple[str, int, int, float | None]], measure: Measure) -> Samples:
    """Gather (name, round, turn, figure) by name, as costs; without those that could not be measured."""
    found: Samples = {}
    for name, number, turn, figure in runs:
        if figure is not None and figure > 0:
            cost = math.log(figure)
            found.setdefault(name, []).append(Sample(number, turn, -cost if measure.rate else cost))
    return found


def stage_samples(runs: Iterable[StageRun]) -> dict[str, Samples]:
    """Return the samples of every stage, by its name, in the order of the way through the program."""
    found: dict[str, Samples] = {}
    for run in runs:
        for stage, times in run.stages.items():
            if times:
                cost = float(np.log(np.maximum(times, LEAST_MS)).mean())
                sample = Sample(run.round, run.turn, cost)
                found.setdefault(stage, {}).setdefault(run.row.name, []).append(sample)
    return found


def by_round(samples: Iterable[Sample]) -> NDArray[np.float64]:
    """Return the mean cost of each round, in order."""
    rounds: dict[int, list[float]] = {}
    for one in samples:
        rounds.setdefault(one.round, []).append(one.cost)
    return np.array([np.mean(rounds[number]) for number in sorted(rounds)], dtype=np.float64)


def best_batches(runs: Iterable[ProcessRun]) -> Mapping[RowKey, int]:
    """Return each row's batch size with the highest median rate in all processes of both runs.

    Chosen on both together, the choice favours neither.
    """
    rates: dict[RowKey, dict[int, list[float]]] = {}
    for run in runs:
        for batch in {burst.batch for burst in run.offline}:
            rate = offline_rate(run, batch)
            if rate is not None:
                rates.setdefault(run.row, {}).setdefault(batch, []).append(rate)
    return {
        row: max(sorted(found), key=lambda batch: float(np.median(found[batch])))
        for row, found in rates.items()
    }


def offline_rate(run: ProcessRun, batch: int | None) -> float | None:
    """Return images/s in all bursts of a batch size, None without any."""
    bursts = [one for one in run.offline if one.batch == batch]
    seconds = sum(one.seconds for one in bursts)
    return sum(one.images for one in bursts) / seconds if seconds else None


def weak(measure: Measure, queries: int) -> str:
    """Say why a quantile of so many queries a process is too weak to be judged; "" where it is not."""
    level = LATENCIES.get(measure, 0.0)
    beyond = queries * (100 - level) / 100
    if level <= LATENCIES[P50] or beyond >= LEAST_BEYOND:  # a median of few is still a median
        return ""
    return f"weak: {queries} queries a process, {beyond:.3g} beyond it"

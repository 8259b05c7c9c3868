"""From results.json to figures that can be compared: one a process and measure, as logarithms of a cost.

A cost is lower where it is better: of images/s it is the inverse. Within a process, latencies are quantiles
of its queries, a stage is the geometric mean over the files (a change in some of them shows, one stray file
hardly).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from xray_infer.benchmarks.results_schema import CommandRun, PeerRun, ProcessRun, Results, RowKey, StageRun
from xray_infer.benchmarks.speed.speed_figures import log_over_baselines

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
    `level` is that of a latency's quantile, in percent.
    """

    kind: str
    name: str
    unit: str
    worse: str = "slower"
    better: str = "faster"
    rate: bool = False
    timed: bool = True
    level: float | None = None

    def shown(self, cost: float) -> float:
        """Return the figure itself from the logarithm of its cost."""
        return math.exp(-cost if self.rate else cost)


@dataclass(frozen=True, slots=True)
class Sample:
    """The logarithm of what one process cost, in which round, and of how many queries, files or images.

    `over_products` and `over_baselines` are those of its ratio to the matrix product nearest in its round,
    and to the baseline processes around it; None where there are none, and of memory.
    """

    round: int
    cost: float
    count: int
    over_products: float | None = None
    over_baselines: float | None = None


@dataclass(frozen=True, slots=True)
class MachineSample:
    """The logarithm of what a matrix product cost at a place of the run, seconds for 10**9 products."""

    round: int
    turn: int
    cost: float


MeasuredRun: TypeAlias = ProcessRun | StageRun | CommandRun | PeerRun
SampleTable: TypeAlias = dict[tuple[Measure, str], list[Sample]]  # the name of a row or peer is second


def memory(kind: str) -> Measure:
    """Return the measure of peak memory of a kind."""
    return Measure(kind, "peak memory", "MB", worse="larger", better="smaller", timed=False)


LATENCIES: Final = tuple(Measure(LATENCY, f"p{level:g}", "ms", level=level) for level in (50.0, 90.0, 99.0))
OFFLINE: Final = Measure(THROUGHPUT, "images/s", "images/s", rate=True)
STARTS: Final[Mapping[Measure, Callable[[ProcessRun], float | None]]] = {
    Measure(START, "load", "s"): lambda run: run.load_s,
    Measure(START, "first result", "s"): lambda run: run.first_result_s,
    memory(START): lambda run: run.peak_mb,
    Measure(START, "energy an image", "J", worse="more energy", better="less energy"): lambda run: (
        run.energy_j / run.energy_images if run.energy_j and run.energy_images else None
    ),
}
COMMAND_MEASURES: Final[Mapping[Measure, Callable[[CommandRun], float | None]]] = {
    Measure(COMMANDS, "images/s", "images/s", rate=True): lambda run: run.images / run.seconds,
    memory(COMMANDS): lambda run: run.peak_mb,
}
PEER_MEASURES: Final[Mapping[Measure, Callable[[PeerRun], float | None]]] = {
    Measure(PEERS, "images/s", "images/s", rate=True): lambda run: run.images / run.seconds,
    Measure(PEERS, "start", "s"): lambda run: run.start_s,
    Measure(PEERS, "steady images/s", "images/s", rate=True): lambda run: run.steady_images_per_s,
    memory(PEERS): lambda run: run.peak_mb,
}


# The machine's own speed. The first of these that both runs have is what their speeds are measured against.
MACHINE: Final[Mapping[str, Callable[[Results], list[MachineSample]]]] = {
    "products made in the processes": lambda run: [
        MachineSample(one.round, one.turn, -math.log(one.product_gmac_s))
        for one in run.processes
        if one.product_gmac_s > 0
    ],
    "limit, float32": lambda run: [
        MachineSample(one.round, 0, -math.log(one.float32)) for one in run.limits if one.float32 > 0
    ],
    "limit, int8": lambda run: [
        MachineSample(one.round, 0, -math.log(one.int8)) for one in run.limits if one.int8 > 0
    ],
}


def machine_samples(
    first: Results, second: Results
) -> dict[str, tuple[list[MachineSample], list[MachineSample]]]:
    """Return the machine's speed by every measure of it that both runs have."""
    found = {what: (take(first), take(second)) for what, take in MACHINE.items()}
    return {what: both for what, both in found.items() if all(both)}


def both_samples(first: Results, second: Results) -> tuple[SampleTable, SampleTable]:
    """Return the samples of two runs. A row's batch size is the one that is best in both together."""
    batches = best_batches([*first.processes, *second.processes])
    machine = next(iter(machine_samples(first, second).values()), ([], []))
    return _Samples(first, machine[0]).of(batches), _Samples(second, machine[1]).of(batches)


class _Samples:
    """Takes the samples of one run."""

    def __init__(self, run: Results, machine: Sequence[MachineSample]) -> None:
        self._run = run
        self._machine: dict[int, list[MachineSample]] = {}
        for one in machine:
            self._machine.setdefault(one.round, []).append(one)
        self._found: SampleTable = {}

    def of(self, batches: Mapping[RowKey, int]) -> SampleTable:
        """Return all samples by what is measured of whom; without what could not be measured."""
        run = self._run
        for measure, take in _process_measures(batches).items():
            figures = {id(one): take(one) for one in run.processes}
            for process in run.processes:
                over = None
                if measure.timed and not process.baseline:
                    over = log_over_baselines(process, run.processes, lambda one: figures[id(one)])  # noqa: B023
                self._add(measure, process, figures[id(process)], len(process.single_stream_ms), over)
        for stages in run.stages:
            for stage, times in stages.stages.items():
                if times:
                    mean = math.exp(np.log(np.maximum(times, LEAST_MS)).mean())
                    self._add(Measure(STAGES, stage, "ms a file"), stages, mean, len(times))
        for measure, of_command in COMMAND_MEASURES.items():
            for command in run.commands:
                self._add(measure, command, of_command(command), command.images)
        for measure, of_peer in PEER_MEASURES.items():
            for peer in run.peer_runs:
                self._add(measure, peer, of_peer(peer), peer.images)
        return self._found

    def _add(
        self, measure: Measure, run: MeasuredRun, figure: float | None, count: int, over: float | None = None
    ) -> None:
        if figure is None or figure <= 0:
            return
        sign = -1 if measure.rate else 1
        cost, over_products = sign * math.log(figure), None
        if measure.timed and run.round in self._machine:
            nearest = min(self._machine[run.round], key=lambda one: abs(one.turn - run.turn))
            over_products = cost - nearest.cost
        name = run.peer if isinstance(run, PeerRun) else run.row.name
        sample = Sample(run.round, cost, count, over_products, None if over is None else sign * over)
        self._found.setdefault((measure, name), []).append(sample)


def by_round(costs: Iterable[tuple[int, float]]) -> dict[int, float]:
    """Return the mean of each round, in order, of (round, figure)."""
    rounds: dict[int, list[float]] = {}
    for number, cost in costs:
        rounds.setdefault(number, []).append(cost)
    return {number: float(np.mean(rounds[number])) for number in sorted(rounds)}


def best_batches(runs: Iterable[ProcessRun]) -> dict[RowKey, int]:
    """Return each row's batch size with the highest median rate in all processes of both runs.

    Chosen on both together, the choice favours neither.
    """
    rates: dict[RowKey, dict[int, list[float]]] = {}
    for run in runs:
        for batch in {burst.batch for burst in run.offline}:
            rate = _offline_rate(run, batch)
            if rate is not None:
                rates.setdefault(run.row, {}).setdefault(batch, []).append(rate)
    return {
        row: max(sorted(found), key=lambda batch: float(np.median(found[batch])))
        for row, found in rates.items()
    }


def obstacle(measure: Measure, first: Iterable[Sample], second: Iterable[Sample]) -> str:
    """Say why a measure of two runs cannot be tested; "" where it can."""
    counts = [{one.count for one in run} for run in (first, second)]
    if measure.level is not None:
        queries = min(counts[0] | counts[1])
        beyond = queries * (100 - measure.level) / 100
        # A median of few is still a median.
        weak = measure.level > 50 and beyond < LEAST_BEYOND
        return f"weak: {queries} queries a process, {beyond:.3g} beyond it" if weak else ""
    if measure.kind in (STAGES, COMMANDS, PEERS) and counts[0] != counts[1]:
        before, after = (min(one) for one in counts)
        if measure.kind == STAGES:
            return f"other files: {before} and {after}"
        return f"other folders: {before} and {after} images"
    return ""


def _process_measures(
    batches: Mapping[RowKey, int],
) -> dict[Measure, Callable[[ProcessRun], float | None]]:
    """Return what is taken from every process."""
    found: dict[Measure, Callable[[ProcessRun], float | None]] = {
        measure: _quantile(measure.level) for measure in LATENCIES if measure.level is not None
    }
    found[OFFLINE] = lambda run: _offline_rate(run, batches.get(run.row))
    return {**found, **STARTS}


def _quantile(level: float) -> Callable[[ProcessRun], float | None]:
    def take(run: ProcessRun) -> float | None:
        return float(np.percentile(run.single_stream_ms, level)) if run.single_stream_ms else None

    return take


def _offline_rate(run: ProcessRun, batch: int | None) -> float | None:
    """Return images/s in all bursts of a batch size, None without any."""
    bursts = [one for one in run.offline if one.batch == batch]
    seconds = sum(one.seconds for one in bursts)
    return sum(one.images for one in bursts) / seconds if seconds else None

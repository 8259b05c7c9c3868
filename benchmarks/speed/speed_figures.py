"""Latency, throughput and ratios with intervals, from the samples of a run.

The unit of replication is the process: within one, queries share its memory layout, its threads' places and
the state of the machine, so their number says little about another process (Kalibera and Jones 2013). An
interval of a percentile therefore resamples processes; a ratio to the baseline compares each process with the
baselines that ran just before and after it, on the log scale, with Student's t over processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from xray_infer.benchmarks.results_schema import CommandRun, ProcessRun, Results, RowKey
from xray_infer.benchmarks.speed.stability import Doubt, doubts_of
from xray_infer.images.preprocess import STUDY
from xray_infer.study.intervals import Interval, percentile_interval

RESAMPLES: Final = 2000
INT8: Final = "int8"  # recipes whose name begins so are compared with the limit of u8 by s8


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval, None where one process can't give one; `n` is how many gave it."""

    value: float
    interval: Interval | None
    n: int


@dataclass(frozen=True, slots=True)
class RowSpeed:
    """A row's speed. What its run did not measure is None; `ratio` is to the baseline's throughput, or its
    latency where only that was measured; above 1 is faster.

    `limit_share` is the throughput over the machine's limit at the recipe's precision, 0..1 and beyond.
    """

    row: RowKey
    processes: int
    queries: int
    p50_ms: Estimate | None
    p90_ms: Estimate | None
    p99_ms: Estimate | None
    images_per_s: Estimate | None
    images_per_s_range: Interval | None
    batch: int | None
    latency_ratio: Estimate | None
    ratio: Estimate | None
    limit_share: float | None
    load_s: float
    first_result_s: float
    peak_mb: float | None
    energy_j_per_image: float | None
    doubts: tuple[Doubt, ...]


@dataclass(frozen=True, slots=True)
class RowStages:
    """Milliseconds an image by stage: the median over processes of each process's mean, with its range."""

    row: RowKey
    processes: int
    images: int
    stages: dict[str, tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class RowCommand:
    """The user's command over a folder: images/s with start-up, median and range, and its peak memory."""

    row: RowKey
    runs: int
    images: int
    images_per_s: tuple[float, float, float]
    peak_mb: float | None


def speed_rows(results: Results) -> list[RowSpeed]:
    """Return the speed of each row that was measured, in the order of the models."""
    keys = [model.row for model in results.models if any(one.row == model.row for one in results.processes)]
    return [_row(key, results) for key in keys]


def _row(key: RowKey, results: Results) -> RowSpeed:
    mine = [one for one in results.processes if one.row == key]
    singles = [np.array(one.single_stream_ms) for one in mine if one.single_stream_ms]
    rates = [rate for one in mine if (rate := process_rate(one)) is not None]
    images = sum(one.energy_images for one in mine)
    energy = [one.energy_j for one in mine]
    peaks = [one.peak_mb for one in mine if one.peak_mb is not None]
    speed = _median(rates, seed=0) if rates else None
    measured = [joules for joules in energy if joules is not None]
    return RowSpeed(
        row=key,
        processes=len(mine),
        queries=sum(map(len, singles)),
        p50_ms=percentile(singles, 50) if singles else None,
        p90_ms=percentile(singles, 90) if singles else None,
        p99_ms=percentile(singles, 99) if singles else None,
        images_per_s=speed,
        images_per_s_range=(min(rates), max(rates)) if rates else None,
        batch=next((one.offline[0].batch for one in mine if one.offline), None),
        latency_ratio=baseline_ratio(key, results.processes, process_latency),
        ratio=baseline_ratio(key, results.processes, process_rate),
        limit_share=None if speed is None else _share(key, speed.value, results),
        load_s=float(np.median([one.load_s for one in mine])),
        first_result_s=float(np.median([one.first_result_s for one in mine])),
        peak_mb=float(np.median(peaks)) if peaks else None,
        energy_j_per_image=sum(measured) / images if len(measured) == len(energy) and images else None,
        doubts=tuple(doubts_of(mine)),
    )


def process_rate(run: ProcessRun) -> float | None:
    """Return a process's images/s of Offline, None where it has none."""
    seconds = sum(burst.seconds for burst in run.offline)
    return sum(burst.images for burst in run.offline) / seconds if seconds else None


def process_latency(run: ProcessRun) -> float | None:
    """Return queries/s at a process's median latency of SingleStream: higher is faster, as for a rate."""
    return 1000 / float(np.median(run.single_stream_ms)) if run.single_stream_ms else None


def percentile(singles: Sequence[NDArray[np.float64]], which: float, *, seed: int = 0) -> Estimate:
    """Return a percentile of all queries in ms; its interval resamples processes (two at least)."""
    value = float(np.percentile(np.concatenate(singles), which))
    if len(singles) < 2:
        return Estimate(value, None, len(singles))
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(singles), (RESAMPLES, len(singles)))
    # The order of the processes does not matter: equal draws are computed once.
    kinds, places = np.unique(np.sort(drawn, axis=1), axis=0, return_inverse=True)
    values = np.array([np.percentile(np.concatenate([singles[i] for i in kind]), which) for kind in kinds])
    return Estimate(value, percentile_interval(values[np.ravel(places)]), len(singles))


def _median(rates: Sequence[float], *, seed: int) -> Estimate:
    """Return the median over processes, with a percentile interval of resampled processes."""
    value = float(np.median(rates))
    if len(rates) < 2:
        return Estimate(value, None, len(rates))
    drawn = np.random.default_rng(seed).choice(rates, (RESAMPLES, len(rates)))
    return Estimate(value, percentile_interval(np.median(drawn, axis=1)), len(rates))


def baseline_ratio(
    key: RowKey, processes: Sequence[ProcessRun], figure: Callable[[ProcessRun], float | None]
) -> Estimate | None:
    """Return how many times as fast a row is as its baseline, None where that was not measured.

    Each process is compared with the geometric mean of the baselines next before and after it in its round.
    The baseline's own ratio is 1 by definition.
    """
    mine = [one for one in processes if one.row == key]
    if mine and all(one.baseline for one in mine):
        return Estimate(1.0, None, len(mine)) if figure(mine[0]) is not None else None
    logs = [ratio for one in mine if (ratio := log_over_baselines(one, processes, figure)) is not None]
    return geometric(logs) if logs else None


def log_over_baselines(
    run: ProcessRun, processes: Sequence[ProcessRun], figure: Callable[[ProcessRun], float | None]
) -> float | None:
    """Return the logarithm of a process's figure over the baselines next before and after it in its round.

    Of two it is their geometric mean; None where the process or both of them lack the figure.
    """
    beside = [
        one
        for one in processes
        if one.baseline and one.round == run.round and one.row.method == run.row.method
    ]
    before = max((one for one in beside if one.turn < run.turn), key=lambda one: one.turn, default=None)
    after = min((one for one in beside if one.turn > run.turn), key=lambda one: one.turn, default=None)
    bases = [value for one in (before, after) if one is not None and (value := figure(one)) is not None]
    own = figure(run)
    if own is None or not bases:
        return None
    return math.log(own) - float(np.mean(np.log(bases)))


def geometric(logs: Sequence[float]) -> Estimate:
    """Return the geometric mean of ratios given as logarithms, with Student's t interval (two at least)."""
    mean, n = float(np.mean(logs)), len(logs)
    if n < 2:
        return Estimate(math.exp(mean), None, n)
    half = float(stats.t.ppf(0.975, n - 1) * np.std(logs, ddof=1) / math.sqrt(n))
    return Estimate(math.exp(mean), (math.exp(mean - half), math.exp(mean + half)), n)


def limit_images_per_s(recipe: str, results: Results) -> float | None:
    """Return images/s of 224 pixels, at a recipe's precision and the machine's rate of matrix products."""
    if not results.limits:
        return None
    rates = [one.int8 if recipe.startswith(INT8) else one.float32 for one in results.limits]
    return float(np.median(rates)) / results.gmac


def _share(key: RowKey, images_per_s: float, results: Results) -> float | None:
    limit = limit_images_per_s(key.recipe, results)
    if limit is None:
        return None
    side = next(one.preprocessing.side for one in results.models if one.row == key)
    return images_per_s / limit * (side / STUDY.side) ** 2


def stage_rows(results: Results) -> list[RowStages]:
    """Return the stages of each row that has them."""
    found = []
    for key in [model.row for model in results.models]:
        mine = [one for one in results.stages if one.row == key]
        if not mine:
            continue
        stages = {}
        for name in mine[0].stages:
            means = [float(np.mean(one.stages[name])) for one in mine if one.stages[name]]
            if means:
                stages[name] = (float(np.median(means)), min(means), max(means))
        images = len(next(iter(mine[0].stages.values()), []))
        found.append(RowStages(key, len(mine), images, stages))
    return found


def command_rows(results: Results) -> list[RowCommand]:
    """Return the whole command's figures of each row that has them."""
    found = []
    for key in [model.row for model in results.models]:
        mine = [one for one in results.commands if one.row == key]
        if mine:
            found.append(_command(key, mine))
    return found


def _command(key: RowKey, runs: Sequence[CommandRun]) -> RowCommand:
    rates = [one.images / one.seconds for one in runs]
    peaks = [one.peak_mb for one in runs if one.peak_mb is not None]
    peak = float(np.median(peaks)) if peaks else None
    figures = (float(np.median(rates)), min(rates), max(rates))
    return RowCommand(key, len(runs), runs[0].images, figures, peak)

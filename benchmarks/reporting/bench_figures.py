"""All figures of a run, each worked out once, and how they are written in tables.

Peers' speed, memory and start, and how many times as fast the command that ships is, round by round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from xray_infer.benchmarks.accuracy.accuracy_figures import (
    Against,
    RowAccuracy,
    Share,
    accuracy_rows,
    between_methods,
)
from xray_infer.benchmarks.peers.registry import SHIPPED
from xray_infer.benchmarks.results_schema import Guess, PeerRun, Results, RowKey
from xray_infer.benchmarks.speed.speed_figures import (
    Estimate,
    RowCommand,
    RowSpeed,
    RowStages,
    command_rows,
    geometric,
    speed_rows,
    stage_rows,
)
from xray_infer.study.intervals import number, percent, wilson_interval

Middle = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PeerFigures:
    """A peer over the folder: medians with their ranges; `ours` and `ours_steady` above 1 say that the
    command that ships is faster, end to end and after the first answer."""

    name: str
    runs: int
    images: int
    images_per_s: Middle
    steady_images_per_s: Middle
    start_s: Middle
    peak_mb: float | None
    ours: Estimate | None
    ours_steady: Estimate | None


def peer_figures(results: Results) -> list[PeerFigures]:
    """Return the figures of every peer that ran, in their order."""
    found = []
    shipped = {one.round: one for one in results.peer_runs if one.peer == SHIPPED}
    for peer in results.peers:
        runs = [one for one in results.peer_runs if one.peer == peer.name]
        if runs:
            found.append(_figures(peer.name, runs, shipped))
    return found


def _figures(name: str, runs: list[PeerRun], shipped: dict[int, PeerRun]) -> PeerFigures:
    pairs = [(shipped[one.round], one) for one in runs if one.round in shipped]
    peaks = [one.peak_mb for one in runs if one.peak_mb is not None]
    whole = [math.log(_rate(ours) / _rate(one)) for ours, one in pairs]
    steady = [math.log(ours.steady_images_per_s / one.steady_images_per_s) for ours, one in pairs]
    itself = name == SHIPPED
    return PeerFigures(
        name=name,
        runs=len(runs),
        images=runs[0].images,
        images_per_s=_middle([_rate(one) for one in runs]),
        steady_images_per_s=_middle([one.steady_images_per_s for one in runs]),
        start_s=_middle([one.start_s for one in runs]),
        peak_mb=float(np.median(peaks)) if peaks else None,
        ours=None if itself or not whole else geometric(whole),
        ours_steady=None if itself or not steady else geometric(steady),
    )


def _rate(run: PeerRun) -> float:
    return run.images / run.seconds


def _middle(values: list[float]) -> Middle:
    return float(np.median(values)), min(values), max(values)


SHORT: dict[str, str] = {"feature_extraction": "feature extraction", "fine_tuning": "fine-tuning"}


@dataclass(frozen=True, slots=True)
class BenchFigures:
    """The figures of a run; what was not measured is empty."""

    results: Results
    accuracy: dict[RowKey, RowAccuracy]
    external: dict[RowKey, RowAccuracy]
    methods: list[tuple[RowKey, Against]]
    speed: dict[RowKey, RowSpeed]
    stages: list[RowStages]
    commands: list[RowCommand]
    peers: list[PeerFigures]

    @property
    def keys(self) -> list[RowKey]:
        """Return the rows in order."""
        return [model.row for model in self.results.models]

    def megabytes(self, key: RowKey) -> str:
        """Return a file's size in units of 10**6 bytes, "" for a row that has answers and no file."""
        size = next(one.size_bytes for one in self.results.models if one.row == key)
        return f"{size / 1e6:.1f}" if size else ""

    def failures(self) -> list[RowKey]:
        """Return the rows whose accuracy is below 99 % of their reference's."""
        return [key for key, one in self.accuracy.items() if one.passes_99 is False]


def gather(results: Results) -> BenchFigures:
    """Work out all figures of a run."""
    seed = int(results.options.get("seed", 0))
    return BenchFigures(
        results=results,
        accuracy={one.row: one for one in accuracy_rows(results, seed=seed)},
        external={one.row: one for one in accuracy_rows(results, "external", seed=seed)},
        methods=between_methods(results, seed=seed),
        speed={one.row: one for one in speed_rows(results)},
        stages=stage_rows(results),
        commands=command_rows(results),
        peers=peer_figures(results),
    )


def title(key: RowKey) -> str:
    """Return a row's name for people."""
    return f"{SHORT[key.method]}, {key.format} {key.recipe} in {key.runtime}"


def share(one: Share | None) -> str:
    """Return a proportion with Wilson's interval."""
    return "" if one is None else percent(one.value, one.interval)


def share_of(hits: int, images: int) -> Share:
    """Return a proportion."""
    return Share(images, hits, wilson_interval(hits, images))


def guess_share(guess: Guess) -> Share:
    """Return a guess's accuracy."""
    return share_of(guess.hits, guess.images)


def estimate(one: Estimate | None, digits: int = 1) -> str:
    """Return an estimate with its interval."""
    return "" if one is None else number(one.value, digits, one.interval)


def ratio(one: Estimate | None) -> str:
    """Return how many times as fast, with its interval; a slow row keeps two digits that say something."""
    return "" if one is None else estimate(one, 2 if one.value >= 0.1 else 3)


def middle(figures: tuple[float, float, float], digits: int = 1) -> str:
    """Return "median (smallest to largest)"."""
    return number(figures[0], digits, figures[1:])

"""Peers' speed, memory and start, and how many times as fast the command that ships is, round by round."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from xray_infer.benchmarks.peers.registry import SHIPPED
from xray_infer.benchmarks.results_schema import PeerRun, Results
from xray_infer.benchmarks.speed.speed_figures import Estimate, geometric

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

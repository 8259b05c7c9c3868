"""What of two runs changed in speed and memory: of each measure of each row, stage, command and peer.

What a change is measured against:
    a row in a runtime    the baseline processes of its method around it in the run, which the machine slowed
                          as much. It must also show, in size and direction, beside the machine's matrix
                          products: else a baseline that became faster would make every other row slower.
    baselines, stages, commands, peers
                          the machine's nearest matrix product of the same round, and in size and direction
                          plainly: products and networks do not feel every neighbour alike.
    memory                nothing
    where not both runs have products    nothing
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, TypeVar

from xray_infer.benchmarks.comparison.speed_samples import (
    KINDS,
    MachineSample,
    Measure,
    Sample,
    both_samples,
    by_round,
    machine_samples,
    obstacle,
)
from xray_infer.benchmarks.comparison.welch import Change, welch
from xray_infer.benchmarks.results_schema import Results

BASELINE: Final = "the baseline"
PRODUCTS: Final = "the matrix products"
NOTHING: Final = "nothing"
AnySample = TypeVar("AnySample", Sample, MachineSample)


@dataclass(frozen=True, slots=True)
class MachineSpeed:
    """How fast the machine itself was in two runs: 10**9 multiply-accumulates a second in matrix products.

    `change` is of time, so above 0 where B was slower; None with fewer than two rounds.
    """

    what: str
    first: float
    second: float
    change: Change | None


@dataclass(frozen=True, slots=True)
class SpeedChange:
    """A measure of a row or peer in two runs before it is decided on.

    `first` and `second` are medians over processes, in the measure's unit, `rounds` their numbers of rounds.
    `judged` is against `against`; `beside` is the logarithm of the second view that must agree, None without
    one. `judged` is None, and `note` says why, where there is no test.
    """

    measure: Measure
    subject: str
    first: float
    second: float
    rounds: tuple[int, int]
    raw: Change | None
    judged: Change | None
    against: str
    beside: float | None
    note: str


def machine_speeds(first: Results, second: Results) -> list[MachineSpeed]:
    """Return the change of the machine's speed by every measure of it that both runs have."""
    found = []
    for what, both in machine_samples(first, second).items():
        before, after = (math.exp(-median(one.cost for one in run)) for run in both)
        change = _compare(both, lambda one: one.cost)
        found.append(MachineSpeed(what, before, after, change))
    return found


def speed_changes(first: Results, second: Results) -> list[SpeedChange]:
    """Return the change of everything that both runs have, kind by kind."""
    before, after = both_samples(first, second)
    both = [key for key in before if key in after]
    return [
        _change(measure, name, (before[measure, name], after[measure, name]))
        for measure, name in sorted(both, key=lambda key: KINDS.index(key[0].kind))
    ]


def _change(measure: Measure, name: str, runs: tuple[Sequence[Sample], Sequence[Sample]]) -> SpeedChange:
    raw = _compare(runs, lambda one: one.cost)
    judged, against, beside = _view(
        raw,
        _compare(runs, lambda one: one.over_products),
        _compare(runs, lambda one: one.over_baselines),
    )
    note = obstacle(measure, *runs) or ("" if judged is not None else "one round: no test")
    middles = [measure.shown(median(one.cost for one in run)) for run in runs]
    rounds = [len({one.round for one in run}) for run in runs]
    return SpeedChange(
        measure=measure,
        subject=name,
        first=middles[0],
        second=middles[1],
        rounds=(rounds[0], rounds[1]),
        raw=raw,
        judged=None if note else judged,
        against=against,
        beside=beside,
        note=note,
    )


def _compare(
    runs: Sequence[Sequence[AnySample]], figure: Callable[[AnySample], float | None]
) -> Change | None:
    """Return the change of a figure from run to run, a mean a round; samples without it do not count."""
    first, second = (
        list(by_round((one.round, known) for one in run if (known := figure(one)) is not None).values())
        for run in runs
    )
    return welch(first, second)


def _view(
    raw: Change | None, over_products: Change | None, over_baselines: Change | None
) -> tuple[Change | None, str, float | None]:
    """Return the change that is judged, against what, and the logarithm of the view beside it."""
    if over_baselines is not None:
        return over_baselines, BASELINE, None if over_products is None else over_products.log
    if over_products is not None:
        return over_products, PRODUCTS, None if raw is None else raw.log
    return raw, NOTHING, None

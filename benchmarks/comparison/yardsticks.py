"""A row's processes over what was measured beside them, run by run, and what changed of that ratio.

Two yardsticks: the baseline processes of the row's method, and the machine's own speed in matrix products,
which every process makes. Runs without processes have the limits, a figure a round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xray_infer.benchmarks.comparison.estimate import Change, changes
from xray_infer.benchmarks.comparison.pairing import nearest
from xray_infer.benchmarks.comparison.samples import Sample, Samples, by_round
from xray_infer.benchmarks.records.schema import Results

Two: TypeAlias = tuple[Results, Results]
PROCESSES: Final = "products made in the processes"


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What both runs measured of one thing beside the rows; `nearby` where its turns are those of the run."""

    first: Sequence[Sample]
    second: Sequence[Sample]
    nearby: bool = True

    def change(self) -> Change | None:
        """Return its own change; processes of a round are one figure, for they share a time."""
        return changes([(by_round(self.first), by_round(self.second))])[0]


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast the machine itself was in two runs: 10**9 multiply-accumulates a second in matrix products.

    `change` is of time, so above 0 where B was slower; None with fewer than two rounds.
    """

    what: str
    first: float
    second: float
    change: Change | None


def machine_yardsticks(runs: Two) -> dict[str, Yardstick]:
    """Return the products made in the processes, then the limits, where both runs have them.

    The first is what rows are held against. Limits have no place in the run.
    """
    take: Mapping[str, Callable[[Results], list[Sample]]] = {
        PROCESSES: lambda one: [
            Sample(run.round, run.turn, -math.log(run.product_gmac_s))
            for run in one.processes
            if run.product_gmac_s > 0
        ],
        "limit, float32": lambda one: [
            Sample(run.round, 0, -math.log(run.float32)) for run in one.limits if run.float32 > 0
        ],
        "limit, int8": lambda one: [
            Sample(run.round, 0, -math.log(run.int8)) for run in one.limits if run.int8 > 0
        ],
    }
    found = {what: Yardstick(of(runs[0]), of(runs[1]), nearby=what == PROCESSES) for what, of in take.items()}
    return {what: one for what, one in found.items() if one.first and one.second}


def machine_speeds(runs: Two) -> list[Speed]:
    """Return the change of the machine's speed by every measure of it."""
    return [
        Speed(
            what=what,
            first=math.exp(-median(sample.cost for sample in one.first)),
            second=math.exp(-median(sample.cost for sample in one.second)),
            change=one.change(),
        )
        for what, one in machine_yardsticks(runs).items()
    ]


def against(rows: tuple[Samples, Samples], yardsticks: Mapping[str, Yardstick]) -> dict[str, Change]:
    """Return the change of every row that both runs have against its yardstick, by the row's name.

    Process by process where each has figures of its own nearby; else the row's change less the yardstick's.
    """
    paired: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    apart: list[str] = []
    for name, yardstick in yardsticks.items():
        if name not in rows[0] or name not in rows[1]:
            continue
        first = relative_costs(rows[0][name], yardstick.first)
        second = relative_costs(rows[1][name], yardstick.second)
        if first is None or second is None or not yardstick.nearby:
            apart.append(name)
        else:
            paired[name] = first, second
    found = dict(zip(paired, changes(list(paired.values())), strict=True))
    plain = changes([(by_round(rows[0][name]), by_round(rows[1][name])) for name in apart])
    for name, change in zip(apart, plain, strict=True):
        moved = yardsticks[name].change()
        found[name] = None if change is None or moved is None else change.less(moved)
    return {name: change for name, change in found.items() if change is not None}


def relative_costs(row: Sequence[Sample], yardstick: Sequence[Sample]) -> NDArray[np.float64] | None:
    """Return, round by round, a row's cost over that of the figures nearest in the run, as logarithms.

    Of several figures it is their median, for now and then one is slow. None where not every process of the
    row has one of its own.
    """
    near = nearest([one.turn for one in row], [one.turn for one in yardstick])
    if near is None:
        return None
    return by_round(
        [
            replace(one, cost=one.cost - median(yardstick[index].cost for index in mine))
            for one, mine in zip(row, near, strict=True)
        ]
    )

"""Each row's figures of two runs against the yardstick that fits them.

Against what a change is measured:
    a row in a runtime    its method's baseline processes nearby in the run, which the machine slowed as much.
                          It must also show, in size and direction, beside the machine's matrix products:
                          else a baseline that became faster would make every other row slower.
    baselines, stages, commands, peers, and rows of runs without a baseline
                          the machine's matrix products, and in size and direction plainly: products and
                          networks do not feel every neighbour alike.
    memory                nothing
    where not both runs have products    nothing, and it is said
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

from xray_infer.benchmarks.comparison.estimate import Change, changes
from xray_infer.benchmarks.comparison.samples import Measure, Samples, by_round
from xray_infer.benchmarks.comparison.yardsticks import Yardstick, against

BASELINE: Final = "the baseline"
PRODUCTS: Final = "the matrix products"
NOTHING: Final = "nothing"
NO_BASELINES: Final[Mapping[str, Yardstick]] = {}
NO_NOTES: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row's measure in two runs before it is decided on.

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


def judge(
    measure: Measure,
    samples: tuple[Samples, Samples],
    machine: Yardstick | None,
    *,
    baselines: Mapping[str, Yardstick] = NO_BASELINES,
    notes: Mapping[str, str] = NO_NOTES,
) -> list[Candidate]:
    """Compare one measure of every subject that both runs have.

    `baselines` are the yardsticks of subjects that have one, `notes` why a subject can't be judged.
    """
    first, second = samples
    common = [name for name in first if name in second]
    plain = changes([(by_round(first[name]), by_round(second[name])) for name in common])
    over_baseline: Mapping[str, Change] = {}
    over_products: Mapping[str, Change] = {}
    if measure.timed:
        over_baseline = against(samples, baselines)
        over_products = against(samples, {} if machine is None else dict.fromkeys(common, machine))
    found = []
    for name, raw in zip(common, plain, strict=True):
        counts = [len({one.round for one in run[name]}) for run in samples]
        judged, by, beside = _view(raw, over_products.get(name), over_baseline.get(name))
        note = notes.get(name, "")
        if note:
            judged = None
        elif judged is None:
            note = "one round: no test"
        middles = [measure.shown(median(one.cost for one in run[name])) for run in samples]
        found.append(
            Candidate(
                measure=measure,
                subject=name,
                first=middles[0],
                second=middles[1],
                rounds=(counts[0], counts[1]),
                raw=raw,
                judged=judged,
                against=by,
                beside=beside,
                note=note,
            )
        )
    return found


def _view(
    raw: Change | None, over_products: Change | None, over_baseline: Change | None
) -> tuple[Change | None, str, float | None]:
    """Return the change that is judged, against what, and the logarithm of the view beside it."""
    if over_baseline is not None:
        return over_baseline, BASELINE, None if over_products is None else over_products.log
    if over_products is not None:
        return over_products, PRODUCTS, None if raw is None else raw.log
    return raw, NOTHING, None

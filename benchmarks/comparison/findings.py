"""What counts as a change among everything that was compared.

The family error, 5 %, is for the whole comparison: the chance that two runs of the same program are said to
differ anywhere, and a gate that fails for nothing is soon switched off. Holm's procedure (Scandinavian
Journal of Statistics 6:65, 1979) corrects for all rows and measures together. Its bound holds however tests
depend, and p50 and p90 of one process surely do.

A change of time or memory is called when its corrected p-value is below the family error, and it is larger
than `smallest` by both views. The file's size has no noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from xray_infer.benchmarks.comparison.answer_changes import AnswerChange
from xray_infer.benchmarks.comparison.speed_changes import SpeedChange
from xray_infer.benchmarks.comparison.speed_samples import PEERS
from xray_infer.benchmarks.comparison.welch import Change, holm
from xray_infer.benchmarks.results_schema import Results

NO_DIFFERENCE: Final = "no difference found"
NOT_TESTED: Final = "not tested"
LESS_ACCURATE: Final = "less accurate"
MORE_ACCURATE: Final = "more accurate"
LARGER_FILE: Final = "larger file"
SMALLER_FILE: Final = "smaller file"
OURS: Final = "xray-infer"  # what peers of this name do is this program's doing


@dataclass(frozen=True, slots=True)
class Criteria:
    """`smallest` is the smallest relative change of a time, a rate or a size that counts, 0.03 for 3 %;
    `family_error` the chance of any false alarm in the whole comparison."""

    smallest: float = 0.03
    family_error: float = 0.05


@dataclass(frozen=True, slots=True)
class Ratio:
    """B over A in the measure's own unit (more images/s is above 1), with its interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Finding:
    """A measure of a row in two runs, decided on.

    `against` names what `judged` is measured against, `beside` is the ratio by the second one.
    `findable` is the smallest change that would have been found four times in five, 0.1 for 10 %, None where
    nothing would or nothing was tested.
    """

    kind: str
    subject: str
    measure: str
    unit: str
    first: float
    second: float
    rounds: tuple[int, int]
    raw: Ratio | None
    judged: Ratio | None
    against: str
    beside: float | None
    p_value: float | None
    corrected: float | None
    findable: float | None
    verdict: str
    regression: bool
    note: str


@dataclass(frozen=True, slots=True)
class AnswerFinding:
    """A change of answers with McNemar's p-value corrected, decided on."""

    change: AnswerChange
    corrected: float | None
    verdict: str
    regression: bool


@dataclass(frozen=True, slots=True)
class FileFinding:
    """A model file's size in bytes in two runs."""

    row: str
    first: int
    second: int
    same_file: bool
    verdict: str
    regression: bool


def decide(
    speeds: Sequence[SpeedChange], answers: Sequence[AnswerChange], criteria: Criteria
) -> tuple[list[Finding], list[AnswerFinding]]:
    """Correct all p-values together and say what changed."""
    tested = [one.judged.p_value for one in speeds if one.judged is not None]
    tested += [one.p_value for one in answers if one.p_value is not None]
    corrected = iter(holm(tested))
    first_step = criteria.family_error / max(1, len(tested))  # what Holm asks of the smallest p-value
    findings = [
        _finding(one, None if one.judged is None else next(corrected), first_step, criteria) for one in speeds
    ]
    return findings, [
        _answers(one, None if one.p_value is None else next(corrected), criteria) for one in answers
    ]


def compare_files(first: Results, second: Results, criteria: Criteria) -> list[FileFinding]:
    """Compare the sizes of the rows' files."""
    later = {one.row: one for one in second.models}
    found = []
    for one in first.models:
        other = later.get(one.row)
        if other is None:
            continue
        growth = math.log(other.size_bytes / one.size_bytes) if one.size_bytes and other.size_bytes else 0.0
        verdict = NO_DIFFERENCE
        if abs(growth) > math.log1p(criteria.smallest):
            verdict = LARGER_FILE if growth > 0 else SMALLER_FILE
        found.append(
            FileFinding(
                row=one.row.name,
                first=one.size_bytes,
                second=other.size_bytes,
                same_file=one.sha256 == other.sha256,
                verdict=verdict,
                regression=verdict == LARGER_FILE,
            )
        )
    return found


def _finding(one: SpeedChange, corrected: float | None, first_step: float, criteria: Criteria) -> Finding:
    measure, judged = one.measure, one.judged
    verdict, findable = NOT_TESTED, None
    if judged is not None and corrected is not None:
        least = math.log1p(criteria.smallest)
        views = [judged.log] if one.beside is None else [judged.log, one.beside]
        verdict = NO_DIFFERENCE
        if corrected < criteria.family_error and all(view > least for view in views):
            verdict = measure.worse
        elif corrected < criteria.family_error and all(view < -least for view in views):
            verdict = measure.better
        reach = judged.findable(first_step)
        findable = None if reach is None else max(math.expm1(reach), criteria.smallest)
    return Finding(
        kind=measure.kind,
        subject=one.subject,
        measure=measure.name,
        unit=measure.unit,
        first=one.first,
        second=one.second,
        rounds=one.rounds,
        raw=_ratio(one.raw, rate=measure.rate),
        judged=_ratio(judged, rate=measure.rate),
        against=one.against,
        beside=None if one.beside is None else math.exp(-one.beside if measure.rate else one.beside),
        p_value=None if judged is None else judged.p_value,
        corrected=corrected,
        findable=findable,
        verdict=verdict,
        regression=verdict == measure.worse and (measure.kind != PEERS or one.subject.startswith(OURS)),
        note=one.note,
    )


def _answers(one: AnswerChange, corrected: float | None, criteria: Criteria) -> AnswerFinding:
    verdict = NOT_TESTED
    if corrected is not None:
        verdict = NO_DIFFERENCE
        if corrected < criteria.family_error and one.certain:
            verdict = LESS_ACCURATE if one.difference < 0 else MORE_ACCURATE
    return AnswerFinding(one, corrected, verdict, verdict == LESS_ACCURATE)


def _ratio(change: Change | None, *, rate: bool) -> Ratio | None:
    if change is None:
        return None
    low, high = (min(bound, 50.0) for bound in change.interval())  # e**50 is as good as infinite
    if rate:
        return Ratio(math.exp(-change.log), math.exp(-high), math.exp(min(-low, 50.0)))
    return Ratio(math.exp(change.log), math.exp(low), math.exp(high))

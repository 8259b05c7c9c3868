"""A comparison in Markdown: the verdict, what differs around it, what was found, then every figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from xray_infer.benchmarks.comparison.answer_changes import CHANGED, AnswerChange
from xray_infer.benchmarks.comparison.comparing import Comparison
from xray_infer.benchmarks.comparison.findings import (
    NO_DIFFERENCE,
    NOT_TESTED,
    AnswerFinding,
    FileFinding,
    Finding,
    Ratio,
)
from xray_infer.benchmarks.comparison.speed_samples import KINDS
from xray_infer.benchmarks.comparison.welch import Change

NOTHING: Final = "-"


def page(one: Comparison) -> str:
    """Return the whole of it."""
    parts = [
        one.verdict,
        f"A: {one.first}\nB: {one.second}",
        _lines("Not the same", one.differences),
        _lines("Caution", one.warnings),
        _lines("Not compared", one.only_in_one),
        _lines("Found", list(_found(one))),
        _answers_table(one.answers),
        *(_speed_table(kind, [each for each in one.findings if each.kind == kind]) for kind in KINDS),
        _files_table(one.files),
        _machine_table(one),
        _explanation(one),
        one.notice,
    ]
    return "\n\n".join(part for part in parts if part)


def _found(one: Comparison) -> Iterable[str]:
    """Yield a sentence for every change, regressions first."""
    unremarkable = (NO_DIFFERENCE, NOT_TESTED)
    for each in sorted(one.findings, key=lambda each: not each.regression):
        if each.verdict not in unremarkable:
            yield (
                f"{each.subject}: {each.verdict}, {each.measure} {_figures(each)}; "
                f"{_change(each.judged)} against {each.against}"
            )
    for answer in one.answers:
        change = answer.change
        where = f"{change.row} on {change.set_name}, {change.region}"
        if answer.verdict not in unremarkable:
            yield f"{where}: {answer.verdict}, {change.accuracy[0]:.2%}, then {change.accuracy[1]:.2%}"
        if change.answers == CHANGED and (pair := change.paired) is not None:
            labels = f"{round((1 - pair.agreement) * change.images[0])} of {change.images[0]} labels"
            yield f"{where}: answers changed, {labels}, max dp {pair.max_dp:.2g}"
    for file in one.files:
        if file.verdict not in unremarkable:
            yield f"{file.row}: {file.verdict}, {file.first} bytes, then {file.second}"


def _answers_table(found: Sequence[AnswerFinding]) -> str:
    head = (
        "row",
        "images",
        "accuracy A",
        "accuracy B",
        "B - A [95 %]",
        "only A right / only B right",
        "p",
        "p, corrected",
        "labels alike",
        "max dp / mean dp",
        "answers",
        "file",
        "accuracy",
    )
    return _table("Accuracy", head, (_answers_cells(one, one.change) for one in found))


def _answers_cells(one: AnswerFinding, change: AnswerChange) -> Sequence[str]:
    before, after = change.images
    pair = change.paired
    cells = (NOTHING, NOTHING, NOTHING)
    difference = f"{change.difference:+.2%}"
    if pair is not None:
        difference += " [{:+.2%}, {:+.2%}]".format(*pair.interval)
        cells = (
            f"{pair.only_first} / {pair.only_second}",
            f"{pair.agreement:.2%}",
            f"{pair.max_dp:.2g} / {pair.mean_dp:.2g}",
        )
    return (
        change.row,
        f"{change.set_name}, {change.region}: {before if pair else f'{before} / {after}'}",
        *(f"{share:.2%}" for share in change.accuracy),
        difference,
        cells[0],
        _p(change.p_value),
        _p(one.corrected),
        *cells[1:],
        change.answers,
        {None: "unknown", True: "the same", False: "another"}[change.same_file],
        one.verdict,
    )


def _speed_table(kind: str, found: Sequence[Finding]) -> str:
    head = (
        "row",
        "measure",
        "A",
        "B",
        "rounds",
        "plainly",
        "judged [95 %]",
        "against",
        "by the second view",
        "p",
        "p, corrected",
        "could have found",
        "finding",
    )
    return _table(kind[0].upper() + kind[1:], head, (_speed_cells(one) for one in found))


def _speed_cells(one: Finding) -> Sequence[str]:
    findable = "nothing" if one.findable is None else f"{one.findable:.0%}"
    return (
        one.subject,
        f"{one.measure}, {one.unit}" if one.measure != one.unit else one.unit,
        f"{one.first:.4g}",
        f"{one.second:.4g}",
        f"{one.rounds[0]} / {one.rounds[1]}",
        NOTHING if one.raw is None else f"{one.raw.value - 1:+.1%}",
        _change(one.judged),
        one.against,
        NOTHING if one.beside is None else f"{one.beside - 1:+.1%}",
        _p(one.p_value),
        _p(one.corrected),
        findable if one.verdict != NOT_TESTED else NOTHING,
        one.verdict + (f" ({one.note})" if one.note else ""),
    )


def _files_table(found: Sequence[FileFinding]) -> str:
    return _table(
        "File size",
        ("row", "A, MB", "B, MB", "change", "file", "finding"),
        (
            (
                one.row,
                f"{one.first / 2**20:.2f}",
                f"{one.second / 2**20:.2f}",
                f"{one.second / one.first - 1:+.1%}" if one.first else NOTHING,
                "the same" if one.same_file else "another",
                one.verdict,
            )
            for one in found
        ),
    )


def _machine_table(one: Comparison) -> str:
    return _table(
        "The machine and its limits",
        ("matrix products", "A, GMAC/s", "B, GMAC/s", "time, B over A [95 %]"),
        ((each.what, f"{each.first:.4g}", f"{each.second:.4g}", _time(each.change)) for each in one.machine),
    )


def _explanation(one: Comparison) -> str:
    criteria = one.criteria
    return (
        "A change is called where its p-value (Welch's t-test of logarithms; McNemar's exact test of "
        "answers), corrected by Holm's procedure for all tests together, is below "
        f"{criteria.family_error:g} and it is larger than {criteria.smallest:.1%} by every view shown. "
        "Intervals are "
        'of 95 % each, not corrected. "Could have found" is the smallest change that these rounds would have '
        "shown four times in five; smaller ones may be there. A peer's change fails nothing."
    )


def _figures(one: Finding) -> str:
    unit = "" if one.unit == one.measure else f" {one.unit}"
    return f"{one.first:.4g}{unit}, then {one.second:.4g}"


def _time(change: Change | None) -> str:
    if change is None:
        return NOTHING
    low, high = change.interval()
    return _change(Ratio(*(math.exp(min(one, 50.0)) for one in (change.log, low, high))))


def _change(ratio: Ratio | None) -> str:
    if ratio is None:
        return NOTHING
    low, high = (
        f"{bound - 1:+.1%}" if bound < 10 else f"{bound:.1e} times" for bound in (ratio.low, ratio.high)
    )
    return f"{ratio.value - 1:+.1%} [{low}, {high}]"


def _p(value: float | None) -> str:
    return NOTHING if value is None else "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def _lines(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *(f"- {line}" for line in lines)]) if lines else ""


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = ["| " + " | ".join(row) + " |" for row in rows]
    if not body:
        return ""
    return "\n".join([f"## {title}", "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|", *body])

"""The whole comparison of two runs, and its verdict in one line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from xray_infer.benchmarks.comparison.answer_changes import CHANGED, OTHER_IMAGES, ROUNDED, compare_answers
from xray_infer.benchmarks.comparison.findings import (
    LARGER_FILE,
    LESS_ACCURATE,
    MORE_ACCURATE,
    NO_DIFFERENCE,
    NOT_TESTED,
    SMALLER_FILE,
    AnswerFinding,
    Criteria,
    FileFinding,
    Finding,
    compare_files,
    decide,
)
from xray_infer.benchmarks.comparison.run_differences import differences, only_in_one, warnings
from xray_infer.benchmarks.comparison.speed_changes import MachineSpeed, machine_speeds, speed_changes
from xray_infer.benchmarks.results_schema import Results
from xray_infer.classes import RESEARCH_NOTICE

# How subjects are counted in the verdict, worst first.
COUNTED: Final = (
    "slower",
    LESS_ACCURATE,
    "larger",
    LARGER_FILE,
    "more energy",
    "faster",
    MORE_ACCURATE,
    "smaller",
    SMALLER_FILE,
    "less energy",
)
ALWAYS: Final = COUNTED[:2]
MACHINE_ERROR: Final = 0.05  # what is said of the machine fails nothing, and is one test


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from A to B; the file format of `--json`.

    `verdict` is the line that a reader sees first, `regressions` the number of findings that are worse.
    """

    first: str
    second: str
    verdict: str
    regressions: int
    criteria: Criteria
    differences: list[str]
    only_in_one: list[str]
    warnings: list[str]
    machine: list[MachineSpeed]
    machine_verdict: str
    answers: list[AnswerFinding]
    files: list[FileFinding]
    findings: list[Finding]
    notice: str = RESEARCH_NOTICE


def compare(
    first: Results, second: Results, criteria: Criteria, *, names: tuple[str, str] = ("A", "B")
) -> Comparison:
    """Compare two runs; `names` are what they are called, their files."""
    machine = machine_speeds(first, second)
    findings, answers = decide(speed_changes(first, second), compare_answers(first, second), criteria)
    files = compare_files(first, second, criteria)
    told = machine_verdict(machine, criteria)
    return Comparison(
        first=names[0],
        second=names[1],
        verdict=f"{_verdict(findings, answers, files)}; {told}.",
        regressions=sum(one.regression for found in (findings, answers, files) for one in found),
        criteria=criteria,
        differences=differences(first, second),
        only_in_one=only_in_one(first, second),
        warnings=warnings(first, second),
        machine=machine,
        machine_verdict=told,
        answers=answers,
        files=files,
        findings=findings,
    )


def machine_verdict(speeds: Iterable[MachineSpeed], criteria: Criteria) -> str:
    """Say whether the machine itself was faster or slower."""
    change = next((one.change for one in speeds if one.change is not None), None)
    if change is None:
        return "the machine's own speed cannot be compared"
    if change.p_value >= MACHINE_ERROR or abs(change.log) <= math.log1p(criteria.smallest):
        return "no difference found in the machine's own speed"
    return f"the machine {math.exp(abs(change.log)):.2f} times {'slower' if change.log > 0 else 'faster'}"


def _verdict(
    findings: Sequence[Finding], answers: Sequence[AnswerFinding], files: Sequence[FileFinding]
) -> str:
    """Count rows and peers by what was found of them; one may count for several things."""
    judged = [
        *((one.subject, one.verdict) for one in findings),
        *((one.change.row, one.verdict) for one in answers),
    ]
    found = [*judged, *((one.row, one.verdict) for one in files)]
    parts = []
    for word in COUNTED:
        count = len({subject for subject, verdict in found if verdict == word})
        if count or word in ALWAYS:
            parts.append(
                f"{count} {word}" if word not in (LARGER_FILE, SMALLER_FILE) else f"{count} with a {word}"
            )
    changed = {one.change.row for one in answers if one.change.answers == CHANGED}
    moved = {subject for subject, verdict in found if verdict not in (NO_DIFFERENCE, NOT_TESTED)}
    # A file of the same size is no evidence of how fast or right it is.
    tested = {subject for subject, verdict in judged if verdict != NOT_TESTED}
    parts.append(f"{len(tested - moved - changed)} without a difference found")
    untested = {subject for subject, _ in found} - tested - changed
    if untested:
        parts.append(f"{len(untested)} not tested")
    line = ", ".join(parts)
    line += f"; answers changed in {len(changed)}"
    rounded = {one.change.row for one in answers if one.change.answers == ROUNDED} - changed
    if rounded:
        line += f", equal but for rounding in {len(rounded)}"
    if any(one.change.answers == OTHER_IMAGES for one in answers):
        line += "; other images, so accuracy is not tested"
    return line

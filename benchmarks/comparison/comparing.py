"""The whole comparison of two runs: verdict in one line, changes, and what else differs between them.

What else differs is the machine, versions, options, and rows that only one run has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import median
from typing import Any, Final

import numpy as np

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
from xray_infer.benchmarks.comparison.speed_changes import MachineSpeed, machine_speeds, speed_changes
from xray_infer.benchmarks.results_schema import Machine, ProcessRun, Results
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
# What a machine is and what it was set to; load and energy's availability are reported apart.
FIXED: Final = tuple(
    one.name for one in fields(Machine) if one.name not in ("versions", "load_before", "flags", "energy")
)
BUSY: Final = 0.25  # a load of so much of the processors before the run began is somebody else's
RESTLESS: Final = 0.1  # standard deviation of baseline processes over their mean


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
    machine_words = machine_verdict(machine, criteria)
    return Comparison(
        first=names[0],
        second=names[1],
        verdict=f"{_verdict(findings, answers, files)}; {machine_words}.",
        regressions=sum(one.regression for found in (findings, answers, files) for one in found),
        criteria=criteria,
        differences=differences(first, second),
        only_in_one=only_in_one(first, second),
        warnings=warnings(first, second),
        machine=machine,
        machine_verdict=machine_words,
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


def differences(first: Results, second: Results) -> list[str]:
    """Say, a line each, what differs before anything is measured; the machine first."""
    machines = first.machine, second.machine
    lines = [
        f"not the same machine: {name.replace('_', ' ')} {_told(a)}, then {_told(b)}"
        for name in FIXED
        if not _alike(a := getattr(machines[0], name), b := getattr(machines[1], name))
    ]
    gone, new = (sorted(set(one.flags) - set(other.flags)) for one, other in (machines, machines[::-1]))
    if gone or new:
        lines.append(
            f"not the same machine: processor flags only in A: {_list(gone)}; only in B: {_list(new)}"
        )
    lines += _changed("version of", machines[0].versions, machines[1].versions)
    lines += _changed("", {"xray-infer": first.version}, {"xray-infer": second.version})
    lines += _changed("option", first.options, second.options)
    lines += _changed(
        "",
        {"multiply-accumulates an image, 10**9": first.gmac},
        {"multiply-accumulates an image, 10**9": second.gmac},
    )
    given = [{one.row.name: one.preprocessing for one in run.models} for run in (first, second)]
    for name in (one for one in given[0] if one in given[1]):
        told = ({name: f"{one[name].version}, {one[name].side} pixels"} for one in given)
        lines += _changed("preprocessing of", *told)
    for one in first.sets:
        other_set = next((each for each in second.sets if each.name == one.name), None)
        if other_set and other_set.digest != one.digest:
            lines.append(
                f"image set {one.name}: not the same images, {len(one.images)} and {len(other_set.images)}"
            )
    return lines


def only_in_one(first: Results, second: Results) -> list[str]:
    """Say which rows, image sets and peers were measured in one run only, and of what."""
    found: Mapping[str, Callable[[Results], Iterable[str]]] = {
        "model": lambda run: (one.row.name for one in run.models),
        "image set": lambda run: (one.name for one in run.sets),
        "answers": lambda run: (f"{one.row.name} on {one.images}, {one.region}" for one in run.answers),
        "processes": lambda run: (one.row.name for one in run.processes),
        "stages": lambda run: (one.row.name for one in run.stages),
        "commands": lambda run: (one.row.name for one in run.commands),
        "peer": lambda run: (one.peer for one in run.peer_runs),
    }
    lines = []
    for what, names in found.items():
        has = [dict.fromkeys(names(run)) for run in (first, second)]
        for file, mine, other in (("A", *has), ("B", *has[::-1])):
            missing = [name for name in mine if name not in other]
            if missing:
                lines.append(f"only in {file}: {what} {', '.join(missing)}")
    skipped = {one.name: one.skipped for run in (first, second) for one in run.peers if one.skipped}
    return lines + [f"peer {name} was skipped: {reason}" for name, reason in skipped.items()]


def warnings(first: Results, second: Results) -> list[str]:
    """Say what makes either run's times less trustworthy: a busy machine, restless processes."""
    lines = []
    for file, run in (("A", first), ("B", second)):
        load, processors = run.machine.load_before, len(run.machine.affinity) or run.machine.processors
        if load is not None and load > BUSY * processors:
            lines.append(f"{file}: a load of {load:.1f} on {processors} processors before the run began")
        lines += [
            f"{file}: the baseline's processes of {method} are restless, {spread:.0%} about their mean"
            for method, spread in _restlessness(run.processes).items()
            if spread > RESTLESS
        ]
    return lines


def _restlessness(runs: Iterable[ProcessRun]) -> dict[str, float]:
    """Return the coefficient of variation of the baseline processes' median latency, by method."""
    found: dict[str, list[float]] = {}
    for run in runs:
        if run.baseline and run.single_stream_ms:
            found.setdefault(run.row.method, []).append(median(run.single_stream_ms))
    return {name: float(np.std(one, ddof=1) / np.mean(one)) for name, one in found.items() if len(one) > 1}


def _changed(what: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    return [
        f"{what} {name}: {_told(first.get(name))}, then {_told(second.get(name))}".lstrip()
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name)
    ]


def _alike(first: object, second: object) -> bool:
    """Whether two figures are the same; memory is never counted twice to the same page."""
    if isinstance(first, float) and isinstance(second, float):
        return abs(first - second) <= 0.01 * max(abs(first), abs(second))
    return first == second


def _told(value: object) -> str:
    return "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _list(names: list[str]) -> str:
    return " ".join(names) or "none"

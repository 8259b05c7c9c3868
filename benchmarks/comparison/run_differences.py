"""What else differs between two runs: the machine, versions, options, and rows that only one of them has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from statistics import median
from typing import Any, Final

import numpy as np

from xray_infer.benchmarks.results_schema import Machine, ProcessRun, Results

# What a machine is and what it was set to; load and energy's availability are told apart.
FIXED: Final = tuple(
    one.name for one in fields(Machine) if one.name not in ("versions", "load_before", "flags", "energy")
)
BUSY: Final = 0.25  # a load of so much of the processors before the run began is somebody else's
RESTLESS: Final = 0.1  # standard deviation of baseline processes over their mean


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

"""Sessions of the window, one after the other, and tables of them."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.studies.folder_runs import Speeds, command_for, linked_images, note
from benchmarks.studies.rounds import spread
from benchmarks.studies.viewer.session import FILLING, LEAFING, USED, Session
from xray_infer.benchmarks.processes import run_command
from xray_infer.errors import DataError
from xray_infer.terminal import Report

MODULE = "benchmarks.studies.viewer.session"


def run_session(path: Path, how: str) -> Session:
    """Run one window over a file or folder. Raises DataError where it does not come to its end."""
    command = [sys.executable, "-m", MODULE, str(path), repr(time.time()), how]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.strip():
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise DataError(f"the window ended with status {done.returncode}: {lines[-1]}")
    return Session(**json.loads(done.stdout.splitlines()[-1]))


def measure_starts(image: Path, *, rounds: int, report: Report) -> list[Session]:
    """Start the window on one image, `rounds` times after one that does not count."""
    sessions = []
    for number in range(rounds + 1):
        report(f"start {number} of {rounds}" if number else "start: warm-up")
        sessions.append(run_session(image, "start"))
    return sessions[1:]


@dataclass(slots=True)
class Fill:
    """Windows that were filled with one number of images, and the command's speed on the same, by round."""

    sessions: list[Session] = field(default_factory=list)
    command: Speeds = field(default_factory=Speeds)


def measure_fills(folder: Path, counts: Sequence[int], *, rounds: int, report: Report) -> dict[int, Fill]:
    """Fill the window with so many links to the folder's images, each count in turn, `rounds` times.

    Beside it `xray-infer --isolate`, which does the same without a window.
    """
    fills = {count: Fill() for count in counts}
    for number in range(rounds):
        for count, fill in fills.items():
            report(f"round {number + 1} of {rounds}: {count:,} images")
            with linked_images(folder, count) as many, tempfile.TemporaryDirectory() as scratch:
                fill.sessions.append(run_session(many, "fill"))
                out = Path(scratch, "results.csv")
                note(fill.command, run_command(command_for(many, out, ["--isolate"]), accepted=(0, 1)), out)
    return fills


def start_table(sessions: Sequence[Session]) -> str:
    """Return Markdown: when each thing was there, since the process was started."""
    lines = ["| until | ms, median (min-max) |", "|---" * 2 + "|"]
    for name in sessions[0].marks:
        lines.append(f"| {name} | {spread([one.marks[name] for one in sessions], 0)} |")
    return "\n".join(lines)


def memory_table(fills: Mapping[int, Fill]) -> str:
    """Return Markdown; ratios are taken round by round: with the first count, and with the command."""
    base = next(iter(fills.values())).sessions
    lines = [
        "| images | the window's peak, MB | of the first row's | its child processes', MB | images/s "
        "| of the command's speed | while used |",
        "|---" * 7 + "|",
    ]
    for count, fill in fills.items():
        runs = fill.sessions
        own = [one.peaks_mb[0] for one in runs]
        ratios = [one.peaks_mb[0] / first.peaks_mb[0] for one, first in zip(runs, base, strict=True)]
        children = [one.peaks_mb[1] for one in runs]
        rates = spread([one.images_per_s[FILLING] for one in runs], 1)
        shares = [
            spread(
                [
                    one.images_per_s[phase] / rate
                    for one, rate in zip(runs, fill.command.images_per_s, strict=True)
                ],
                2,
            )
            for phase in (FILLING, USED)
        ]
        cells = (spread(own, 1), spread(ratios, 3), spread(children, 0), rates, *shares)
        lines.append(f"| {count:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def smoothness_table(fills: Mapping[int, Fill]) -> str:
    """Return Markdown: by how much beats came late, what a frame of the list took, by number of images."""
    lines = [
        "| images | the interface thread, ms | p50 | p99 | longest | over 50 ms |",
        "|---" * 6 + "|",
    ]
    for count, fill in fills.items():
        runs = fill.sessions
        series = {
            f"late while {phase}": [late for one in runs for late in one.late[phase]]
            for phase in runs[0].late
        }
        series["drawing the list once"] = [frame for one in runs for frame in one.frames]
        for phase in (USED, LEAFING):
            waits = [ms for one in runs for ms in one.pictures.get(phase, ())]
            series[f"from a film chosen to its picture, {phase}"] = waits
        for name, values in series.items():
            if not values:
                continue  # too few images to have been used for long
            p50, p99 = np.percentile(values, [50, 99])
            share = statistics.fmean(value > 50 for value in values)
            lines.append(f"| {count:,} | {name} | {p50:.1f} | {p99:.1f} | {max(values):.1f} | {share:.2%} |")
    return "\n".join(lines)

"""The way of an image in stages, and the user's whole command, for every exported row over one folder."""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from xray_infer.benchmarks.commands import run_command
from xray_infer.benchmarks.records.schema import CommandRun, StageRun
from xray_infer.benchmarks.records.store import Parts
from xray_infer.benchmarks.rows import KERAS, Row
from xray_infer.benchmarks.speed.stages import run_stages
from xray_infer.run.sources.folder import FileItem, local_source
from xray_infer.terminal import Report


def image_files(folder: Path) -> list[Path]:
    """Return the images of a folder as the command takes them. Raises SourceError where there are none."""
    return [item.path for item in local_source(folder) if isinstance(item, FileItem)]


@dataclass(frozen=True, slots=True)
class WholeRequest:
    """How many rounds, the seed of their order, and the turn that the first process has in the run."""

    rounds: int
    seed: int
    first_turn: int


def measure_whole(
    request: WholeRequest, rows: Sequence[Row], folder: Path, parts: Parts, report: Report
) -> tuple[list[StageRun], list[CommandRun]]:
    """Measure stages and command of each exported row once a round, in an order drawn anew for each.

    Keras rows have no such command, and int8x16, at a second an image, would take longer than all others
    together: both are left out.
    """
    files = image_files(folder)
    exported = [row for row in rows if row.key.format != KERAS and row.key.recipe != "int8x16"]
    stages: list[StageRun] = []
    commands: list[CommandRun] = []
    for number in range(request.rounds):
        order = list(exported)
        random.Random(f"{request.seed} {number}").shuffle(order)
        for row in order:
            turn = request.first_turn + len(stages) + len(commands)
            piece = f"{number}/{row.key.name}"
            if not parts.has(f"command/{piece}"):
                report(f"round {number + 1} of {request.rounds}, stages and command: {row.key.name}")
            passed = partial(run_stages, row, files, number=number, turn=turn)
            stages.append(parts.get(f"stages/{piece}", StageRun, passed))
            ran = partial(_command, row, folder, len(files), number, turn + 1)
            commands.append(parts.get(f"command/{piece}", CommandRun, ran))
    return stages, commands


def _command(row: Row, folder: Path, images: int, number: int, turn: int) -> CommandRun:
    with tempfile.TemporaryDirectory(prefix="xray-bench-") as scratch:
        command = [sys.executable, "-m", "xray_infer", str(folder), "--out", str(Path(scratch, "rows.csv"))]
        command += ["--model", str(row.path), "--runtime", row.key.runtime]
        # 1 says that some files could not be read, which a folder of real files may well have.
        done = run_command(command, accepted=(0, 1))
    return CommandRun(row.key, number, turn, images, done.seconds, done.peak_mb or None)

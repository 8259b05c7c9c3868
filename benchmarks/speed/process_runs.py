"""Runs fresh processes one at a time, every row between two of its baseline, B a B b B c B, in every round.

So a machine that slows down for a while slows a row and its baselines alike, and their ratio stands. The
order of rows is drawn anew in each round, so that no row always follows the same neighbour.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from xray_infer.atomic import write_atomically
from xray_infer.benchmarks.model_rows import KERAS, ModelRow, baseline_of
from xray_infer.benchmarks.results_file import PartStore
from xray_infer.benchmarks.results_schema import LimitRun, ProcessRun, RowKey
from xray_infer.benchmarks.speed.machine_limits import measure_limit
from xray_infer.benchmarks.speed.presets import OFFLINE, SCENARIOS, Effort
from xray_infer.benchmarks.speed.worker import KERAS_BATCH, WorkerRequest
from xray_infer.errors import DataError
from xray_infer.images.preprocess import Preprocessing
from xray_infer.model.manifest import METHODS
from xray_infer.terminal import Report

# Offline's batch sizes that are tried; LiteRT gains nothing from batches, and a resize is dear.
BATCHES: Final[Mapping[str, tuple[int, ...]]] = {"onnx": (1, 4), "tflite": (1,), KERAS: (KERAS_BATCH,)}


@dataclass(frozen=True, slots=True)
class Turn:
    """One process: its row, its round from 0, its place in the run, and whether it runs as a baseline."""

    row: RowKey
    round: int
    turn: int
    baseline: bool


def plan(rows: Sequence[RowKey], *, rounds: int, seed: int) -> list[Turn]:
    """Return all processes in order. A method whose only row is its baseline gets one process a round."""
    turns: list[Turn] = []
    for number in range(rounds):
        generator = random.Random(f"{seed} {number}")
        methods = [method for method in METHODS if any(row.method == method for row in rows)]
        generator.shuffle(methods)
        for method in methods:
            for row, baseline in _interleaved([row for row in rows if row.method == method], generator):
                turns.append(Turn(row, number, len(turns), baseline))
    return turns


def _interleaved(rows: Sequence[RowKey], generator: random.Random) -> Iterator[tuple[RowKey, bool]]:
    base = baseline_of(rows[0], rows)
    others = [row for row in rows if row != base]
    generator.shuffle(others)
    yield base, True
    for row in others:
        yield row, False
        yield base, True


@dataclass(frozen=True, slots=True)
class SpeedRequest:
    """What is measured: the scenarios, how long, and the seed of the order."""

    effort: Effort
    scenarios: tuple[str, ...] = SCENARIOS
    seed: int = 0


def measure_speed(
    request: SpeedRequest,
    rows: Sequence[ModelRow],
    inputs: Callable[[Preprocessing], NDArray[np.uint8]],
    parts: PartStore,
    report: Report,
) -> tuple[list[ProcessRun], list[LimitRun]]:
    """Run all processes, and the machine's limits once a round.

    `inputs` returns what models of a preprocessing are given, uint8 [N, side, side, 1]. What `parts` holds
    already is not measured again. Raises DataError, which names the row, when a process dies.
    """
    files = {made: _input_file(made, inputs, parts) for made in {row.model.preprocessing for row in rows}}
    by_key = {row.key: row for row in rows}
    batches = {
        row.key: _best_batch(request, row, files[row.model.preprocessing], parts, report)
        if OFFLINE in request.scenarios
        else 1
        for row in rows
    }
    processes: list[ProcessRun] = []
    limits: list[LimitRun] = []
    turns = plan(list(by_key), rounds=request.effort.rounds, seed=request.seed)
    for turn in turns:
        if len(limits) == turn.round:
            limits.append(_limit(turn.round, parts))
        row = by_key[turn.row]
        asked = _ask(request, turn, row, files[row.model.preprocessing], batches[turn.row])
        name = f"process/{turn.turn:04}"
        if not parts.has(name):
            report(
                f"round {turn.round + 1} of {request.effort.rounds}, {turn.turn + 1} of {len(turns)}: "
                f"{turn.row.name}"
            )
        processes.append(parts.get(name, ProcessRun, partial(run_worker, asked)))
    return processes, limits


def _input_file(
    made: Preprocessing, inputs: Callable[[Preprocessing], NDArray[np.uint8]], parts: PartStore
) -> Path:
    path = parts.folder / f"inputs-{made.version}-{made.side}.npy"
    if not path.exists():
        write_atomically(path, lambda temporary: np.save(temporary, inputs(made)))
    return path


def _limit(number: int, parts: PartStore) -> LimitRun:
    return parts.get(f"limit/{number}", LimitRun, lambda: measure_limit(number))


def _ask(request: SpeedRequest, turn: Turn, row: ModelRow, inputs: Path, batch: int) -> WorkerRequest:
    return WorkerRequest(
        row=row.key,
        path=str(row.path),
        inputs=str(inputs),
        scenarios=request.scenarios,
        effort=request.effort,
        batch=batch,
        round=turn.round,
        turn=turn.turn,
        baseline=turn.baseline,
        started=0.0,
    )


def _best_batch(request: SpeedRequest, row: ModelRow, inputs: Path, parts: PartStore, report: Report) -> int:
    """Try Offline's batch sizes for a moment each, and return the fastest; what is tried does not count."""
    sizes = BATCHES[row.key.format]
    if len(sizes) == 1:
        return sizes[0]

    def search() -> int:
        report(f"batch size: {row.key.name}")
        effort = replace(request.effort, seconds=0.4, queries=1, most_seconds=4.0)
        asked = _ask(request, Turn(row.key, 0, 0, False), row, inputs, 1)
        rates = {}
        for size in sizes:
            tried = run_worker(replace(asked, batch=size, effort=effort, scenarios=(OFFLINE,)))
            rates[size] = max(burst.images / burst.seconds for burst in tried.offline)
        return max(rates, key=lambda size: rates[size])

    return parts.get(f"batch/{row.key.name}", int, search)


def run_worker(request: WorkerRequest) -> ProcessRun:
    """Run one process to its end. Raises DataError with the row's name and the last thing that it said."""
    with tempfile.TemporaryDirectory(prefix="xray-bench-") as folder:
        asked, found = Path(folder, "request.json"), Path(folder, "result.json")
        asked.write_bytes(msgspec.json.encode(replace(request, started=time.monotonic())))
        command = [sys.executable, "-m", "xray_infer.benchmarks.speed.worker", str(asked), str(found)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise DataError(
                f"{request.row.name}: the process ended with status {done.returncode}: "
                f"{lines[-1] if lines else 'no message'}"
            )
        return msgspec.json.decode(found.read_bytes(), type=ProcessRun)

"""A whole measurement: what is asked for, its pieces one after the other, and results.json.

A killed run goes on with the pieces that are missing, also of a run on an earlier day; `seconds` in the
results is the time that the last command took.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from xray_infer import __version__
from xray_infer.atomic import make_folder
from xray_infer.benchmarks.accuracy.answering import (
    InputSet,
    answer_rows,
    read_external_images,
    read_test_images,
    stored_answers,
)
from xray_infer.benchmarks.accuracy.shortcuts import measure_guesses, probe_sources, read_evidence
from xray_infer.benchmarks.machine import machine_record
from xray_infer.benchmarks.model_rows import ModelRow, find_rows
from xray_infer.benchmarks.results_file import RESULTS_FILE, PartStore, write_results
from xray_infer.benchmarks.results_schema import SCHEMA, Guess, Machine, Results
from xray_infer.benchmarks.speed.folder_speed import WholeRequest, measure_whole
from xray_infer.benchmarks.speed.machine_limits import densenet121_gmac
from xray_infer.benchmarks.speed.presets import Effort
from xray_infer.benchmarks.speed.process_runs import SpeedRequest, measure_speed
from xray_infer.model.manifest import METHODS
from xray_infer.terminal import Report

ACCURACY, LATENCY, THROUGHPUT, WHOLE, PEERS = "accuracy", "latency", "throughput", "whole", "peers"
PIECES: Final = (ACCURACY, LATENCY, THROUGHPUT, WHOLE, PEERS)
SCENARIO: Final = {LATENCY: "single", THROUGHPUT: "offline"}


@dataclass(frozen=True, slots=True)
class BenchRequest:
    """What is asked for. `pieces` are among PIECES; peers take part where there is a `folder`.

    `whole_rounds` is of stages and whole commands, a round of which takes as long as the folder is large.
    `folder` holds the files for stages, commands and peers, None for the test images' own files. Peers alone
    need no `data`.
    """

    models: tuple[Path, ...]
    out: Path
    effort: Effort
    data: Path | None = None
    pieces: tuple[str, ...] = PIECES
    folder: Path | None = None
    external: Path | None = None
    evidence: Path | None = None
    whole_rounds: int = 2
    seed: int = 0
    command: tuple[str, ...] = field(default=())

    def options(self) -> dict[str, Any]:
        """Return what decides the measurement, beside models and data."""
        return {
            "pieces": list(self.pieces),
            "effort": asdict(self.effort),
            "whole_rounds": self.whole_rounds,
            "seed": self.seed,
            "folder": self.folder and self.folder.name,
            "external": self.external and self.external.name,
        }


def measure(request: BenchRequest, *, report: Report) -> Results:
    """Measure what is asked for and write results.json. Raises DataError, ModelError, OutputError."""
    began = time.monotonic()
    rows = find_rows(request.models)
    classes = rows[0].model.class_names  # of all of them
    sets = _read_sets(request, classes)
    for test in sets[:1]:
        _warn(rows, test, report)
    make_folder(request.out)
    parts = PartStore(request.out, _identity(request, rows, sets))
    machine = parts.get("machine", Machine, machine_record)
    started = parts.get("started", str, lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    found: dict[str, Any] = {}
    models = [row.model for row in rows]
    if ACCURACY in request.pieces and request.data:
        kept = list(stored_answers(rows, sets[0], report))
        models = sorted(
            [*(model for model, _ in kept), *models], key=lambda one: METHODS.index(one.row.method)
        )
        found["sets"] = [one.set for one in sets]
        found["answers"] = [answers for _, answers in kept] + answer_rows(rows, sets, parts, report)
        found["probes"] = probe_sources(rows, request.data, parts, report)
        found["guesses"] = parts.get(
            "guesses", list[Guess], partial(measure_guesses, request.data, classes, report=report)
        )
        found["trained"] = read_evidence(request.evidence, classes) if request.evidence else None
    found |= _measure_speed(request, rows, sets, parts, report)
    results = Results(
        schema=SCHEMA,
        command=list(request.command),
        started=started,
        seconds=round(time.monotonic() - began, 1),
        version=__version__,
        options=request.options(),
        machine=machine,
        gmac=densenet121_gmac(classes=len(classes)),
        models=models,
        **found,
    )
    write_results(request.out / RESULTS_FILE, results)
    return results


def _read_sets(request: BenchRequest, classes: Sequence[str]) -> list[InputSet]:
    """Return the test images first, then those from elsewhere."""
    sets = [read_test_images(request.data, classes)] if request.data else []
    return [*sets, *([read_external_images(request.external, classes)] if request.external else [])]


def _measure_speed(
    request: BenchRequest,
    rows: Sequence[ModelRow],
    sets: Sequence[InputSet],
    parts: PartStore,
    report: Report,
) -> dict[str, Any]:
    """Measure what is timed. Turns count on from one piece to the next: they say what ran beside what."""
    found: dict[str, Any] = {}
    turn = 0
    scenarios = tuple(SCENARIO[piece] for piece in request.pieces if piece in SCENARIO)
    if scenarios:
        asked = SpeedRequest(request.effort, scenarios, request.seed)
        found["processes"], found["limits"] = measure_speed(asked, rows, sets[0].inputs, parts, report)
        turn = len(found["processes"])
    if WHOLE in request.pieces:
        folder = request.folder or _linked(sets[0], parts)
        asked_whole = WholeRequest(request.whole_rounds, request.seed, turn)
        found["stages"], found["commands"] = measure_whole(asked_whole, rows, folder, parts, report)
        turn += len(found["stages"]) + len(found["commands"])
    if PEERS in request.pieces and request.folder:
        from xray_infer.benchmarks.peers.runner import measure_peers

        found["peers"], found["peer_runs"] = measure_peers(
            rows, request.folder, parts, rounds=request.effort.rounds, first_turn=turn, report=report
        )
    return found


def _identity(request: BenchRequest, rows: Sequence[ModelRow], sets: Sequence[InputSet]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "models": {row.key.name: row.model.sha256 for row in rows},
        "data": {one.set.name: one.set.digest for one in sets},
        "options": request.options(),
    }


def _warn(rows: Sequence[ModelRow], test: InputSet, report: Report) -> None:
    for row in rows:
        if row.model.data_digest != test.data_digest:
            report(
                f"warning: {row.path} was trained on other data or another split; it may know some of "
                "the test images"
            )


def _linked(test: InputSet, parts: PartStore) -> Path:
    """Return a folder with links to the test images' own files."""
    folder = parts.folder / "test_images"
    make_folder(folder)
    for path in test.files:
        link = folder / path.name
        if not link.exists():
            link.symlink_to(path.resolve())
    return folder

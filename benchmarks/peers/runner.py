"""Runs all peers over one folder in turn, round after round, and checks that they do equal work.

Before the rounds each peer runs once, which warms the page cache and gives the answers for the checks; that
run does not count. A peer that fails is skipped with its reason and costs no other anything.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from xray_infer.atomic import make_folder
from xray_infer.benchmarks.model_rows import ModelRow
from xray_infer.benchmarks.peers.answer_file import image_files
from xray_infer.benchmarks.peers.registry import OURS, PEERS, PeerKind
from xray_infer.benchmarks.processes import FinishedProcess, run_command, tree_mb
from xray_infer.benchmarks.results_file import PartStore
from xray_infer.benchmarks.results_schema import Peer, PeerRun
from xray_infer.errors import DataError
from xray_infer.host import installed_versions
from xray_infer.images.preprocess import WHOLE_PICTURE
from xray_infer.terminal import Report

DISTRIBUTIONS: Final = {"ai_edge_litert": "ai-edge-litert"}
CONVERTED_SUFFIXES: Final = {"torch": ".pt", "nncf": ".xml"}
STANDARD: Final = f"{OURS}, fp32"  # whose answers the others are compared with
PAUSE_S: Final = 0.1  # between two looks at the memory: smaps_rollup costs a millisecond or two
AnswersByFile = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A peer with the file that it runs."""

    kind: PeerKind
    row: ModelRow
    model: Path


def measure_peers(
    rows: Sequence[ModelRow],
    folder: Path,
    parts: PartStore,
    *,
    rounds: int,
    first_turn: int = 0,
    report: Report,
) -> tuple[list[Peer], list[PeerRun]]:
    """Return every peer with its checks, or the reason why it was skipped, and all runs that count.

    Raises SourceError for a folder without images.
    """
    image_files(folder)  # raises where there are none
    make_folder(parts.folder / "peers")
    peers, ready = [], []
    for kind in PEERS:
        peer = parts.get(f"peer/{kind.name}", Peer, partial(_meet, kind, rows, folder, parts, report))
        peers.append(peer)
        row = kind.row(rows)
        if not peer.skipped and row is not None:
            ready.append(_Ready(kind, row, _model(kind, row, parts)))
    runs = []
    for number in range(rounds):
        for place, one in enumerate(ready):
            name = f"peer_run/{number}/{one.kind.name}"
            if not parts.has(name):
                report(f"peers, round {number + 1} of {rounds}: {one.kind.name}")
            turn = first_turn + number * len(ready) + place
            runs.append(parts.get(name, PeerRun, partial(_measure, one, folder, number, turn)))
    return peers, runs


def _meet(kind: PeerKind, rows: Sequence[ModelRow], folder: Path, parts: PartStore, report: Report) -> Peer:
    """Prepare a peer, run it once, and check its work."""
    names = {name: DISTRIBUTIONS.get(name, name) for name in kind.packages}
    versions = installed_versions(names.values())
    version = ", ".join(f"{name} {versions[name]}" for name in names.values() if name in versions)
    obstacle, row = kind.obstacle(rows), kind.row(rows)
    if obstacle or row is None:
        return Peer(kind.name, kind.what, version, obstacle)
    report(f"peers, warm-up: {kind.name}")
    checks: dict[str, str] = {}
    answers = parts.folder / "peers" / f"{kind.name}.csv"
    try:
        if kind.conversion:
            checks |= _prepare(kind, row, folder, parts)
        _run(_Ready(kind, row, _model(kind, row, parts)), folder, answers)
    except DataError as error:
        report(f"{kind.name}: skipped: {error}")
        return Peer(kind.name, kind.what, version, str(error))
    if not kind.conversion:
        checks["file"] = f"{row.path.name}, SHA-256 {row.model.sha256[:12]}"
    if kind.script and row.model.preprocessing.version != WHOLE_PICTURE:
        checks["input"] = "the whole picture, where xray-infer cuts out the lungs"
    standard = parts.folder / "peers" / f"{STANDARD}.csv"
    if standard.exists() and kind.name != STANDARD:
        checks["answers"] = compare_answers(read_answers(answers), read_answers(standard))
    return Peer(kind.name, kind.what, version, "", checks)


def _prepare(kind: PeerKind, row: ModelRow, folder: Path, parts: PartStore) -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="xray-bench-") as scratch:
        checks = Path(scratch, "checks.json")
        command = [sys.executable, "-m", "xray_infer.benchmarks.peers.preparation", kind.name, str(row.path)]
        side = row.model.preprocessing.side
        _run_tree([*command, str(_model(kind, row, parts)), str(folder), str(side), str(checks)])
        found: dict[str, str] = json.loads(checks.read_text(encoding="utf-8"))
        return found


def _model(kind: PeerKind, row: ModelRow, parts: PartStore) -> Path:
    """Return the file that a peer runs: ours, or what it was converted to."""
    if not kind.conversion:
        return row.path
    return parts.folder / "peers" / f"{kind.script_name}{CONVERTED_SUFFIXES[kind.conversion]}"


def _run_tree(command: Sequence[str], *, accepted: Sequence[int] = (0,)) -> FinishedProcess:
    """Run a command to its end, with the memory of all its processes."""
    return run_command(command, accepted=accepted, memory_mb=tree_mb, pause_s=PAUSE_S, name="")


def _run(one: _Ready, folder: Path, out: Path) -> FinishedProcess:
    if not one.kind.script:
        command = [sys.executable, "-m", "xray_infer", str(folder), "--out", str(out), "--restart"]
        # What it should not judge is judged here as well: all peers answer to the same images.
        return _run_tree([*command, "--model", str(one.model), "--ood-threshold", "inf"], accepted=(0, 1))
    command = [sys.executable, "-m", one.kind.module, one.kind.script_name]
    return _run_tree([*command, str(one.model), str(folder), str(out)])


def _measure(one: _Ready, folder: Path, number: int, turn: int) -> PeerRun:
    with tempfile.TemporaryDirectory(prefix="xray-bench-") as scratch:
        out = Path(scratch, "answers.csv")
        try:
            done = _run(one, folder, out)
        except DataError as error:
            raise DataError(f"{one.kind.name}: {error}") from error
        images, start = _first_answer(one, out, done)
    steady = (images - 1) / (done.seconds - start) if images > 1 else images / done.seconds
    return PeerRun(one.kind.name, number, turn, images, done.seconds, start, steady, done.peak_mb or None)


def _first_answer(one: _Ready, out: Path, done: FinishedProcess) -> tuple[int, float]:
    """Return how many images there were, and the seconds from the start to the first answer.

    The command's record has the time of its work; what is before that is start-up, and a first answer later.
    """
    if one.kind.script:
        facts = json.loads(out.with_name(f"{out.name}.json").read_text(encoding="utf-8"))
        return int(facts["images"]), float(facts["first_answer"]) - done.started
    record = json.loads(out.with_name(f"{out.name}.run.json").read_text(encoding="utf-8"))
    images = int(record["counts"]["images"])
    worked = float(record["time"]["seconds"])
    return images, done.seconds - worked + worked / images


def read_answers(path: Path) -> AnswersByFile:
    """Read the probabilities of each image by its file's name, from a script's answers or our results."""
    with path.open(newline="", encoding="utf-8") as stream:
        lines = list(csv.reader(stream))
    if lines and lines[0][0] == "path":
        chances = [place for place, name in enumerate(lines[0]) if name.startswith("prob_")]
        return {
            Path(line[0]).name: [float(line[place]) for place in chances]
            for line in lines[1:]
            if line[chances[0]]
        }
    return {line[0]: [float(value) for value in line[2:]] for line in lines}


def compare_answers(mine: AnswersByFile, standard: AnswersByFile) -> str:
    """Say how many labels two sets of answers share, and how far their probabilities are apart at most."""
    both = sorted(mine.keys() & standard.keys())
    if not both:
        return "no image has an answer of both"
    same = sum(_label(mine[name]) == _label(standard[name]) for name in both)
    gap = max(abs(a - b) for name in both for a, b in zip(mine[name], standard[name], strict=True))
    return f"the label of {STANDARD} for {same} of {len(both)} images, largest dp {gap:.2g}"


def _label(probabilities: Sequence[float]) -> int:
    return max(range(len(probabilities)), key=lambda index: probabilities[index])

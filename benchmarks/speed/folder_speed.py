"""An exported row over one folder: from a file to its row in stages, and the user's whole command.

Stages are of one thread, one session, each file once. `python -m xray_infer.benchmarks.speed.folder_speed
REQUEST.json RESULT.json` is one fresh process of one row. The stages call the engine's own functions: decode,
preprocess, infer, heat map (decoding at full size where the answer needed less, drawing, encoding as JPEG)
and write (the row, and the overlay's file). A file that gets no answer is left out of all stages.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np

from xray_infer.benchmarks.model_rows import KERAS, ModelRow
from xray_infer.benchmarks.peers.answer_file import image_files
from xray_infer.benchmarks.processes import run_command
from xray_infer.benchmarks.results_file import PartStore
from xray_infer.benchmarks.results_schema import CommandRun, RowKey, StageRun
from xray_infer.errors import DataError, ImageError
from xray_infer.images.decode import decode, full_size
from xray_infer.images.limits import DEFAULT_LIMITS
from xray_infer.model.runtimes import Session, find_model
from xray_infer.outputs.heatmaps.methods import DEFAULT_METHOD, METHODS, heatmaps_for, maps_by
from xray_infer.outputs.heatmaps.overlay import draw_overlay, encode
from xray_infer.outputs.naming import write_file
from xray_infer.run.results import OK, Classified, RowMaker, Rules, columns
from xray_infer.run.sources.folder import FileItem
from xray_infer.run.writers import Writer
from xray_infer.run.writers.csv_file import CsvWriter
from xray_infer.terminal import Report

STAGES: Final = ("decode", "preprocess", "infer", "heat map", "write")
WARM_UP: Final = 3


@dataclass(frozen=True, slots=True)
class StageRequest:
    """What the process is to do: which row, over which files, in which round and turn."""

    row: RowKey
    path: str
    files: tuple[str, ...]
    round: int
    turn: int


def run_stages(row: ModelRow, files: Sequence[Path], *, number: int, turn: int) -> StageRun:
    """Run one process to its end. Raises DataError with the row's name and the last thing that it said."""
    with tempfile.TemporaryDirectory(prefix="xray-bench-") as folder:
        asked, found = Path(folder, "request.json"), Path(folder, "result.json")
        request = StageRequest(row.key, str(row.path), tuple(map(str, files)), number, turn)
        asked.write_bytes(msgspec.json.encode(request))
        command = [sys.executable, "-m", "xray_infer.benchmarks.speed.folder_speed", str(asked), str(found)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise DataError(f"{row.key.name}: {lines[-1] if lines else 'the process died'}")
        return msgspec.json.decode(found.read_bytes(), type=StageRun)


def measure_stages(request: StageRequest) -> StageRun:
    """Time each stage of each file, in milliseconds."""
    cv2.setNumThreads(1)
    model = find_model(Path(request.path))
    session = model.open(threads=1, runtime=request.row.runtime)
    # Whatever its score, each image gets a row and a heat map: the stages are of the same images.
    rules = Rules(ood_threshold=None)
    manifest = session.manifest
    maker = RowMaker(
        "", model.digest, session.runtime, rules, manifest.preprocessing_version, manifest.class_names
    )
    stages: dict[str, list[float]] = {name: [] for name in STAGES}
    scratch = tempfile.TemporaryDirectory(prefix="xray-bench-")
    with scratch, CsvWriter(Path(scratch.name, "rows.csv"), columns(manifest.class_names)) as writer:
        for place, name in enumerate([*request.files[:WARM_UP], *request.files]):
            try:
                taken = _one(FileItem(Path(name), name), session, maker, writer, Path(scratch.name))
            except ImageError:
                continue
            if place >= WARM_UP:
                for stage, seconds in zip(STAGES, taken, strict=True):
                    stages[stage].append(1000 * seconds)
    return StageRun(request.row, request.round, request.turn, stages)


def _one(item: FileItem, session: Session, maker: RowMaker, writer: Writer, scratch: Path) -> Sequence[float]:
    """Take one file all the way and return the seconds of its stages. Raises ImageError."""
    data, preprocessing = item.read(DEFAULT_LIMITS), session.manifest.preprocessing
    side = preprocessing.decode_side
    marks = [time.perf_counter()]
    pixels = decode(data, side=side, limits=DEFAULT_LIMITS)
    marks.append(time.perf_counter())
    made = preprocessing(pixels)
    marks.append(time.perf_counter())
    output = session.run(made.pixels[None])
    marks.append(time.perf_counter())
    row = maker.judged(item.name, output.probabilities[0].tolist(), None, made.area)
    if row.status != OK:
        raise ImageError(row.reason)
    full = full_size(pixels, data, side=side, limits=DEFAULT_LIMITS)
    classified = Classified(item, data, full, made.pixels, row, output.cam[0], session.run)
    maps = maps_by(DEFAULT_METHOD, classified)
    (heatmap,) = heatmaps_for("predicted", maps, METHODS[DEFAULT_METHOD], row)
    overlay = encode(draw_overlay(full, heatmap, row), "jpeg")
    marks.append(time.perf_counter())
    writer.write(row)
    write_file(scratch / "overlay.jpg", overlay)
    marks.append(time.perf_counter())
    return np.diff(marks).tolist()


@dataclass(frozen=True, slots=True)
class WholeRequest:
    """How many rounds, the seed of their order, and the turn that the first process has in the run."""

    rounds: int
    seed: int
    first_turn: int


def measure_whole(
    request: WholeRequest, rows: Sequence[ModelRow], folder: Path, parts: PartStore, report: Report
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


def _command(row: ModelRow, folder: Path, images: int, number: int, turn: int) -> CommandRun:
    with tempfile.TemporaryDirectory(prefix="xray-bench-") as scratch:
        command = [sys.executable, "-m", "xray_infer", str(folder), "--out", str(Path(scratch, "rows.csv"))]
        command += ["--model", str(row.path), "--runtime", row.key.runtime]
        # 1 says that some files could not be read, which a folder of real files may well have.
        done = run_command(command, accepted=(0, 1))
    return CommandRun(row.key, number, turn, images, done.seconds, done.peak_mb or None)


def main(request: str, result: str) -> None:
    """Read the request, measure, and write the result."""
    asked = msgspec.json.decode(Path(request).read_bytes(), type=StageRequest)
    Path(result).write_bytes(msgspec.json.encode(measure_stages(asked)))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(*sys.argv[1:])

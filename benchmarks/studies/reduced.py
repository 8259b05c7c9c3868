"""What decoding JPEGs at a smaller DCT scale costs in answers and gives in time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.study_command import FILE, folder_argument, rounds_option, study
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.errors import DataError, ImageError
from xray_infer.images.decode import decode
from xray_infer.images.formats import read_header
from xray_infer.images.limits import DEFAULT_LIMITS
from xray_infer.images.preprocess import Preprocessing
from xray_infer.model.choice import shipped_model
from xray_infer.model.runtimes import Session, find_model
from xray_infer.run.sources import Item
from xray_infer.run.sources.folder import local_source
from xray_infer.terminal import Report, say

# `decode` keeps twice the side that it is given, and is given the preprocessing's: what of that stays.
KEPT: Final = {"2 sides (as it ships)": 1, "1 side": 2}


@dataclass(frozen=True, slots=True)
class Reduction:
    """One rule against full-size decoding, on the JPEGs whose size it changes.

    `agreement`: share of them with the same class; `mean_dp`, `max_dp`: of all probabilities' differences;
    `full_ms`, `reduced_ms`: medians over them of the time from bytes to the model's input, each the shortest
    of all rounds.
    """

    kept: str
    jpegs: int
    reduced: int
    agreement: float
    mean_dp: float
    max_dp: float
    full_ms: float
    reduced_ms: float


def read_jpegs(items: Iterable[Item], *, report: Report) -> list[bytes]:
    """Return the bytes of those that decode as JPEG, whatever their names. Raises DataError for none."""
    found = []
    for item in items:
        try:
            data = item.read(DEFAULT_LIMITS)
            if read_header(data).format == "jpeg":
                decode(data, side=0)
                found.append(data)
        except ImageError as error:
            report(f"{item.name}: {error}")
    if not found:
        raise DataError("there is no JPEG among these files")
    return found


def compare_reductions(jpegs: Sequence[bytes], session: Session, *, rounds: int) -> list[Reduction]:
    """Decode every JPEG both ways, in turn, `rounds` times, and let the model answer on both."""
    side = session.manifest.preprocessing.decode_side
    return [_compare(kept, side // part, jpegs, session, rounds) for kept, part in KEPT.items()]


def _compare(kept: str, side: int, jpegs: Sequence[bytes], session: Session, rounds: int) -> Reduction:
    full_answers, answers, full_ms, reduced_ms = [], [], [], []
    for data in jpegs:
        full, reduced = decode(data, side=0), decode(data, side=side)
        if full.shape == reduced.shape:
            continue
        full_answers.append(_answer(session, full))
        answers.append(_answer(session, reduced))
        made = session.manifest.preprocessing
        timings = [(_time(data, 0, made), _time(data, side, made)) for _ in range(rounds)]
        full_ms.append(min(first for first, _ in timings))
        reduced_ms.append(min(second for _, second in timings))
    if not answers:
        raise DataError("no JPEG here is large enough to be decoded at a smaller scale")
    expected, given = np.array(full_answers), np.array(answers)
    dp = np.abs(expected - given)
    return Reduction(
        kept,
        len(jpegs),
        len(answers),
        float((expected.argmax(axis=1) == given.argmax(axis=1)).mean()),
        float(dp.mean()),
        float(dp.max()),
        statistics.median(full_ms),
        statistics.median(reduced_ms),
    )


def _answer(session: Session, gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    image = session.manifest.preprocessing(gray).pixels
    answer: NDArray[np.float32] = session.run(image[None]).probabilities[0]
    return answer


def _time(data: bytes, side: int, preprocessing: Preprocessing) -> float:
    started = time.perf_counter()
    preprocessing(decode(data, side=side))
    return 1000 * (time.perf_counter() - started)


def reductions_table(found: Sequence[Reduction]) -> str:
    """Return Markdown, a row a rule."""
    head = (
        "kept of the shorter edge, at least",
        "JPEGs reduced",
        "agreement with full size",
        "mean dp",
        "max dp",
    )
    lines = ["| " + " | ".join((*head, "full, ms", "reduced, ms", "ratio")) + " |", "|---" * 8 + "|"]
    for one in found:
        answers = f"{one.agreement:.1%} | {one.mean_dp:.4f} | {one.max_dp:.3f}"
        times = f"{one.full_ms:.1f} | {one.reduced_ms:.1f} | {one.full_ms / one.reduced_ms:.2f}"
        lines.append(f"| {one.kept} | {one.reduced} of {one.jpegs} | {answers} | {times} |")
    return "\n".join(lines)


@study("reduced")
@folder_argument
@click.option("--model", type=FILE, help="Model file.  [default: the one that ships]")
@rounds_option(5, help="Of both ways in turn.")
def main(folder: Path, model: Path | None, rounds: int) -> None:
    """Measure what decoding JPEGs at a smaller scale costs in answers and gives in time, on FOLDER's."""
    session = (find_model(model) if model else shipped_model("onnx")).open()
    jpegs = read_jpegs(local_source(folder), report=say)
    click.echo(reductions_table(compare_reductions(jpegs, session, rounds=rounds)))
    ran = f"{session.manifest.method}, {session.manifest.recipe}, {session.runtime}"
    click.echo(
        f"\n{ran}; {rounds} interleaved rounds, the shortest of each, medians over the files. "
        f"Times are from bytes to the model's input. {describe_machine()}"
    )


if __name__ == "__main__":
    main()

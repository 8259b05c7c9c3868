"""`python -m benchmarks.studies.lungs DATA`: the table of benchmarks/results/lungs.md."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Final

import click
import numpy as np

from benchmarks.studies.lungs.measuring import ALTERED, Edges, Gray, Overlaps, measure, times
from benchmarks.studies.study_command import FILE, rounds_option, study
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.errors import DataError
from xray_infer.terminal import say
from xray_infer.train.lung_detector.lung_films import ListedFilm, list_films, read_gray
from xray_infer.train.lung_detector.marking import Marked, overlap, read_boxes

TIMED: Final = 100  # pictures
SURE: Final = 0.8  # agreement of the cascades from which their box is compared
HEAD: Final = "| films | n | lungs found | IoU, mean | 5 % below | under 0.5 |\n|---|---|---|---|---|---|"

Case = tuple[Gray, Edges | None]


def hand_checked() -> dict[str, Edges]:
    """Return the boxes of `hand_checked.csv` by the film's id, its file's name without the suffix."""
    text = resources.files(__package__).joinpath("hand_checked.csv").read_text(encoding="utf-8")
    return {
        row["id"]: np.array([float(row[edge]) for edge in ("left", "top", "right", "bottom")])
        for row in csv.DictReader(text.splitlines())
    }


def row(name: str, found: Overlaps) -> str:
    """Return a line of the table."""
    figures = f"{found.mean:.3f} | {found.p5:.3f} | {found.below_half:.1%}"
    return (
        f"| {name} | {found.films} | {found.found:.1%} | {figures if np.isfinite(found.mean) else '| | '} |"
    )


def against_cascades(films: Sequence[tuple[ListedFilm, Gray]], boxes: dict[str, Marked]) -> list[str]:
    """Return the rows of films whose boxes the cascades know, as they are and altered, and by domain."""
    known: list[tuple[ListedFilm, Gray, Edges]] = []
    for film, gray in films:
        marked = boxes.get(film.name)
        if marked is not None and marked.edges is not None and marked.agreement >= SURE:
            known.append((film, gray, np.array(marked.edges)))
    if not known:
        raise DataError("no film of val or test has a box that the cascades agree about")
    lines = [
        row(name, measure(alter(gray, box) for _, gray, box in known)) for name, alter in ALTERED.items()
    ]
    for domain in sorted({film.domain for film, *_ in known}):
        lines.append(
            row(f"of {domain}", measure((gray, box) for film, gray, box in known if film.domain == domain))
        )
    return lines


def against_hand(films: Sequence[tuple[ListedFilm, Gray]], boxes: dict[str, Marked]) -> list[str]:
    """Return the rows of the hand-checked films: by domain, altered, and what the cascades reach there."""
    checked = hand_checked()
    cases = [(film, gray, checked[film.path.stem]) for film, gray in films if film.path.stem in checked]
    if len(cases) < len(checked):
        raise DataError(f"only {len(cases)} of the {len(checked)} films that were checked by hand are there")
    lines = [
        row(name, measure(alter(gray, box) for _, gray, box in cases)) for name, alter in ALTERED.items()
    ]
    for domain in sorted({film.domain for film, *_ in cases}):
        lines.append(
            row(f"of {domain}", measure((gray, box) for film, gray, box in cases if film.domain == domain))
        )
    marks = [(boxes[film.name].edges, box) for film, _, box in cases if film.name in boxes]
    reached = np.array(
        [overlap(np.array([edges]), box[None])[0] for edges, box in marks if edges is not None]
    )
    share = len(reached) / max(len(marks), 1)
    found = Overlaps(
        len(marks), share, reached.mean(), float(np.percentile(reached, 5)), float((reached < 0.5).mean())
    )
    return [*lines, row("the cascades' own boxes", found)]


def left_out(records: Sequence[Path]) -> list[str]:
    """Return a row for each record of `xray-train lungs fit --leave-out`."""
    lines = []
    for path in records:
        record = json.loads(path.read_text(encoding="utf-8"))
        figures = record["figures"]
        names = ("films", "found", "overlap_mean", "overlap_p5", "overlap_below_half")
        lines.append(row(f"{record['left_out']}, left out", Overlaps(*(figures[name] for name in names))))
    return lines


@study("lungs")
@click.argument("data", type=FILE)
@click.option("--boxes", required=True, type=FILE, help="CSV of `xray-train lungs mark`.")
@click.option(
    "--left-out", "records", multiple=True, type=FILE, help="Records of `xray-train lungs fit --leave-out`."
)
@click.option(
    "--others", multiple=True, type=FILE, help="Lists of further pictures: lungs found, by kind and label."
)
@rounds_option(3, help="Of timing.")
def main(data: Path, boxes: Path, records: tuple[Path, ...], others: tuple[Path, ...], rounds: int) -> None:
    """Measure how well the lungs are found in the validation and test films of DATA, a manifest."""
    marked, _ = read_boxes(boxes)
    films = [(film, read_gray(film.path)[1]) for film in list_films(data) if film.split in ("val", "test")]
    say(f"{len(films)} films of val and test")
    every = measure((gray, None) for _, gray in films)
    click.echo(f"{HEAD}\n{row('all of val and test', every)}")
    click.echo("\nAgainst the cascades' boxes, where they agree:\n\n" + HEAD)
    click.echo("\n".join(against_cascades(films, marked)))
    if records:
        click.echo("\nTrained without a domain, judged on all of its films, against the cascades:\n\n" + HEAD)
        click.echo("\n".join(left_out(records)))
    click.echo("\nAgainst boxes that were checked by hand:\n\n" + HEAD)
    click.echo("\n".join(against_hand(films, marked)))
    for path in others:
        kinds: dict[str, list[Case]] = {}
        for film in list_films(path):
            kinds.setdefault(f"{film.label}, {film.kind}", []).append((read_gray(film.path)[1], None))
        click.echo(f"\nOther pictures ({path.name}):\n\n{HEAD}")
        click.echo("\n".join(row(kind, measure(cases)) for kind, cases in sorted(kinds.items())))
    took = times([gray for _, gray in films[:TIMED]], rounds=rounds)
    click.echo(
        f"\n{took.median_ms:.2f} ms a picture (5 to 95 %: {took.p5_ms:.2f} to {took.p95_ms:.2f}), decoded "
        f"already, one thread; the shortest of {rounds} rounds over {min(TIMED, len(films))} films. "
        f"{describe_machine()}"
    )


if __name__ == "__main__":
    main()

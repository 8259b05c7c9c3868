"""`python -m benchmarks.studies.adapting curves DATA` and `... tune DATA`: benchmarks/results/adapting/.

Each writes its JSON into the folder --out, and the Markdown anew of all JSON that is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from benchmarks.studies.adapting.curve_tables import document
from benchmarks.studies.adapting.curves import SplitResult, learning_curves
from benchmarks.studies.adapting.splits import Hospitals, gather
from benchmarks.studies.adapting.tuning import TunedResult, Tuning, tune_all
from benchmarks.studies.study_command import FILE, study
from xray_infer.atomic import make_folder, write_json, write_text
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import DataError
from xray_infer.model.json_records import from_json, load_object
from xray_infer.model.manifest import ModelManifest
from xray_infer.study.datasets import read_images
from xray_infer.terminal import say
from xray_infer.train.adapt.adapting import AdaptRequest, parent_of
from xray_infer.train.adapt.film_reading import FilmReader

OUT: Final = Path("benchmarks/results/adapting")
CURVES, TUNING, TEXT = "curves.json", "tuning.json", "adapting.md"
Result = TypeVar("Result")

data_argument = click.argument("data", type=FILE)
model_option = click.option("--model", help="As of xray-train adapt.")
cache_option = click.option(
    "--cache", required=True, type=FILE, help="Folder that keeps the films' features."
)
out_option = click.option("--out", type=FILE, default=OUT, show_default=True, help="Folder of the results.")


@click.group()
def main() -> None:
    """Measure what a few labels of a new hospital are worth."""


def _gather(data: Path, model: str | None, cache: Path) -> tuple[Hospitals, ModelManifest]:
    dataset = read_images(data)
    if not dataset.domains:
        raise DataError(f"{data}: says of no film from which domain it is")
    reader = FilmReader(
        parent_of(AdaptRequest(labelled=data, out=Path("any.onnx"), model=model)), cache=cache
    )
    films, bad = reader.read(dataset.images, report=say)
    for path, reason in bad.items():
        say(f"left out: {path}: {reason}")
    return gather(dataset.images, films, dataset.classes), reader.manifest


@study("adapting curves")
@data_argument
@model_option
@cache_option
@out_option
@click.option("--splits", type=click.IntRange(2), default=20, show_default=True, help="Of each kind.")
def curves_command(data: Path, model: str | None, cache: Path, out: Path, splits: int) -> None:
    """Draw the learning curves of DATA's domains."""
    hospitals, manifest = _gather(data, model, cache)
    results = list(learning_curves(hospitals, number=splits, report=say))
    _write(out, CURVES, results, f"Head: of {manifest.name}, {manifest.recipe}.")


@study("adapting tune")
@data_argument
@model_option
@cache_option
@out_option
@click.option("--keras", required=True, type=FILE, help="The Keras model of --model: models/NAME.keras.")
@click.option("--splits", type=click.IntRange(1), default=3, show_default=True, help="Of each kind.")
@click.option(
    "--labels", multiple=True, type=int, default=(10, 50), show_default=True, help="Labels a class."
)
@click.option("--domain", multiple=True, help="By name.  [default: all with two classes]")
def tune_command(  # noqa: PLR0913 - a command line
    data: Path,
    model: str | None,
    cache: Path,
    out: Path,
    keras: Path,
    splits: int,
    labels: tuple[int, ...],
    domain: tuple[str, ...],
) -> None:
    """Fine-tune the whole network to the same labels: minutes a split."""
    hospitals, manifest = _gather(data, model, cache)
    domains = domain or tuple(hospitals.two_class_domains())
    tuning = Tuning(keras, manifest.preprocessing, domains, labels, splits)
    results = _stored(out / TUNING, TunedResult)
    known = {(one.domain, one.labels, one.seed) for one in results}
    for one in tune_all(hospitals, tuning, known=known, report=say):
        results.append(one)
        _write(out, TUNING, results, "")


def _write(out: Path, name: str, results: Sequence[Any], note: str) -> None:
    make_folder(out)
    write_json(out / name, {"note": note, "results": [asdict(one) for one in results]})
    curves, tuning = _stored(out / CURVES, SplitResult), _stored(out / TUNING, TunedResult)
    head = load_object(out / CURVES).get("note", "") if curves else ""
    notes = [f"{head} {describe_machine()} {RESEARCH_NOTICE}".strip()]
    write_text(out / TEXT, "\n\n".join(document(curves, tuning, notes)) + "\n")


def _stored(path: Path, kind: type[Result]) -> list[Result]:
    """Return the results that a file holds; none where there is no file."""
    if not path.exists():
        return []
    return [from_json(kind, one) for one in load_object(path)["results"]]


main.add_command(curves_command, "curves")
main.add_command(tune_command, "tune")

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.studies.adapting")

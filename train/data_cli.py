"""The commands of `xray-train` that look at data: split, inspect, yardsticks."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xray_infer.errors import DataError
from xray_infer.study.class_choice import ClassChoice, parse_class_choice
from xray_infer.terminal import debug_option, one_line_errors, say

if TYPE_CHECKING:
    from xray_infer.train.data.yardsticks import Score, Yardstick

EXIT_TO_MEND = 1

pattern_option = click.option(
    "--patient-pattern",
    metavar="REGEX",
    help="Its first group, in the file name, names the patient: '(person\\d+)_'.",
)


def _class_choice(context: click.Context, parameter: click.Parameter, text: str | None) -> ClassChoice | None:
    """Read a choice of classes. Click's callback."""
    try:
        return None if text is None else parse_class_choice(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


classes_option = click.option(
    "--classes",
    metavar="CHOICE",
    callback=_class_choice,
    help="Take some of the data's classes, rename (=) and merge (+) them: "
    "'sick=COVID+Viral Pneumonia,Normal'.  [default: all]",
)
json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Write the findings as JSON, too; - for standard output instead of the text.",
)


@click.command("split")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Manifest to write, a CSV.")
@click.option("--seed", default=0, show_default=True, help="Of the dealing.")
@classes_option
@pattern_option
@click.option("--again", is_flag=True, help="Deal anew where DATA has a split; replace --out if it is there.")
@debug_option
def split_command(
    data: Path, out: Path, classes: ClassChoice | None, again: bool, debug: bool, **options: Any
) -> None:
    """Deal DATA to train, val and test, 80/10/10, with copies and patients kept together.

    Writes a manifest (file, label, split, group_id, patient_id, source, domain) that every command takes as
    DATA, and prints the counts.
    """
    with one_line_errors("xray-train", debug=debug):
        from xray_infer.study.datasets import check_split, read_images
        from xray_infer.train.data.leaks import counts_text
        from xray_infer.train.data.splits import grouped_split, write_manifest

        dataset = read_images(data, choice=classes, report=say)
        listing = data / "manifest.csv" if data.is_dir() else data
        if out.exists() and out.resolve() == listing.resolve():
            raise DataError(f"--out {out} would replace the manifest that is read; give another name")
        if out.exists() and not again:
            raise DataError(f"--out {out} exists, and a model may depend on it; --again replaces it")
        if dataset.has_split and not again:
            raise DataError(f"{data} has a split already, use it as it is; --again deals it anew")
        dataset = grouped_split(dataset, **options, report=say)
        write_manifest(check_split(dataset, data), out)
        click.echo(counts_text("split", dataset.counts(), dataset.classes))
        say(f"wrote {out}")


@click.command("inspect")
@click.argument("data", type=click.Path(path_type=Path))
@classes_option
@pattern_option
@json_option
@debug_option
def inspect_command(
    data: Path,
    classes: ClassChoice | None,
    patient_pattern: str | None,
    json_file: Path | None,
    debug: bool,
) -> None:
    """Look for unreadable files, copies, label conflicts, leaks between splits and telling sources in DATA.

    Exit status: 0, or 1 when files, labels or the split are to be mended.
    """
    with one_line_errors("xray-train", debug=debug):
        from xray_infer.train.data.leaks import inspect

        found = inspect(data, choice=classes, patient_pattern=patient_pattern, report=say)
        _print(found.as_text(), found.to_dict(), json_file)
    if found.to_mend:
        sys.exit(EXIT_TO_MEND)


@click.command("yardsticks")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True, help="Of the random forest.")
@classes_option
@json_option
@debug_option
def yardsticks_command(
    data: Path, seed: int, classes: ClassChoice | None, json_file: Path | None, debug: bool
) -> None:
    """Measure what guesses without lungs reach on DATA, which has a split: a network must beat them all."""
    with one_line_errors("xray-train", debug=debug):
        from xray_infer.study.datasets import read_dataset
        from xray_infer.train.data.yardsticks import yardsticks

        dataset = read_dataset(data, choice=classes, report=say)
        found = yardsticks(dataset, seed=seed, report=say)
        _print(_yardsticks_text(found), {"yardsticks": [one.to_dict() for one in found]}, json_file)


def _print(text: str, record: dict[str, Any], json_file: Path | None) -> None:
    """Print the text, or the JSON in its place for -; write the JSON to a file where one is named."""
    if json_file == Path("-"):
        click.echo(json.dumps(record, indent=1))
        return
    click.echo(text)
    if json_file is not None:
        from xray_infer.atomic import write_json

        write_json(json_file, record)


def _yardsticks_text(found: Sequence[Yardstick]) -> str:
    from xray_infer.study.intervals import percent

    def cell(score: Score) -> str:
        return percent(score.accuracy, score.accuracy_interval)

    rows = [("yardstick", "val (95 % interval)", "test (95 % interval)")]
    rows += [(one.name, cell(one.val), cell(one.test)) for one in found]
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"{row[0]:<{width}}  {row[1]:<25}  {row[2]}" for row in rows)

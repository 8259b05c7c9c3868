"""The command `xray-bench`: its parts, and what measures: run, accuracy, latency, throughput, peers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from xray_infer import __version__
from xray_infer.benchmarks.comparison.cli import compare_command
from xray_infer.benchmarks.explain.cli import explain_command
from xray_infer.benchmarks.reporting.cli import report_command
from xray_infer.benchmarks.speed.presets import PRESETS, Effort
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.terminal import DefaultGroup, debug_option, one_line_errors, say

# What each sub-command measures; see `bench_run.PIECES`.
MEASURES: Final = {
    "run": ("accuracy", "latency", "throughput", "whole", "peers"),
    "accuracy": ("accuracy",),
    "latency": ("latency",),
    "throughput": ("throughput",),
}
OUT: Final = "Folder for results.json, results.csv, results.md and results.html; goes on from there."
SKIP: Final = "Leave this out; may be given several times."
FOLDER: Final = "Files for stages, commands and peers.  [default: the test images' own, without peers]"

MODELS_OPTION: Final = click.option(
    "--models",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Files, folders.  [default: what ships]",
)
DATA_OPTION: Final = click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="Data set; its test split is used."
)
SPEED_OPTIONS: Final = (
    click.option(
        "--preset",
        type=click.Choice(list(PRESETS)),
        default="quick",
        show_default=True,
        help="How long: seconds, minutes or hours a row.",
    ),
    click.option("--rounds", type=click.IntRange(1), help="Fresh processes a row.  [default: the preset's]"),
    click.option("--min-seconds", type=click.FloatRange(0), help="A scenario.  [default: the preset's]"),
    click.option("--min-queries", type=click.IntRange(1), help="A scenario.  [default: the preset's]"),
)
ACCURACY_OPTIONS: Final = (
    click.option("--external", type=click.Path(path_type=Path), help="Labelled images from elsewhere."),
    click.option("--evidence", type=click.Path(path_type=Path), help="Folder of xray-train evidence."),
)


def _with(command: Callable[..., Any], *options: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def _command(name: str, doc: str) -> click.Command:
    def callback(debug: bool, **options: Any) -> None:
        with one_line_errors("xray-bench", debug=debug):
            skipped = options.pop("skip", ())
            measure_pieces(tuple(piece for piece in MEASURES[name] if piece not in skipped), options)

    options = [
        MODELS_OPTION,
        DATA_OPTION,
        click.option("--out", required=True, type=click.Path(path_type=Path), help=OUT),
    ]
    options += SPEED_OPTIONS if name != "accuracy" else ()
    options += ACCURACY_OPTIONS if name in ("run", "accuracy") else ()
    if name == "run":
        options.append(click.option("--folder", type=click.Path(path_type=Path), help=FOLDER))
        options.append(
            click.option(
                "--whole-rounds",
                type=click.IntRange(1),
                default=2,
                show_default=True,
                help="Of stages and whole commands.",
            )
        )
        options.append(click.option("--skip", multiple=True, type=click.Choice(MEASURES[name]), help=SKIP))
    options += [
        click.option("--seed", type=int, default=0, show_default=True, help="Of orders and resamples."),
        debug_option,
    ]
    return click.command(name, help=doc, epilog=RESEARCH_NOTICE)(_with(callback, *options))


def measure_pieces(pieces: tuple[str, ...], options: dict[str, Any]) -> None:
    """Measure some of `bench_run.PIECES`, write the results and the report, and print the short table.

    `options` are those of a command line: what `BenchRequest` holds, and those of SPEED_OPTIONS.
    """
    from xray_infer.errors import extra_for

    with extra_for("xray-bench", "bench"):
        from xray_infer.benchmarks.bench_run import BenchRequest, measure
        from xray_infer.benchmarks.reporting.writing import make_report
    from xray_infer.model.shipped import MODELS_FOLDER

    models = options.pop("models") or (MODELS_FOLDER,)
    request = BenchRequest(
        models=models,
        effort=_effort(options),
        pieces=pieces,
        command=("xray-bench", *sys.argv[1:]),
        **options,
    )
    click.echo(make_report(measure(request, report=say), request.out))


def _effort(options: dict[str, Any]) -> Effort:
    """Take the options of effort out of a command line's, and return what they ask for."""
    effort = PRESETS[options.pop("preset", "quick")]
    given = {
        "rounds": options.pop("rounds", None),
        "seconds": options.pop("min_seconds", None),
        "queries": options.pop("min_queries", None),
    }
    effort = replace(effort, **{field: value for field, value in given.items() if value is not None})
    return replace(effort, most_seconds=max(effort.most_seconds, 2 * effort.seconds))


@click.command("peers")
@click.argument("folder", type=click.Path(path_type=Path))
@MODELS_OPTION
@click.option("--out", required=True, type=click.Path(path_type=Path), help=OUT)
@click.option(
    "--rounds", type=click.IntRange(1), default=5, show_default=True, help="After one that warms up."
)
@debug_option
def peers_command(debug: bool, **options: Any) -> None:
    """Compare the command with other ways to classify FOLDER: Keras, PyTorch, OpenVINO and plain loops."""
    with one_line_errors("xray-bench", debug=debug):
        measure_pieces(("peers",), options)


@click.group(
    cls=DefaultGroup,
    default_command="run",
    epilog=RESEARCH_NOTICE,
    context_settings={"auto_envvar_prefix": "XRAY_BENCH", "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__)
def main() -> None:
    """Measure models: `xray-bench --data DATA --out DIR` is short for `xray-bench run ...`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


for command in (
    _command("run", "Measure accuracy, latency, throughput, stages, whole commands and peers of all MODELS."),
    _command("accuracy", "Measure what MODELS answer to DATA's test images: no speed."),
    _command("latency", "Measure one image after the other: MLPerf's SingleStream."),
    _command("throughput", "Measure as many images as possible side by side: MLPerf's Offline."),
    peers_command,
    compare_command,
    explain_command,
    report_command,
):
    main.add_command(command)

"""The command `xray-bench`.

run, accuracy, latency, throughput and peers measure models; explain measures heat maps; report and compare
read results without measuring.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from xray_infer import __version__
from xray_infer.benchmarks.speed.presets import PRESETS, Effort
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import extra_for
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
EXIT_REGRESSED: Final = 1

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
    with extra_for("xray-bench", "bench"):
        from xray_infer.benchmarks.bench_run import BenchRequest, measure
        from xray_infer.benchmarks.reporting.writing import make_report
    from xray_infer.model.choice import MODELS_FOLDER

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


@click.command("report", epilog=RESEARCH_NOTICE)
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for results.csv, results.md and results.html.",
)
@click.option("--readme", type=click.Path(path_type=Path), help="Replace the table between its marks.")
@click.option("--recipes", type=click.Path(path_type=Path), help="Write what xray-export says of its files.")
@debug_option
def report_command(results: Path, out: Path, readme: Path | None, recipes: Path | None, debug: bool) -> None:
    """Make tables and page of RESULTS, a results.json or the folder that has one."""
    with one_line_errors("xray-bench", debug=debug):
        with extra_for("xray-bench", "bench"):
            from xray_infer.benchmarks.reporting.bench_figures import gather
            from xray_infer.benchmarks.reporting.writing import put_table, recipe_figures, write_report
            from xray_infer.benchmarks.results_file import read_results
        from xray_infer.atomic import write_json

        figures = gather(read_results(results))
        table = write_report(figures, out)
        say(f"wrote results.csv, results.md and results.html into {out}")
        if readme is not None:
            put_table(readme, table)
            say(f"wrote the table into {readme}")
        if recipes is not None:
            write_json(recipes, recipe_figures(figures))
            say(f"wrote {recipes}")
        click.echo(table)


@click.command("explain", epilog=RESEARCH_NOTICE)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Data set of MODEL.")
@click.option("--split", type=click.Choice(["test", "val"]), default="test", show_default=True)
@click.option("--images", type=click.IntRange(1), help="Take so many, the classes in turn.  [default: all]")
@click.option("--seed", type=int, default=0, show_default=True, help="Draws images, random maps, weights.")
@click.option("--runtime", help="By name.  [default: the format's first]")
@click.option(
    "--methods",
    help="Heat maps, with commas between; also occlusion:48:16:gray.  [default: all that are offered]",
)
@click.option(
    "--sanity-images", type=click.IntRange(0), default=30, show_default=True, help="With shuffled weights."
)
@click.option(
    "--lung-masks", type=click.Path(path_type=Path), help="Folder of an IMAGE.png each, white on black."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for the measurements; goes on from there."
)
@debug_option
def explain_command(model: Path, data: Path, out: Path | None, debug: bool, **options: Any) -> None:
    """Measure how faithful heat maps are to MODEL, beside a centre blob and random maps.

    Deletion, insertion and ROAD, on DATA's images, for the class that MODEL calls them; sanity checks with
    shuffled weights; where the heat is; what a map costs.
    """
    with one_line_errors("xray-bench", debug=debug), tempfile.TemporaryDirectory() as scratch:
        from xray_infer.benchmarks.machine import describe_machine
        from xray_infer.errors import extra_for
        from xray_infer.model.runtimes import find_model

        with extra_for("xray-bench explain", "export"):
            from xray_infer.benchmarks.explain.explaining import ExplainRequest, explain

        request = ExplainRequest(find_model(model), data, out or Path(scratch), **options)
        click.echo(explain(request, report=say))
        click.echo(f"\n{describe_machine()} {RESEARCH_NOTICE}")


def share(context: click.Context, option: click.Parameter, text: str) -> float:
    """Read a share between 0 and 1, both left out, written as 3% or 0.03. Click's callback."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise click.BadParameter(f"{text!r} is no share between 0 and 100 %; write 3% or 0.03")
    return value


@click.command("compare", epilog=RESEARCH_NOTICE)
@click.argument("first", metavar="A.json", type=click.Path(path_type=Path))
@click.argument("second", metavar="B.json", type=click.Path(path_type=Path))
@click.option(
    "--smallest",
    callback=share,
    default="3%",
    show_default=True,
    help="Smallest change of a time or size that counts.",
)
@click.option(
    "--family-error",
    callback=share,
    default="0.05",
    show_default=True,
    help="Chance of any false alarm in the whole comparison.",
)
@click.option("--json", "out", type=click.Path(path_type=Path), help="File for all of it as JSON.")
@debug_option
def compare_command(
    first: Path, second: Path, smallest: float, family_error: float, out: Path | None, debug: bool
) -> None:
    """Say what changed from A.json to B.json, and whether it is more than noise.

    Both are a results.json or its folder. Exit status 1 when B is less accurate, slower or larger in
    anything.
    """
    with one_line_errors("xray-bench", debug=debug):
        with extra_for("xray-bench compare", "bench"):
            import msgspec
            import scipy  # noqa: F401

        from xray_infer.atomic import write_text
        from xray_infer.benchmarks.comparison.comparing import compare
        from xray_infer.benchmarks.comparison.comparison_page import page
        from xray_infer.benchmarks.comparison.findings import Criteria
        from xray_infer.benchmarks.results_file import read_results

        runs = read_results(first), read_results(second)
        found = compare(*runs, Criteria(smallest, family_error), names=(str(first), str(second)))
        if out is not None:
            write_text(out, msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n")
        click.echo(page(found))
        if found.regressions:
            sys.exit(EXIT_REGRESSED)


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

"""The command `xray-bench compare`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import extra_for
from xray_infer.terminal import debug_option, one_line_errors

EXIT_REGRESSED = 1


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

"""The command `xray-bench report`."""

from __future__ import annotations

from pathlib import Path

import click

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import extra_for
from xray_infer.terminal import one_line_errors


@click.command("report", epilog=RESEARCH_NOTICE)
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the files.")
@click.option("--readme", type=click.Path(path_type=Path), help="File whose table is replaced.")
@click.option("--recipes", type=click.Path(path_type=Path), help="File for what --list-recipes says.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def report_command(results: Path, out: Path, readme: Path | None, recipes: Path | None, debug: bool) -> None:
    """Make results.csv, results.md and results.html from RESULTS, a results.json or its folder.

    Nothing is measured. --readme puts the short table into a README; --recipes writes the figures that
    `xray-export --list-recipes` shows of fine-tuning's files.
    """
    with one_line_errors("xray-bench", debug=debug):
        with extra_for("xray-bench report", "bench"):
            from xray_infer.benchmarks.report import make_report
        from xray_infer.atomic import write_json
        from xray_infer.benchmarks.records.store import read_results
        from xray_infer.benchmarks.report.readme import put_table
        from xray_infer.benchmarks.report.recipes import recipe_figures

        found = read_results(results)
        table = make_report(found, out)
        if readme:
            put_table(readme, table)
        if recipes:
            write_json(recipes, recipe_figures(found))
        click.echo(table)
        click.echo(f"\n{RESEARCH_NOTICE}")

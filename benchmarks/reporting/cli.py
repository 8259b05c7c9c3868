"""`xray-bench report`: tables, page and README from a results.json, without measuring anything."""

from __future__ import annotations

from pathlib import Path

import click

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.terminal import debug_option, one_line_errors, say


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
        from xray_infer.errors import extra_for

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

"""Tables, results.csv, the README's table and the HTML page of a results.json. Nothing is measured here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from xray_infer.benchmarks.reporting.run_figures import Figures
    from xray_infer.benchmarks.results_schema import Results

# Functions import what they need: the command module of this package is loaded by `xray-bench --help`.


def make_report(results: Results, out: Path) -> str:
    """Write results.csv, results.md and results.html into a folder, and return the short tables."""
    from xray_infer.benchmarks.reporting.run_figures import gather

    return write_report(gather(results), out)


def write_report(figures: Figures, out: Path) -> str:
    """Write the files of a run's figures, as `make_report` does. Raises OutputError."""
    from xray_infer.atomic import make_folder, write_text
    from xray_infer.benchmarks.reporting.csv_table import csv_text
    from xray_infer.benchmarks.reporting.results_page import page
    from xray_infer.benchmarks.reporting.writing import full_tables, short_tables

    make_folder(out)
    write_text(out / "results.csv", csv_text(figures))
    write_text(out / "results.md", full_tables(figures))
    write_text(out / "results.html", page(figures))
    return short_tables(figures)

"""Tables, results.csv, the README's table and the HTML page of a results.json. Nothing is measured here."""

from __future__ import annotations

from pathlib import Path

from xray_infer.atomic import make_folder, write_text
from xray_infer.benchmarks.records.schema import Results
from xray_infer.benchmarks.report.csv_file import csv_text
from xray_infer.benchmarks.report.gathered import gather
from xray_infer.benchmarks.report.markdown import full_tables, readme_table
from xray_infer.benchmarks.report.page import page


def make_report(results: Results, out: Path) -> str:
    """Write results.csv, results.md and results.html into a folder, and return the short table."""
    figures = gather(results)
    make_folder(out)
    write_text(out / "results.csv", csv_text(figures))
    write_text(out / "results.md", full_tables(figures))
    write_text(out / "results.html", page(figures))
    return readme_table(figures)

"""Writes results.csv, results.md and results.html, the README's table and the figures of xray-export."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

from xray_infer.atomic import make_folder, write_text
from xray_infer.benchmarks.machine import describe
from xray_infer.benchmarks.model_rows import KERAS
from xray_infer.benchmarks.reporting.accuracy_tables import accuracy_tables, domain_tables, shortcut_tables
from xray_infer.benchmarks.reporting.bench_figures import BenchFigures, gather
from xray_infer.benchmarks.reporting.csv_table import csv_text
from xray_infer.benchmarks.reporting.results_page import page
from xray_infer.benchmarks.reporting.speed_tables import peer_speed, peer_tables, speed_tables, way_tables
from xray_infer.benchmarks.reporting.summary_tables import (
    doubts,
    failures,
    legend,
    machine_table,
    run_words,
    summary_table,
)
from xray_infer.benchmarks.results_schema import Results
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import DataError
from xray_infer.study.document import Block, Heading, Paragraph, Table, to_markdown

BEGIN: Final = "<!-- xray-bench: begin -->"
END: Final = "<!-- xray-bench: end -->"
METHOD: Final = "fine_tuning"  # whose files xray-export --list-recipes describes


def make_report(results: Results, out: Path) -> str:
    """Write results.csv, results.md and results.html into a folder, and return the short tables."""
    return write_report(gather(results), out)


def write_report(figures: BenchFigures, out: Path) -> str:
    """Write the files of a run's figures, as `make_report` does. Raises OutputError."""
    make_folder(out)
    write_text(out / "results.csv", csv_text(figures))
    write_text(out / "results.md", full_tables(figures))
    write_text(out / "results.html", page(figures))
    return short_tables(figures)


def short_tables(figures: BenchFigures) -> str:
    """Return the table of all rows and that of the peers' speed, what columns mean and what it ran on."""
    return to_markdown(filled(_short(figures))).strip()


def _short(figures: BenchFigures) -> Iterator[Block]:
    if figures.accuracy or figures.speed:
        yield summary_table(figures)
        yield legend(figures)
    yield from peer_speed(figures)
    machine = figures.results.machine
    yield Paragraph(f"{machine.processor}, {machine.processors} processors ({' '.join(machine.flags)}).")
    yield Paragraph(RESEARCH_NOTICE)


def full_tables(figures: BenchFigures) -> str:
    """Return everything that was found."""
    return to_markdown(filled(_blocks(figures)))


def _blocks(figures: BenchFigures) -> Iterator[Block]:
    yield Heading(1, "xray-bench")
    yield Paragraph(RESEARCH_NOTICE, strong=True)
    yield Paragraph(run_words(figures.results))
    yield from failures(figures)
    yield from (Paragraph(f"Doubtful: {sentence}.", strong=True) for sentence in doubts(figures))
    yield summary_table(figures)
    yield legend(figures)
    yield from chain(domain_tables(figures), accuracy_tables(figures), shortcut_tables(figures))
    yield from chain(speed_tables(figures), way_tables(figures), peer_tables(figures))
    yield Heading(2, "Machine")
    yield machine_table(figures.results)


def filled(blocks: Iterator[Block]) -> list[Block]:
    """Leave out tables without rows."""
    return [one for one in blocks if not (isinstance(one, Table) and not one.rows)]


def between_marks(text: str, path: Path) -> tuple[str, str, str]:
    """Return what stands before, between and after the marks. Raises DataError without them."""
    before, begin, rest = text.partition(BEGIN)
    between, end, after = rest.partition(END)
    if not begin or not end:
        raise DataError(f"{path}: has no place for the table; add a line {BEGIN} and after it a line {END}")
    return before + BEGIN, between, END + after


def put_table(path: Path, table: str) -> None:
    """Replace what stands between the marks of a file; the rest stays byte for byte."""
    try:
        text = path.read_bytes().decode()  # not as text: line ends stay what they are
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not text in UTF-8; save it so") from error
    before, _, after = between_marks(text, path)
    write_text(path, f"{before}\n{table}\n{after}")


def recipe_figures(figures: BenchFigures) -> dict[str, Any]:
    """Return fine-tuning's exported files, each in its default runtime, which comes first among its rows.

    Raises DataError where the run lacks such a file or its agreement with the Keras model.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    images, side = 0, 0
    for model in figures.results.models:
        key = model.row
        if key.method != METHOD or key.format == KERAS or (key.format, key.recipe) in rows:
            continue
        accuracy, speed = figures.accuracy.get(key), figures.speed.get(key)
        if accuracy is None or accuracy.against is None:
            raise DataError(
                f"{key.name}: the run has no agreement with {METHOD}.keras; give that file among --models "
                "and measure accuracy"
            )
        images, side = accuracy.images, model.preprocessing.side
        rows[key.format, key.recipe] = {
            "format": key.format,
            "recipe": key.recipe,
            "runtime": key.runtime,
            "size_bytes": model.size_bytes,
            "agreement": accuracy.against.agreement.value,
            "max_dp": accuracy.against.max_dp,
            "ratio": speed.ratio.value if speed and speed.ratio else None,
        }
    if not rows:
        raise DataError(f"the run has no exported file of {METHOD}; give some among --models")
    machine = figures.results.machine
    return {
        "method": METHOD,
        "side": side,
        "images": images,
        "machine": describe(machine.processors, machine.flags, machine.versions),
        "recipes": list(rows.values()),
    }

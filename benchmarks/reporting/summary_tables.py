"""The short table, a line a row, and what stands above all tables: command, machine, failures, warnings."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

from xray_infer.benchmarks.model_rows import BASELINE
from xray_infer.benchmarks.reporting.bench_figures import (
    SHORT,
    BenchFigures,
    guess_share,
    ratio,
    share,
    title,
)
from xray_infer.benchmarks.results_schema import Results, RowKey
from xray_infer.benchmarks.speed.stability import Doubt, run_warnings
from xray_infer.study.document import Paragraph, Table
from xray_infer.study.domain_tables import figure
from xray_infer.study.intervals import percent

MARK: Final = "†"
ALL_ROWS: Final = "All rows"
MOST_NAMED: Final = 3  # rows in a doubt
HEAD: Final = (
    "method",
    "format",
    "recipe",
    "runtime",
    "MB",
    "AUROC within domains (95 %)",
    "accuracy (95 %)",
    "border only",
    "as Keras",
    "p50 / p99, ms",
    "images/s",
    "times as fast (95 %)",
    "of peak",
)


def summary_table(figures: BenchFigures) -> Table:
    """Return a line a row, below them the guesses without lungs; columns that nothing fills are left out."""
    rows = [_row(figures, key) for key in figures.keys]
    blank = ("",) * len(HEAD)
    for guess in figures.results.guesses:
        rows.append((f"guess: {guess.name}", *blank[1:6], share(guess_share(guess)), *blank[7:]))
    used = [place for place, name in enumerate(HEAD) if any(row[place] for row in rows)]
    images = next((one.images for one in figures.accuracy.values()), None)
    caption = ALL_ROWS if images is None else f"{ALL_ROWS}, {images} test images"
    return Table(caption, [HEAD[place] for place in used], [[row[place] for place in used] for row in rows])


def legend(figures: BenchFigures) -> Paragraph:
    """Say what the columns of the short table mean, of those that it has."""
    parts = []
    if figures.accuracy:
        parts.append(
            "Accuracy of the test split, its interval over patients and look-alike series (Wilson's for "
            "guesses). Border only: with all but the border black. As Keras: the same label as "
            "the Keras model of the method."
        )
    if any(one.within and one.within.mean for one in figures.accuracy.values()):
        parts.append("AUROC within domains: of two classes of one domain, the mean of such pairs.")
    if figures.speed:
        parts.append(
            f"Times as fast: beside {' '.join(BASELINE)} of the method in the same run, by throughput "
            "where that was measured, else by latency."
        )
    if any(one.limit_share is not None for one in figures.speed.values()):
        parts.append("Of peak: throughput relative to the machine's matrix-multiply peak at that precision.")
    if figures.failures():
        parts.append(f"{MARK} Below 99 % of the Keras model's accuracy: failed by MLPerf's rule.")
    return Paragraph(" ".join(parts) or "Nothing was measured.")


def _row(figures: BenchFigures, key: RowKey) -> tuple[str, ...]:
    accuracy, speed = figures.accuracy.get(key), figures.speed.get(key)
    mark = f" {MARK}" if key in figures.failures() else ""
    latency = ""
    if speed and speed.p50_ms and speed.p99_ms:
        latency = f"{speed.p50_ms.value:.1f} / {speed.p99_ms.value:.1f}"
    return (
        SHORT[key.method] + mark,
        key.format,
        key.recipe,
        key.runtime,
        figures.megabytes(key),
        figure(accuracy.within.mean) if accuracy and accuracy.within else "",
        percent(accuracy.metrics.accuracy, accuracy.intervals["accuracy"]) if accuracy else "",
        percent(accuracy.controls["border"].value) if accuracy and "border" in accuracy.controls else "",
        percent(accuracy.against.agreement.value) if accuracy and accuracy.against else "",
        latency,
        f"{speed.images_per_s.value:.1f}" if speed and speed.images_per_s else "",
        ratio(speed.ratio or speed.latency_ratio) if speed else "",
        f"{100 * speed.limit_share:.0f} %" if speed and speed.limit_share is not None else "",
    )


def failures(figures: BenchFigures) -> Iterator[Paragraph]:
    """Yield what failed, a paragraph a row."""
    for key in figures.failures():
        one = figures.accuracy[key]
        reference = figures.accuracy[one.against.other].metrics.accuracy if one.against else None
        yield Paragraph(
            f"Failed: {title(key)} has {percent(one.metrics.accuracy)} right, below 99 % of its Keras "
            f"model's {percent(reference)}.",
            strong=True,
        )


def doubts(figures: BenchFigures) -> list[str]:
    """Return what is doubtful, the run's first; a reason stands once, with its rows and their figures.

    Of many rows the worst are named; the tables have each row's range.
    """
    found: dict[str, list[tuple[Doubt, str]]] = {}
    for key, one in figures.speed.items():
        for doubt in one.doubts:
            found.setdefault(doubt.reason, []).append((doubt, title(key)))
    sentences = list(run_warnings(figures.results))
    for reason, rows in found.items():
        rows.sort(key=lambda row: -row[0].degree)
        named = "; ".join(f"{name} ({doubt.figure})" for doubt, name in rows[:MOST_NAMED])
        if len(rows) > MOST_NAMED:
            named = f"{len(rows)} of {len(figures.speed)} rows, the worst {named}"
        sentences.append(f"{reason}: {named}")
    return sentences


def run_words(results: Results) -> str:
    """Say which command was run, when and by which version."""
    command = shlex.join(results.command)
    return f"{command} - started {results.started}, version {results.version}."


def machine_table(results: Results) -> Table:
    """Return what it ran on."""
    one = results.machine
    rows = [
        ("processor", one.processor),
        ("instructions", " ".join(one.flags)),
        ("processors", f"{one.processors}, of them usable: {', '.join(map(str, one.affinity))}"),
        ("quota of processors", "none" if one.quota is None else f"{one.quota:g}"),
        ("memory", f"{one.memory_mb / 1024:.1f} GB"),
        ("system", one.system),
        ("frequency governor", one.governor or "unknown"),
        ("energy", one.energy),
        ("load before the run", "unknown" if one.load_before is None else f"{one.load_before:.1f}"),
        *one.versions.items(),
    ]
    return Table("The machine and its software", ("what", "found"), rows)

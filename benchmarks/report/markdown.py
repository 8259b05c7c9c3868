"""results.md, and the short table that the README includes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from xray_infer.benchmarks.records.schema import RowKey
from xray_infer.benchmarks.report.accuracy_tables import accuracy_tables, guess_share
from xray_infer.benchmarks.report.cells import estimate, percent, share, table
from xray_infer.benchmarks.report.gathered import SHORT, Figures
from xray_infer.benchmarks.report.peer_tables import peer_tables
from xray_infer.benchmarks.report.speed_tables import speed_tables
from xray_infer.classes import RESEARCH_NOTICE

HEAD = (
    "method",
    "format",
    "recipe",
    "runtime",
    "MB",
    "accuracy (95 %, groups)",
    "border only",
    "as Keras",
    "p50 / p99, ms",
    "images/s",
    "times as fast (95 %)",
    "of the limit",
)


def readme_table(figures: Figures) -> str:
    """Return a line a row, and below them the guesses without lungs; † marks what fails the 99 % rule."""
    rows = [_row(figures, key) for key in figures.keys]
    rows += [
        (one.name, *[""] * 4, share(guess_share(one)), *[""] * (len(HEAD) - 6))
        for one in figures.results.guesses
    ]
    used = [place for place, name in enumerate(HEAD) if name == "method" or any(row[place] for row in rows)]
    lines = table([HEAD[place] for place in used], [[row[place] for place in used] for row in rows])
    failed = (
        "\n\n† below 99 % of its Keras model's accuracy: failed by MLPerf's rule."
        if figures.failures()
        else ""
    )
    return lines + failed


def _row(figures: Figures, key: RowKey) -> tuple[str, ...]:
    accuracy, speed = figures.accuracy.get(key), figures.speed.get(key)
    mark = " †" if accuracy and accuracy.passes_99 is False else ""
    latency = ""
    if speed and speed.p50_ms and speed.p99_ms:
        latency = f"{speed.p50_ms.value:.1f} / {speed.p99_ms.value:.1f}"
    return (
        SHORT[key.method] + mark,
        key.format,
        key.recipe,
        key.runtime,
        f"{figures.megabytes(key):.1f}",
        percent(accuracy.metrics.accuracy, accuracy.intervals["accuracy"]) if accuracy else "",
        percent(accuracy.controls["border"].value) if accuracy and "border" in accuracy.controls else "",
        percent(accuracy.against.agreement.value) if accuracy and accuracy.against else "",
        latency,
        f"{speed.images_per_s.value:.1f}" if speed and speed.images_per_s else "",
        estimate(speed.ratio or speed.latency_ratio, 2) if speed else "",
        f"{100 * speed.limit_share:.0f} %" if speed and speed.limit_share is not None else "",
    )


def full_tables(figures: Figures) -> str:
    """Return everything that was found."""
    parts = ["# xray-bench", RESEARCH_NOTICE, *heading(figures), readme_table(figures)]
    parts += [*accuracy_tables(figures), *speed_tables(figures), *peer_tables(figures)]
    return "\n\n".join(part for part in parts if part) + "\n"


def heading(figures: Figures) -> Iterator[str]:
    """Yield the command, the machine, and what is doubtful or failed."""
    results = figures.results
    yield f"    {shlex.join(results.command)}"
    yield f"Started {results.started}; version {results.version}. {machine_words(figures)}"
    failures = figures.failures()
    if failures:
        yield f"**Failed, below 99 % of Keras's accuracy:** {', '.join(key.name for key in failures)}."
    warnings = list(figures.warnings())
    if warnings:
        yield "**Doubtful:**\n\n" + "\n".join(f"- {sentence}" for sentence in warnings)


def machine_words(figures: Figures) -> str:
    """Say in a few sentences what it ran on."""
    one = figures.results.machine
    quota = "no quota" if one.quota is None else f"a quota of {one.quota:g}"
    load = "" if one.load_before is None else f", load {one.load_before:.1f} before"
    versions = ", ".join(f"{name} {number}" for name, number in one.versions.items())
    return (
        f"{one.processor}, {one.processors} processors ({' '.join(one.flags)}; affinity "
        f"{','.join(map(str, one.affinity))}, {quota}{load}), {one.memory_mb / 1024:.0f} GB, {one.system}; "
        f"governor {one.governor or 'unknown'}; energy {one.energy}. {versions}."
    )

"""results.md, and the short tables that the README includes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from xray_infer.benchmarks.report.accuracy_tables import accuracy_tables
from xray_infer.benchmarks.report.gathered import Figures
from xray_infer.benchmarks.report.peer_tables import peer_speed, peer_tables
from xray_infer.benchmarks.report.shortcut_tables import shortcut_tables
from xray_infer.benchmarks.report.speed_tables import speed_tables, way_tables
from xray_infer.benchmarks.report.summary import (
    doubts,
    failures,
    legend,
    machine_table,
    run_words,
    summary_table,
)
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.study.document import Block, Heading, Paragraph, Table, to_markdown


def short_tables(figures: Figures) -> str:
    """Return the table of all rows and that of the peers' speed, what columns mean and what it ran on."""
    return to_markdown(filled(_short(figures))).strip()


def _short(figures: Figures) -> Iterator[Block]:
    if figures.accuracy or figures.speed:
        yield summary_table(figures)
        yield legend(figures)
    yield from peer_speed(figures)
    machine = figures.results.machine
    yield Paragraph(f"{machine.processor}, {machine.processors} processors ({' '.join(machine.flags)}).")
    yield Paragraph(RESEARCH_NOTICE)


def full_tables(figures: Figures) -> str:
    """Return everything that was found."""
    return to_markdown(filled(_blocks(figures)))


def _blocks(figures: Figures) -> Iterator[Block]:
    yield Heading(1, "xray-bench")
    yield Paragraph(RESEARCH_NOTICE, strong=True)
    yield Paragraph(run_words(figures.results))
    yield from failures(figures)
    yield from (Paragraph(f"Doubtful: {sentence}.", strong=True) for sentence in doubts(figures))
    yield summary_table(figures)
    yield legend(figures)
    yield from chain(accuracy_tables(figures), shortcut_tables(figures))
    yield from chain(speed_tables(figures), way_tables(figures), peer_tables(figures))
    yield Heading(2, "Machine")
    yield machine_table(figures.results)


def filled(blocks: Iterator[Block]) -> list[Block]:
    """Leave out tables without rows."""
    return [one for one in blocks if not (isinstance(one, Table) and not one.rows)]

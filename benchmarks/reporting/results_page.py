"""results.html: one file that loads nothing and runs no script, what failed or is doubtful first.

The style is in page.css beside this file, after that of every page (`outputs.page.shell`), whose content
security policy forbids scripts and other places.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from itertools import chain, groupby
from typing import Final, TypeAlias

from xray_infer.benchmarks.reporting.accuracy_plots import chosen_rows, row_plots, shortcut_plots
from xray_infer.benchmarks.reporting.accuracy_tables import accuracy_tables, domain_tables, shortcut_tables
from xray_infer.benchmarks.reporting.bench_figures import BenchFigures
from xray_infer.benchmarks.reporting.drawing import Plot
from xray_infer.benchmarks.reporting.speed_plots import peer_plots, speed_plots, stage_plots, trade_off_plots
from xray_infer.benchmarks.reporting.speed_tables import peer_tables, speed_tables, way_tables
from xray_infer.benchmarks.reporting.summary_tables import (
    ALL_ROWS,
    doubts,
    failures,
    legend,
    machine_table,
    run_words,
    summary_table,
)
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.outputs.page.shell import shell
from xray_infer.study.document import Block, Heading, Paragraph, Table

PageItem: TypeAlias = Block | Plot
TITLE: Final = "xray-bench"
LONG: Final = 12  # rows of a table
MANY: Final = 8  # doubts
SHORT_CELL: Final = 24  # letters


def page(figures: BenchFigures) -> str:
    """Return the page's text."""
    parts = [one for one in _parts(figures) if not (isinstance(one, Table) and not one.rows)]
    body: list[str] = []
    for plots, run in groupby(parts, key=lambda one: isinstance(one, Plot)):
        inner = [_html(one) for one in run]
        body += ['<div class="plots">', *inner, "</div>"] if plots else inner
    style = resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    head = ["<main>", f"<h1>{TITLE}</h1>", f'<p class="notice">{RESEARCH_NOTICE}</p>', _doubts(figures)]
    return shell(TITLE, "\n".join([*head, *body, "</main>", ""]), style=style)


def _doubts(figures: BenchFigures) -> str:
    """Return what failed and what is doubtful; many doubts are folded behind their number."""
    found = doubts(figures)
    items = "\n".join(f"<li>{_escaped(sentence)}</li>" for sentence in found)
    state = " open" if len(found) <= MANY else ""
    lines = [_html(one) for one in failures(figures)]
    if found:
        head = f"Doubtful: {len(found)} reason{'s' if len(found) > 1 else ''}"
        lines.append(f'<details class="doubt"{state}><summary>{head}</summary>\n<ul>{items}</ul></details>')
    return "\n".join(lines)


def _parts(figures: BenchFigures) -> Iterator[PageItem]:
    yield Paragraph(run_words(figures.results))
    yield from trade_off_plots(figures)
    yield summary_table(figures)
    yield legend(figures)
    yield from domain_tables(figures)
    yield from accuracy_tables(figures)
    rows = chosen_rows(figures)
    if rows:
        yield Heading(2, "Curves")
        yield Paragraph("Of each method's Keras row (without one, its first) and of its fastest row.")
        yield from chain.from_iterable(row_plots(figures, key) for key in rows)
    yield from after_heading(shortcut_tables(figures), shortcut_plots(figures))
    yield from after_heading(speed_tables(figures), speed_plots(figures))
    yield from after_heading(way_tables(figures), stage_plots(figures))
    yield from after_heading(peer_tables(figures), peer_plots(figures))
    yield Heading(2, "Machine")
    yield machine_table(figures.results)


def after_heading(blocks: Iterator[Block], plots: Iterator[Plot]) -> Iterator[PageItem]:
    """Put plots before the first table of a section."""
    shown = False
    for block in blocks:
        if isinstance(block, Table) and not shown:
            yield from plots
            shown = True
        yield block


def _html(part: PageItem) -> str:
    match part:
        case Heading(level, text):
            return f"<h{level}>{_escaped(text)}</h{level}>"
        case Paragraph(text, strong):
            mark = ' class="failed"' if strong else ""
            return f"<p{mark}>{_escaped(text)}</p>"
        case Plot(data, alt, caption):
            return (
                f'<figure><img src="{data}" alt="{_escaped(alt)}">'
                f"<figcaption>{_escaped(caption)}</figcaption></figure>"
            )
        case Table():
            # Behind the first table and its plots, long ones are for who looks for a row.
            return _table(part, folded=len(part.rows) > LONG and not part.caption.startswith(ALL_ROWS))
    raise TypeError(f"{type(part).__name__} has no place on this page")


def _table(table: Table, *, folded: bool) -> str:
    heads = "".join(f'<th scope="col">{_escaped(cell)}</th>' for cell in table.head)
    rows = "\n".join(map(_row, table.rows))
    caption = _escaped(table.caption)
    inner = f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    region = f'<div class="scroll" role="region" tabindex="0" aria-label="{caption}">\n<table>\n'
    if folded:
        return f"<details><summary>{caption}</summary>\n{region}{inner}\n</details>"
    return f"{region}<caption><span>{caption}</span></caption>\n{inner}"


def _row(cells: Sequence[str]) -> str:
    first, *others = map(_escaped, cells)
    return f'<tr><th scope="row">{first}</th>{"".join(map(_cell, others))}</tr>'


def _cell(text: str) -> str:
    """Keep a short figure with its interval in one line; longer text may break."""
    short = len(text) <= SHORT_CELL or re.fullmatch(r"[-+\d.][^;:]{0,40}", text) is not None
    return f'<td class="short">{text}</td>' if short else f"<td>{text}</td>"


def _escaped(text: str) -> str:
    """Escape, and keep a figure and its unit in one line."""
    return re.sub(r"(?<=\d) (?=%|ms\b|MB\b)", "\u00a0", html.escape(text))

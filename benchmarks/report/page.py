"""results.html: one file that loads nothing and runs no script, what failed or is doubtful first.

The style is in page.css beside this file; the content security policy forbids scripts and other places.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from itertools import chain, groupby
from string import Template
from typing import Final, TypeAlias

from xray_infer.benchmarks.report.accuracy_plots import chosen_rows, row_plots, shortcut_plots
from xray_infer.benchmarks.report.accuracy_tables import accuracy_tables
from xray_infer.benchmarks.report.drawing import Plot
from xray_infer.benchmarks.report.gathered import Figures
from xray_infer.benchmarks.report.peer_tables import peer_tables
from xray_infer.benchmarks.report.shortcut_tables import shortcut_tables
from xray_infer.benchmarks.report.speed_plots import peer_plots, speed_plots, stage_plots
from xray_infer.benchmarks.report.speed_tables import speed_tables, way_tables
from xray_infer.benchmarks.report.summary import doubts, legend, machine_table, run_words, summary_table
from xray_infer.benchmarks.report.trade_off import trade_off_plots
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.train.report.document import Block, Heading, Paragraph, Table

Part: TypeAlias = Block | Plot
TITLE: Final = "xray-bench"
_PAGE: Final = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<main>
<h1>$title</h1>
<p class="notice">$notice</p>
$body
</main>
</body>
</html>
""")


def page(figures: Figures) -> str:
    """Return the page's text."""
    parts = [one for one in _parts(figures) if not (isinstance(one, Table) and not one.rows)]
    body: list[str] = []
    for plots, run in groupby(parts, key=lambda one: isinstance(one, Plot)):
        inner = [_html(one) for one in run]
        body += ['<div class="plots">', *inner, "</div>"] if plots else inner
    style = resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    return _PAGE.substitute(title=TITLE, style=style, notice=RESEARCH_NOTICE, body="\n".join(body))


def _parts(figures: Figures) -> Iterator[Part]:
    yield from doubts(figures)
    yield Paragraph(run_words(figures.results))
    yield from trade_off_plots(figures)
    yield summary_table(figures)
    yield legend(figures)
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


def after_heading(blocks: Iterator[Block], plots: Iterator[Plot]) -> Iterator[Part]:
    """Put plots before the first table of a section."""
    shown = False
    for block in blocks:
        if isinstance(block, Table) and not shown:
            yield from plots
            shown = True
        yield block


def _html(part: Part) -> str:
    match part:
        case Heading(level, text):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Paragraph(text, strong):
            mark = f' class="{"failed" if text.startswith("Failed") else "doubt"}"' if strong else ""
            return f"<p{mark}>{html.escape(text)}</p>"
        case Plot(data, alt, caption):
            return (
                f'<figure><img src="{data}" alt="{html.escape(alt)}">'
                f"<figcaption>{html.escape(caption)}</figcaption></figure>"
            )
        case Table():
            return _table(part)
    raise TypeError(f"{type(part).__name__} has no place on this page")


def _table(table: Table) -> str:
    heads = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in table.head)
    rows = "\n".join(map(_row, table.rows))
    caption = html.escape(table.caption)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{caption}">\n<table>\n'
        f"<caption>{caption}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n"
        "</table>\n</div>"
    )


def _row(cells: Sequence[str]) -> str:
    first, *others = map(html.escape, cells)
    return f'<tr><th scope="row">{first}</th>{"".join(map(_cell, others))}</tr>'


def _cell(text: str) -> str:
    """Keep a short figure with its interval in one line; longer text may break."""
    figure = re.fullmatch(r"[-+]?[\d.].{0,40}", text) is not None and "," not in text
    return f'<td class="figure">{text}</td>' if figure else f"<td>{text}</td>"

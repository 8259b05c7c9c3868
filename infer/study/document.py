"""A page as a list of blocks, and its two forms: Markdown beside its pictures, and one HTML file.

The HTML has the shell of every page (`outputs.page.shell`), holds its pictures and style itself, loads
nothing and runs no script: its content security policy forbids both. Whatever comes from the data (file
names, sources) is escaped in both forms.
"""

from __future__ import annotations

import base64
import html
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final, TypeAlias

from xray_infer.outputs.page.shell import shell


@dataclass(frozen=True, slots=True)
class Heading:
    """A title; level 1 is the page's."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text; `strong` for what must not be overlooked."""

    text: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Cells of text; the first cell of a row is its heading."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Illustration:
    """A PNG file, named relative to the page. A `wide` one keeps its size and scrolls on a narrow screen."""

    file: str
    alt: str
    wide: bool = False


Block: TypeAlias = Heading | Paragraph | Table | Illustration

# What the blocks need beside the style of every page.
_STYLE: Final = """
main { max-width: 72rem; margin: 0 auto; padding: 0 1rem 3rem; }
h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1.2rem; }
p.strong { border-left: .3rem solid var(--notice-edge); padding: .5rem .8rem; font-weight: 600; }
p.strong { background: var(--notice); color: var(--notice-text); }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem 1.2rem .3rem 0; }
th, td { border-bottom: 1px solid var(--line); }
thead th { border-bottom-color: var(--edge); }
tbody th { font-weight: 400; min-width: 6rem; }
.pictures { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 1rem; }
.pictures img { flex: 1 1 24rem; min-width: 0; max-width: min(100%, 36rem); height: auto; }
@media print {
  .scroll { overflow: visible; }
  tr, img { break-inside: avoid; }
}
"""


def to_markdown(blocks: Iterable[Block]) -> str:
    """Return the page as Markdown with GitHub's tables."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def to_html(blocks: Sequence[Block], folder: Path) -> str:
    """Return the page as one HTML file, with the pictures found in `folder` inside it."""
    title = next(block.text for block in blocks if isinstance(block, Heading))
    parts: list[str] = []
    for beside, run in groupby(blocks, key=lambda block: isinstance(block, Illustration) and not block.wide):
        inner = [_html(block, folder) for block in run]
        parts += ['<div class="pictures">', *inner, "</div>"] if beside else inner
    lines = ["<main>", *parts, "</main>", ""]
    return shell(title, "\n".join(lines), style=_STYLE)


def _markdown(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {_escape_markdown(text)}"
        case Paragraph(text, strong):
            return f"**{_escape_markdown(text)}**" if strong else _escape_markdown(text)
        case Illustration(file, alt):
            return f"![{_escape_markdown(alt)}]({file})"
        case Table(caption, head, rows):
            lines = [_markdown_row(head), "|---" * len(head) + "|", *map(_markdown_row, rows)]
            return f"{_escape_markdown(caption)}:\n\n" + "\n".join(lines)


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_escape_markdown, cells))} |"


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\`|*\[\]]|<(?=\S))", r"\\\1", " ".join(text.split()))


def _html(block: Block, folder: Path) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Paragraph(text, strong):
            mark = ' class="strong"' if strong else ""
            return f"<p{mark}>{html.escape(text)}</p>"
        case Illustration(file, alt, wide):
            data = (folder / file).read_bytes()
            width, height = struct.unpack(">II", data[16:24])  # PNG's IHDR, always the first chunk
            image = (
                f'<img alt="{html.escape(alt)}" width="{width}" height="{height}" '
                f'src="data:image/png;base64,{base64.b64encode(data).decode()}">'
            )
            return _scrolling(alt, image) if wide else image
        case Table(caption, head, rows):
            heads = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in head)
            body = "\n".join(map(_html_row, rows))
            return _scrolling(
                caption,
                f"<table>\n<caption>{html.escape(caption)}</caption>\n"
                f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>",
            )


def _html_row(cells: Sequence[str]) -> str:
    first, *others = map(_html_cell, cells)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'


def _html_cell(text: str) -> str:
    """Escape; let a digest or a long file name break, and keep an interval in one line."""
    pieces = re.findall(
        r"\S{1,16}|\s+", re.sub(r"\d to \d|\d %", lambda found: found[0].replace(" ", "\u00a0"), text)
    )
    return "".join(
        f"{html.escape(piece)}<wbr>" if len(piece) == 16 else html.escape(piece) for piece in pieces
    )


def _scrolling(label: str, inner: str) -> str:
    """Wrap what may be wider than the screen; the focus lets a keyboard scroll it."""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{html.escape(label)}">\n{inner}\n</div>'
    )

"""The report of a run as one HTML file that loads nothing but the pictures beside it.

While the run goes on, the rows of its table stand in `NAME.partial`, one a line and bounded in number; the
page is put together from them and the run's record, and appears under its own name whole. Its content
security policy lets run the one script and the one style that it holds, by their digests, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from io import BufferedWriter
from pathlib import Path
from string import Template
from typing import Final, Self

import numpy as np

from xray_infer.atomic import make_folder, refusal, write_atomically
from xray_infer.classes import HEATMAP_NOTICE, RESEARCH_NOTICE
from xray_infer.errors import OutputError
from xray_infer.outputs.heatmaps.blend import COLOURS
from xray_infer.outputs.heatmaps.methods import DEFAULT_METHOD, METHODS
from xray_infer.outputs.overlays import Overlays
from xray_infer.outputs.page import sections
from xray_infer.outputs.page.histogram import Histograms
from xray_infer.outputs.page.page_rows import MOST_ROWS, PageRows, linked_overlays, own_pictures
from xray_infer.outputs.page.page_text import data_json, escaped, relative_url
from xray_infer.outputs.page.report_pictures import ReportPictures
from xray_infer.outputs.page.sections import Record
from xray_infer.outputs.page.shell import BESIDE, page_part, shell
from xray_infer.run.artifact import ReportPage
from xray_infer.run.results import NO_LUNGS, NO_LUNGS_NOTICE, OK, Row
from xray_infer.run.writers import PARTIAL

SUFFIXES: Final = (".html", ".htm")
ROWS_A_PAGE: Final = 100
_ROWS_HERE: Final = "<!-- rows -->"


class Page(ReportPage):
    """The report of one run; a context manager that opens `NAME.partial` and leaves it unless finished.

    `results` is the file that has all rows, `class_names` are the model's. `pictures` are made while the run
    goes on; `overlays` are the files of `--heatmap`, None where the pictures have their own; both are by
    `method`. Raises OutputError: another suffix, a folder, not writable, a full disk.
    """

    def __init__(
        self,
        path: Path,
        results: Path,
        overlays: Overlays | None,
        *,
        class_names: Sequence[str],
        method: str = DEFAULT_METHOD,
        most_rows: int = MOST_ROWS,
    ) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise OutputError(f"{path}: a report is a web page; give --report a name that ends in .html")
        if path.is_dir():
            raise OutputError(f"{path}: is a folder; give --report a file name")
        self.path, self._results, self._overlays = path, results, overlays
        self.pictures = ReportPictures(path, overlays is None, method)
        self._partial = path.with_name(path.name + PARTIAL)
        self._most_rows, self._class_names = most_rows, class_names

    def __enter__(self) -> Self:
        """Open `NAME.partial`, and make the folder of the pictures: better now than at the first image."""
        try:
            self._stream: BufferedWriter = self._partial.open("wb")
        except OSError as error:
            raise refusal(self.path, "cannot write there", error) from error
        make_folder(self.pictures.folder)
        self._rows = PageRows(self._stream, self._class_names, most=self._most_rows)
        self._histograms = Histograms(self._class_names)
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        with suppress(OSError):  # what it could not write was said before
            self._stream.close()

    def write(self, name: str, row: Row) -> None:
        """Take in the row of the item of this name."""
        self._histograms.add(row)
        pictures = overlays = None
        if self.pictures.has(row):
            pictures = own_pictures(self.pictures, name)
        if row.status == OK:
            overlays = linked_overlays(self._overlays, name, self.path)
        try:
            self._rows.add(row, pictures, overlays)
        except OSError as error:
            raise refusal(self._partial, "cannot write", error) from error

    def publish(self, record: Record) -> None:
        """Put a page of the rows so far in place."""
        write_atomically(self.path, lambda temporary: self._compose(temporary, record))

    def finish(self, record: Record) -> None:
        """Put the page in place, and remove what was partial."""
        self.publish(record)
        self._stream.close()
        self._partial.unlink(missing_ok=True)

    def _compose(self, path: Path, record: Record) -> None:
        head, tail = self._form(record).split(_ROWS_HERE)
        with path.open("wb") as page:
            page.write(head.encode())
            page.writelines(_separated(self._rows.lines()))
            page.write(tail.encode())
            page.flush()
            os.fsync(page.fileno())  # on disk before its name is

    def _form(self, record: Record) -> str:
        """Return the page without its rows."""
        style = Template(page_part("page.css")).substitute(heat=", ".join(heat_stops()))
        script = page_part("page.js")
        facts = {
            "columns": self._rows.shown,
            "classes": self._class_names,
            "rows_a_page": ROWS_A_PAGE,
            "pictures": relative_url(self.pictures.folder, self.path),
            "suffixes": dict(self.pictures.suffixes),
            "heatmap_notice": HEATMAP_NOTICE,
            "without_lungs": [NO_LUNGS, NO_LUNGS_NOTICE],
        }
        name = os.path.basename(sections.source_of(record)) or "images"
        results = (
            f'<a href="{escaped(relative_url(self._results, self.path))}">{escaped(self._results.name)}</a>'
        )
        title = f"Chest X-ray report: {name}"
        body = Template(page_part("page.html")).substitute(
            script=script,
            title=escaped(title),
            research_notice=escaped(RESEARCH_NOTICE),
            heatmap_notice=escaped(HEATMAP_NOTICE),
            heatmap_title=escaped(METHODS[self.pictures.method].title),
            intended_use=escaped(_without_notice(record["model"]["intended_use"])),
            lead=sections.lead(record),
            alarm=sections.alarm(record),
            counts=sections.counts(record),
            histograms=self._histograms.to_html(),
            what_ran=sections.what_ran(record),
            left_out=self._left_out(results),
            results=results,
            facts=data_json(facts),
            rows=_ROWS_HERE,
        )
        return shell(title, body, style=style, script=script, pictures=BESIDE)

    def _left_out(self, results: str) -> str:
        """Say as HTML how many rows the page has not; an empty text when it has all."""
        rows = self._rows
        total = rows.answers + rows.without
        answers, without = rows.numbers
        if answers + without == total:
            return ""
        which = (
            f"the first {without:,} of {rows.without:,} images without an answer"
            if without < rows.without
            else f"all {without:,} images without an answer, the first {answers:,} of {rows.answers:,} others"
        )
        return (
            f'<p class="notice">This table has {answers + without:,} of {total:,} rows: {which}. '
            f"{total - answers - without:,} rows are left out. All are in {results}, and the figures above "
            "count all.</p>"
        )


def heat_stops(count: int = 9) -> list[str]:
    """Return the heat maps' colours from coldest to hottest, evenly spaced, as CSS has them."""
    chosen = COLOURS[np.linspace(0, len(COLOURS) - 1, count).round().astype(int), 0, ::-1]
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in chosen]


def _without_notice(text: str) -> str:
    """Return an intended use without the notice, which stands before it already."""
    return text.replace(RESEARCH_NOTICE, "").strip()


def _separated(lines: Iterable[bytes]) -> Iterable[bytes]:
    for number, line in enumerate(lines):
        yield b",\n" if number else b"\n"
        yield line

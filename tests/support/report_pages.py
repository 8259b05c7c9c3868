"""Pages of made-up rows, and a page as tests read it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE
from xray_infer.cli import main
from xray_infer.outputs.page.run_page import Page
from xray_infer.run.progress import Summary
from xray_infer.run.results import OK, Row

HOSTILE_NAMES = (
    "</script><script>alert(1)</script>.png",
    '"><img src=x onerror=alert(1)>.png',
    "<!--.png",
    "a 'quoted' & \"named\" film.png",
    "new\nline\r.png",
    "right\u202egnp.exe.png",
    "line\u2028end.png",
    "javascript:alert(1).png",
    "100%25#part?query.png",
    "عربي.png",
    "not utf-8 \udce9\udcff.png",
    " space first.png",
    "l" * 200 + ".png",
)
EMPTY = {"area", "br", "col", "hr", "img", "input", "link", "meta", "wbr"}  # HTML, 13.1.2: no end tag


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def rows_in(out: Path) -> list[dict[str, str]]:
    with out.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def made_up_rows(count: int, *, failed_every: int = 0) -> Iterator[Row]:
    """Yield rows with all kinds of probabilities; each `failed_every`-th could not be read."""
    for number in range(count):
        path = f"ward {number % 7}/film {number:05}.png"
        if failed_every and number % failed_every == 0:
            yield Row(path, "error", "tiny", "0" * 64, "none 1", reason=f"truncated PNG {number}")
            continue
        first = (number * 37 % 101) / 100
        second = (1 - first) * (0.75 if number % 2 else 0.25)
        chances = (first, second, 1 - first - second)
        label = CLASS_NAMES[chances.index(max(chances))]
        score = (number * 53 % 97) / 50
        yield Row(path, OK, "tiny", "0" * 64, "none 1", probabilities=chances, label=label, ood_score=score)


def write_page(
    path: Path,
    rows: Iterable[Row],
    *,
    most_rows: int = 20_000,
    names: Iterable[str] = (),
    overlays: Any = None,
) -> None:
    """Write a page of rows that no run made. `names` are the items', by default the rows' paths."""
    found = list(rows)
    summary = Summary(CLASS_NAMES)
    results = path.with_name("results.csv")
    with Page(path, results, overlays, class_names=CLASS_NAMES, most_rows=most_rows) as page:
        for row, name in zip(found, list(names) or [row.path for row in found], strict=True):
            page.write(name, row)
            summary.add(row)
        page.finish(example_record(summary))


def example_record(summary: Summary, **changes: object) -> dict[str, object]:
    """Return a record as a run writes it beside its results."""
    return {
        "finished": True,
        "results": "results.csv",
        "xray_infer": "0.1.0",
        "workers": 2,
        "what_rows_depend_on": {
            "source": "/films/2026",
            "runtime": "none 1",
            "min_confidence": 0.0,
            "ood_threshold": 1.5,
            "decoders": {"opencv": "5"},
            "isolate_s": None,
        },
        "model": {
            "name": "tiny",
            "version": "1",
            "method": "fine_tuning",
            "recipe": "int8-static",
            "format": "onnx",
            "class_names": list(CLASS_NAMES),
            "sha256": "0" * 64,
            "intended_use": f"Chest X-rays. {RESEARCH_NOTICE}",
        },
        "counts": {
            "images": summary.total,
            "by_status": dict(summary.statuses),
            "by_label": dict(summary.labels),
            "by_reason": {status: dict(reasons) for status, reasons in summary.reasons.items()},
            "reused_from_an_earlier_run": 0,
            "skipped_other_files": 0,
        },
        "alarm": {"status": "not known", "sentence": "the model file cannot compare films"},
        "time": {
            "started": "2026-01-02T03:04:05+00:00",
            "ended": "2026-01-02T03:05:05+00:00",
            "seconds": 60.0,
            "images_per_s": 12.5,
        },
        "machine": {"processor": "a processor", "system": "a system"},
        "versions": {"python": "3.11"},
        **changes,
    }


class ReadPage(HTMLParser):
    """A page taken apart: `tags` with their attributes in order, `texts` by what they stand in, its data."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = path.read_bytes().decode("utf-8")
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(self.source)
        self.close()
        assert not self._open
        self.facts = json.loads(self.script("facts"))
        self.rows = [
            dict(zip((*self.facts["columns"], "pictures", "overlays"), row, strict=True))
            for row in self.rows_json()
        ]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in EMPTY and not (self.get_starttag_text() or "").endswith("/>"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def attributes(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of every element of a tag."""
        return [attributes for name, attributes in self.tags if name == tag]

    def script(self, identity: str) -> str:
        """Return the text of the script element with this id; an empty one names the page's own script."""
        scripts = [text for tag, text in self.texts if tag == "script"]
        ids = [attributes.get("id", "") for attributes in self.attributes("script")]
        return scripts[ids.index(identity)]

    def rows_json(self) -> list[list[object]]:
        """Return the rows as they stand in the page."""
        rows: list[list[object]] = json.loads(self.script("rows"))
        return rows

    def text(self) -> str:
        """Return what is read, in one line."""
        return " ".join(" ".join(text for tag, text in self.texts if tag not in ("script", "style")).split())


def luminance(colour: str) -> float:
    """Return a colour's relative luminance (WCAG 2.2)."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)

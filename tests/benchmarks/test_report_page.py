"""The page of a benchmark: one file that holds everything, loads nothing and describes its pictures."""

import base64
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
from bench_results import accuracy_only, all_of_it, few_rows, figures_of, made_up, single_row, speed_only
from browser import chromium, found_browser
from report_pages import contrast

from xray_infer.benchmarks.reporting.accuracy_plots import chosen_rows
from xray_infer.benchmarks.reporting.bench_figures import BenchFigures, title
from xray_infer.benchmarks.reporting.drawing import RUNTIMES, SERIES
from xray_infer.benchmarks.reporting.speed_plots import pareto
from xray_infer.benchmarks.reporting.summary_tables import doubts
from xray_infer.benchmarks.reporting.writing import make_report, write_report
from xray_infer.classes import RESEARCH_NOTICE

CHANGES = {
    "all": all_of_it,
    "accuracy": lambda results: few_rows(accuracy_only(results)),  # a row's pictures take a second
    "speed": lambda results: few_rows(speed_only(results)),
    "one row": single_row,
}


class Page(HTMLParser):
    """What a page holds: tags with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def pictures(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == "img"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A function from a change's name to figures and page, each made once: tests come in any order."""

    @cache
    def page_of(name: str) -> tuple[BenchFigures, Path]:
        out = tmp_path_factory.mktemp("report")
        figures = figures_of(CHANGES[name])
        write_report(figures, out)
        return figures, out / "results.html"

    return page_of


@pytest.fixture(params=CHANGES)
def made(request, pages):
    return pages(request.param)


def test_the_page_holds_every_row(made):
    figures, path = made
    page = Page(path.read_text())
    rows = [cells for cells in page.text.split("All rows", 1)[1].splitlines() if cells.strip()]
    for model in figures.results.models:
        assert any(model.row.recipe in row and model.row.runtime in row for row in rows)
        assert title(model.row) in page.text


def test_the_page_refers_to_nothing_outside_and_runs_nothing(made):
    _, path = made
    text = path.read_text()
    page = Page(text)
    assert not re.search(r"https?:", text)
    assert not {"script", "link", "iframe", "object", "a"} & {tag for tag, _ in page.tags}
    for picture in page.pictures():
        head, data = picture["src"].split(",", 1)
        assert head == "data:image/svg+xml;base64"
        svg = base64.b64decode(data).decode()
        assert not re.search(r'(?:href|src)="(?!#|data:)', svg)
        assert "prefers-color-scheme:dark" in svg


def test_every_picture_says_what_it_shows(made):
    _, path = made
    alts = [picture["alt"] for picture in Page(path.read_text()).pictures()]
    assert alts
    assert len(set(alts)) == len(alts)
    assert min(map(len, alts)) > 40


def test_notice_and_warnings_come_before_any_figure(made):
    figures, path = made
    text = Page(path.read_text().split("<main>")[1]).text
    assert text.index(RESEARCH_NOTICE) < text.index("All rows")
    for sentence in doubts(figures):
        assert text.replace("\u00a0", " ").index(sentence) < text.index("All rows")


def test_what_the_data_says_is_escaped(tmp_path):
    results = single_row(made_up())
    results.sets[0].sources[:] = ["<b>here</b>" for _ in results.sets[0].sources]
    make_report(results, tmp_path)
    text = (tmp_path / "results.html").read_text()
    assert "<b>" not in text
    assert "&lt;b&gt;here" in text


def test_equal_results_give_equal_pages(tmp_path):
    for name in ("a", "b"):
        make_report(single_row(made_up()), tmp_path / name)
    assert (tmp_path / "a/results.html").read_bytes() == (tmp_path / "b/results.html").read_bytes()


def test_curves_are_of_the_reference_and_the_fastest_row():
    rows = chosen_rows(figures_of(all_of_it))
    assert [key.recipe for key in rows] == ["fp32", "int8-static"] * 2
    assert [key.runtime for key in rows] == ["keras", "openvino"] * 2


def test_no_row_is_faster_and_more_accurate_than_one_of_the_line():
    figures = figures_of(all_of_it)
    rows = [key for key in figures.accuracy if key.method == "fine_tuning"]

    def place(key):
        return figures.speed[key].p50_ms.value, figures.accuracy[key].metrics.accuracy

    best = pareto(figures, rows)
    for key in rows:
        beaten = any(
            place(one)[0] <= place(key)[0] and place(one)[1] >= place(key)[1] for one in rows if one != key
        )
        assert (key in best) != beaten


@pytest.mark.parametrize("back", ["#ffffff", "#0d1117"])
def test_colours_of_series_can_be_seen_in_light_and_dark(back):
    for colour in {*SERIES, *(colour for colour, _ in RUNTIMES.values())}:
        assert contrast(colour, back) >= 3, colour


@pytest.mark.skipif(not found_browser(), reason="needs Chromium")
def test_a_browser_shows_it_at_any_width_without_a_complaint(made, tmp_path):
    _, path = made
    with chromium(tmp_path) as tab:
        for width in (360, 800, 1600):
            tab.resize(width)
            tab.open(path.as_uri())
            assert tab.value("document.documentElement.scrollWidth") <= width
            assert tab.value("[...document.images].every(one => one.complete && one.naturalWidth > 100)")
        assert [one for one in tab.messages if "asked for data:" not in one] == []

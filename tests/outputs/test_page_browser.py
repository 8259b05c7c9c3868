"""The report in a real browser, opened from disk: nothing complains, and everything can be done by keyboard.

Needs Chromium (`apt-get install chromium`; XRAY_TEST_CHROMIUM names another). The check of accessibility also
needs axe-core, which `pip install --no-deps axe-playwright-python` (0.6 MB) brings as a file.

`pytest tests/outputs/test_page_browser.py -k ten_thousand -s` prints the page's size and times for 10,000
rows.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from approved import approved
from browser import Tab, chromium, found_browser
from click.testing import CliRunner
from places import SAMPLES
from report_pages import HOSTILE_NAMES, made_up_rows, write_page
from specimens import png

from xray_infer.classes import CLASS_NAMES
from xray_infer.cli import main
from xray_infer.outputs.page.page_text import visible

SAYS = approved("xray-infer")

pytestmark = pytest.mark.skipif(found_browser() is None, reason="no Chromium here")
WIDTHS = (360, 800, 1600)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    profile = tmp_path_factory.mktemp("profile")
    with chromium(profile) as tab:
        yield tab
    shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture
def tab(browser) -> Iterator[Tab]:
    """A tab in which nothing may complain: no console, no exception, no policy, no request but for files."""
    browser.messages.clear()
    browser.resize(1600)
    browser.prefer("light")
    yield browser
    browser.value("1")  # what it still has to say
    assert browser.messages == []


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of the shipped model over files of hostile names, two that cannot be read, and noise."""
    root = tmp_path_factory.mktemp("hostile")
    film = (SAMPLES / "phantom_focal_1.png").read_bytes()
    films = root / "films"
    for name in (*HOSTILE_NAMES, "a/b.png"):
        (films / name).parent.mkdir(parents=True, exist_ok=True)
        (films / name).write_bytes(film)
    (films / "empty.png").write_bytes(b"")
    (films / "torn.png").write_bytes(film[:300])
    (films / "noise.png").write_bytes(
        png(np.random.default_rng(0).integers(0, 256, (500, 400)).astype(np.uint8))
    )
    given = [films, "--out", root / "r.csv", "--report", root / "report.html"]
    assert CliRunner().invoke(main, list(map(str, given))).exit_code == 1
    return root / "report.html"


@pytest.fixture
def long_report(tmp_path: Path) -> Path:
    """A report of 250 made-up rows, every 50th without an answer, with a picture each."""
    path = tmp_path / "long.html"
    rows = list(made_up_rows(250, failed_every=50))
    write_page(path, rows)
    picture = cv2.imencode(".jpg", np.full((20, 30), 99, np.uint8))[1].tobytes()
    for row in rows:
        if row.status == "ok":
            for suffix in (".thumbnail.jpg", ".view.jpg", ".heatmap.jpg"):
                place = tmp_path / "long_files" / f"{row.path}{suffix}"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(picture)
    return path


def column(tab: Tab, number: int) -> list[str]:
    return tab.value(
        f"[...document.querySelectorAll('#body tr')].map(row => row.children[{number}].textContent)"
    )


def text(tab: Tab, identity: str) -> str:
    return tab.value(f"document.getElementById('{identity}').textContent")


def choose(tab: Tab, identity: str, value: str) -> None:
    """Fill in a field as a reader would."""
    tab.value(
        f"(() => {{ const field = document.getElementById('{identity}'); field.value = {json.dumps(value)};"
        "field.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


def click(tab: Tab, selector: str) -> None:
    """Press what is first of a selector; a press gives the focus, too."""
    pressed = f"document.querySelector({json.dumps(selector)})"
    tab.value(f"{pressed}.focus(); {pressed}.click()")


def test_hostile_names_are_shown_as_text_with_their_pictures(tab, hostile_report):
    tab.open(hostile_report.as_uri())
    paths = column(tab, 1)
    for name in HOSTILE_NAMES:
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        assert visible(shown) in paths
    tab.value("document.querySelectorAll('#body img').forEach(one => { one.loading = 'eager'; })")
    tab.until("[...document.querySelectorAll('#body img')].every(one => one.complete)")
    widths = tab.value("[...document.querySelectorAll('#body img')].map(one => one.naturalWidth)")
    assert len(widths) == len(HOSTILE_NAMES) + 2  # with noise, which was decoded before it was rejected
    assert all(width > 100 for width in widths)
    assert column(tab, 0).count("no picture") == 2
    assert tab.value("document.querySelectorAll('script').length") == 3
    for index in range(len(widths)):
        click(tab, f"#body tr:nth-child({index + 1}) .thumbnail") if index == 0 else tab.press("ArrowRight")
        tab.until(
            "document.getElementById('original').complete && document.getElementById('original').naturalWidth"
        )
        if not tab.value("document.getElementById('map').hidden"):
            tab.until("document.getElementById('overlay').naturalWidth > 0")
    tab.press("Escape")


def test_headings_sort_by_their_columns(tab, long_report):
    tab.open(long_report.as_uri())
    unsorted = column(tab, 1)
    for number, key, numeric in ((1, "path", False), (4, "prob_covid", True), (7, "ood_score", True)):
        button, head = f"[data-key={key}] button", f"document.querySelector('[data-key={key}]')"
        for _ in range(2):
            click(tab, button)
            shown = [value for value in column(tab, number) if value]
            values = [float(value) for value in shown] if numeric else shown
            direction = tab.value(f"{head}.ariaSort")
            assert direction in ("ascending", "descending")
            assert values == sorted(values, reverse=direction == "descending")
            assert tab.value("document.querySelectorAll('[aria-sort]').length") == 1
        click(tab, button)
        assert tab.value(f"{head}.ariaSort") is None
        assert column(tab, 1) == unsorted
    click(tab, "[data-key=prob_covid] button")
    click(tab, "#last")
    assert column(tab, 2)[-5:] == ["error"] * 5  # without a number: last
    click(tab, "[data-key=prob_covid] button")
    click(tab, "#last")
    assert column(tab, 2)[-5:] == ["error"] * 5


def test_filters_work_alone_and_together(tab, long_report):
    rows = list(made_up_rows(250, failed_every=50))
    tab.open(long_report.as_uri())
    assert text(tab, "shown") == "Rows 1 to 100 of 250"
    choose(tab, "by-text", "WARD 3/")
    expected = [row.path for row in rows if row.path.startswith("ward 3/")]
    assert column(tab, 1) == expected
    assert text(tab, "shown") == SAYS["rows-to-of-of"].format(value=len(expected))
    choose(tab, "by-label", "normal")
    both = [row.path for row in rows if row.path in expected and row.label == "normal"]
    assert 0 < len(both) < len(expected)
    assert column(tab, 1) == both
    click(tab, "[type=reset]")
    tab.until("document.getElementById('shown').textContent === 'Rows 1 to 100 of 250'")
    choose(tab, "by-text", "truncated png 50")
    assert column(tab, 1) == ["ward 1/film 00050.png"]
    choose(tab, "by-text", "")
    choose(tab, "by-class", "prob_covid")
    choose(tab, "by-low", "90")
    choose(tab, "by-high", "95.0")
    assert column(tab, 1) == [
        row.path for row in rows if row.probabilities and 0.9 <= row.probabilities[0] <= 0.95
    ]
    choose(tab, "by-status", "error")
    assert text(tab, "shown") == SAYS["no-row-fits-these"]
    click(tab, "button[data-status=error]")
    tab.until("document.querySelectorAll('#body tr').length === 5")
    assert column(tab, 2) == ["error"] * 5
    assert tab.value("document.activeElement.id") == "images"


def test_pages_of_the_table(tab, long_report):
    tab.open(long_report.as_uri())
    tab.value("document.getElementById('next').focus()")
    for place, count, dead in ((2, 100, False), (3, 50, True), (3, 50, True)):
        tab.press("Enter")
        assert text(tab, "place") == f"Page {place} of 3"
        assert len(column(tab, 1)) == count
        assert tab.value("document.getElementById('next').ariaDisabled") == str(dead).lower()
        assert tab.value("document.activeElement.id") == "next"  # also where there is no next one
    click(tab, "#first")
    assert text(tab, "shown") == "Rows 1 to 100 of 250"
    click(tab, "#last")
    click(tab, "#previous")
    assert text(tab, "shown") == "Rows 101 to 200 of 250"


def test_the_viewer_by_keyboard(tab, long_report):
    tab.open(long_report.as_uri())
    viewer = "document.getElementById('viewer')"
    tab.value("document.querySelector('#body .thumbnail').focus()")
    opener = tab.value("document.activeElement.dataset.row")
    tab.press("Enter")
    assert tab.value(f"{viewer}.open")
    assert tab.value(f"{viewer}.contains(document.activeElement)")
    assert text(tab, "viewer-title") == "ward 1/film 00001.png"
    assert text(tab, "viewer-place") == "Image 1 of 245"
    assert SAYS["not-a-localisation-of"] in tab.value("document.getElementById('map').innerText")
    tab.press("ArrowLeft")
    assert text(tab, "viewer-place") == "Image 1 of 245"
    tab.press("ArrowRight")
    tab.press("ArrowRight")
    assert text(tab, "viewer-title") == "ward 3/film 00003.png"
    assert tab.value("document.getElementById('original').alt") == SAYS["the-image-ward-film"]
    tab.press("ArrowLeft")
    for _ in range(12):  # the focus stays inside
        tab.press("Tab")
        assert tab.value(
            f"document.activeElement === document.body || {viewer}.contains(document.activeElement)"
        )
    tab.press("Escape")
    assert not tab.value(f"{viewer}.open")
    tab.until("document.activeElement.dataset.row === '2'")
    assert opener == "1"
    # Beyond the page of the table: the focus goes to the image that was shown last.
    click(tab, "[data-row='99']")
    for _ in range(3):
        tab.press("ArrowRight")
    click(tab, "#viewer-close")
    tab.until("document.activeElement.dataset.row === '103'")
    assert text(tab, "place") == "Page 2 of 3"


def test_the_viewer_follows_filters_and_order(tab, long_report):
    tab.open(long_report.as_uri())
    choose(tab, "by-label", "normal")
    click(tab, "[data-key=ood_score] button")
    order = column(tab, 1)
    assert len(order) > 5
    click(tab, "#body .thumbnail")
    for path in order[:5]:
        assert text(tab, "viewer-title") == path
        tab.press("ArrowRight")
    tab.press("Escape")


def test_heat_maps_of_all_classes_can_be_chosen(tab, tmp_path):
    class EveryClass:
        method = "gradcam"

        def files(self, name):
            return {one: tmp_path / "maps" / f"{name}.{one}.heatmap.jpg" for one in CLASS_NAMES}

    rows = list(made_up_rows(3))
    write_page(tmp_path / "p.html", rows, overlays=EveryClass())
    for row in rows:
        stem = tmp_path / "p_files" / row.path
        own = [stem.with_name(f"{stem.name}{suffix}") for suffix in (".thumbnail.jpg", ".view.jpg")]
        for path in (*own, *EveryClass().files(row.path).values()):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(".jpg", np.zeros((8, 8), np.uint8))[1].tobytes())
    tab.open((tmp_path / "p.html").as_uri())
    click(tab, "#body .thumbnail")
    pressed = "[...document.querySelectorAll('#kinds [aria-pressed=true]')].map(one => one.textContent)"
    assert tab.value(pressed) == [rows[0].raw_label]
    click(tab, "#kinds [data-kind=normal]")
    assert tab.value(pressed) == ["normal"]
    source = tab.value("document.getElementById('overlay').src")
    assert source.endswith("/maps/ward%200/film%2000000.png.normal.heatmap.jpg")
    tab.until("document.getElementById('overlay').naturalWidth > 0")
    tab.press("ArrowRight")
    assert tab.value(pressed) == ["normal"]  # what was chosen stays
    assert "'normal'" in text(tab, "overlay-caption")
    tab.press("Escape")


def test_everything_is_reached_by_tab_in_the_order_of_the_page(tab, hostile_report):
    tab.open(hostile_report.as_uri())
    reached = []
    for _ in range(60):
        tab.press("Tab")
        if tab.value("document.activeElement === document.body"):
            break
        style = "getComputedStyle(document.activeElement)"
        assert tab.value(f"{style}.outlineStyle") != "none"  # the focus is seen
        assert tab.value(f"parseFloat({style}.outlineWidth)") >= 2
        reached.append(tab.value("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    wanted = tab.value(
        "[...document.querySelectorAll('a, button, input, select, summary, .scroll')]"
        ".filter(one => one.checkVisibility()).map(one => [...document.querySelectorAll('*')].indexOf(one))"
    )
    assert reached == sorted(wanted)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_at_any_width(tab, hostile_report, width):
    tab.resize(width)
    tab.open(hostile_report.as_uri())
    fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert tab.value(fits)
    scroll = "document.querySelector('.scroll')"
    assert tab.value(f"{scroll}.scrollWidth <= {scroll}.clientWidth")
    click(tab, "#body .thumbnail")
    viewer = "document.getElementById('viewer')"
    assert tab.value(f"{viewer}.scrollWidth <= {viewer}.clientWidth")
    assert tab.value(f"{viewer}.getBoundingClientRect().right <= innerWidth")
    close = "document.getElementById('viewer-close').getBoundingClientRect()"
    assert tab.value(f"{close}.bottom <= innerHeight && {close}.height >= 24")  # WCAG 2.2, 2.5.8
    roles = tab.call("Accessibility.getFullAXTree")["nodes"]
    assert tab.value(fits)
    tab.press("Escape")
    roles = [
        node["role"]["value"] for node in tab.call("Accessibility.getFullAXTree")["nodes"] if "role" in node
    ]
    assert roles.count("rowheader") >= 18  # a card is a row, for who listens to it
    assert roles.count("columnheader") >= 8


def test_colours_follow_the_readers_choice(tab, hostile_report):
    backs = []
    for scheme in ("light", "dark"):
        tab.prefer(scheme)
        tab.open(hostile_report.as_uri())
        backs.append(tab.value("getComputedStyle(document.body).backgroundColor"))
    assert backs == ["rgb(255, 255, 255)", "rgb(13, 17, 23)"]


def test_in_print_the_controls_are_gone(tab, long_report):
    tab.open(long_report.as_uri())
    tab.call("Emulation.setEmulatedMedia", media="print", features=[])
    try:
        for selector in ("#filters", "nav", ".skip", "button[data-status]"):
            assert not tab.value(f"document.querySelector('{selector}').checkVisibility()")
        assert tab.value("document.querySelector('.notice').checkVisibility()")
        assert tab.value("document.querySelector('#body img').checkVisibility()")
        assert tab.value("document.querySelector('#heads button').checkVisibility()")
    finally:
        tab.call("Emulation.setEmulatedMedia", media="", features=[])


def test_without_script_the_counts_can_be_read(tab, long_report):
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.call("Page.navigate", url=long_report.as_uri())
        seen = ""
        for _ in range(100):
            nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
            seen = " ".join(str(node["name"].get("value")) for node in nodes if "name" in node)
            if "needs JavaScript" in seen and "What ran" in seen:
                break
        assert "needs JavaScript" in seen
        assert SAYS["classified-rejected-could-not-be-read"] in seen
        assert "Clear filters" not in seen
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing(tab, hostile_report, scheme, width):
    """axe-core's rules for WCAG 2.2 A and AA and its best practices, on the page and on the open viewer."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("no axe-core here: pip install --no-deps axe-playwright-python")
    axe = Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8")
    tab.resize(width)
    tab.prefer(scheme)
    tab.open(hostile_report.as_uri())
    tab.value(f"{axe}; 0")
    for viewer in (False, True):
        if viewer:
            click(tab, "#body .thumbnail")
        problems = tab.value(
            "axe.run().then(result => result.violations.map("
            "one => [one.id, one.help, one.nodes.map(node => node.html).slice(0, 3)]))"
        )
        assert problems == []
    tab.press("Escape")
    tab.messages[:] = [one for one in tab.messages if "axe" not in one.lower()]  # it speaks of its own work


def test_ten_thousand_rows_can_be_used(browser, tmp_path):
    tab = browser  # it may complain: these rows have no pictures
    tab.resize(1600)
    path = tmp_path / "big.html"
    write_page(path, made_up_rows(10_000, failed_every=200))
    tab.open(path.as_uri())
    size = path.stat().st_size
    assert size < 4_000_000
    assert tab.value("document.querySelectorAll('#body tr').length") == 100

    def timed(action: str) -> float:
        """Return how many ms an action takes until the page is laid out again."""
        code = f"{action}; document.body.offsetHeight; return performance.now() - began;"
        return tab.value(f"(() => {{ const began = performance.now(); {code} }})()")

    times = {"load": tab.value("performance.timing.loadEventEnd - performance.timing.navigationStart")}
    for name in ("path", "prob_covid", "reason"):
        times[f"sort by {name}"] = timed(f"document.querySelector('[data-key={name}] button').click()")
    for name, value in (("by-text", "film 00"), ("by-low", "90"), ("by-status", "error")):
        field = f"document.getElementById('{name}')"
        change = f"{field}.value = '{value}'; {field}.dispatchEvent(new Event('input', {{bubbles: true}}))"
        times[f"filter {name}"] = timed(change)
    times["clear"] = timed("document.querySelector('[type=reset]').click()")
    tab.until("document.getElementById('place').textContent === 'Page 1 of 100'")
    times["next page"] = timed("document.getElementById('next').click()")
    told = ", ".join(f"{name} {ms:.0f} ms" for name, ms in times.items())
    print(f"\n10,000 rows: {size:,} bytes; {told}")
    click(tab, "[data-key=prob_covid] button")
    click(tab, "[data-key=prob_covid] button")
    values = [float(value) for value in column(tab, 4)]
    assert values == sorted(values)

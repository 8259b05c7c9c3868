"""--report: what stands in the page, that no data can break it, and that runs end with a whole one."""

import base64
import hashlib
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

import cv2
import numpy as np
import pytest
from approved import approved
from places import REPOSITORY
from report_pages import HOSTILE_NAMES, ReadPage, example_record, made_up_rows, rows_in, run, write_page
from specimens import png

from xray_infer.classes import CLASS_NAMES, HEATMAP_NOTICE, RESEARCH_NOTICE
from xray_infer.outputs.naming import file_for
from xray_infer.outputs.overlays import Overlays
from xray_infer.outputs.page.histogram import Histograms, described
from xray_infer.outputs.page.page_text import data_json, quoted_path, visible
from xray_infer.outputs.page.run_page import Page
from xray_infer.outputs.shrinking import shrunk
from xray_infer.run.progress import Summary
from xray_infer.run.results import Row

SAYS = approved("xray-infer")


@pytest.fixture
def mixed(folder, xray) -> Path:
    """The six good images, two that cannot be read, and one of a frightening name."""
    (folder / "empty.png").write_bytes(b"")
    (folder / "torn.png").write_bytes(png(xray)[:200])
    (folder / "</script><b>.png").parent.mkdir()
    (folder / "</script><b>.png").write_bytes(png(xray))
    return folder


@pytest.fixture
def page(mixed, tiny_onnx, tmp_path) -> ReadPage:
    result = run(
        mixed, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--report", tmp_path / "report.html"
    )
    assert result.exit_code == 1, result.stderr
    assert result.stderr.endswith(f"report: {tmp_path / 'report.html'}\n")
    return ReadPage(tmp_path / "report.html")


def test_the_page_has_the_rows_of_the_results(page, tmp_path):
    rows = rows_in(tmp_path / "r.csv")
    assert len(rows) == len(page.rows) == 9
    for row, shown in zip(rows, page.rows, strict=True):
        for column in ("path", "status", "label", "raw_label", "reason"):
            assert shown[column] == row[column]
        for column in ("prob_covid", "prob_pneumonia", "prob_normal", "confidence", "ood_score"):
            assert shown[column] == (float(row[column]) if row[column] else None)
    assert [row["pictures"] is None for row in page.rows] == [row["status"] == "error" for row in rows]


def test_the_page_says_what_came_of_the_run_and_what_ran(page, tmp_path):
    text, rows = page.text(), rows_in(tmp_path / "r.csv")
    record = json.loads((tmp_path / "r.csv.run.json").read_text())
    assert "9 images from" in text
    assert SAYS["classified-rejected-could-not"] in text
    cells = [data for tag, data in page.texts if tag in ("th", "td")]
    for label in ("covid", "pneumonia", "normal"):
        count = sum(row["label"] == label for row in rows)
        assert cells[cells.index(label) + 1] == str(count)
    for reason in {row["reason"] for row in rows if row["status"] == "error"}:
        assert cells[cells.index(reason) + 1] == "1"
    values = [data for tag, data in page.texts if tag == "dd"]
    model = record["model"]
    assert f"{model['name']} {model['version']}, trained by {model['method']}" in values
    assert any(model["recipe"] in value and model["format"] in value for value in values)
    for fact in ("model_sha256", "source"):
        assert record["what_rows_depend_on"][fact] in values
    assert any(record["what_rows_depend_on"]["runtime"] in value for value in values)
    assert record["time"]["started"][:19].replace("T", " ") + " UTC" in values


def test_the_page_warns_at_the_top_and_at_every_heat_map(page):
    text = page.text()
    assert text.index(RESEARCH_NOTICE) < text.index("What came of it")
    assert text.count(RESEARCH_NOTICE) >= 3
    viewer = page.source[page.source.index("<dialog") : page.source.index("</dialog>")]
    assert HEATMAP_NOTICE in viewer[viewer.index('<figure id="map">') : viewer.rindex("</figure>")]
    assert RESEARCH_NOTICE in viewer
    assert page.facts["heatmap_notice"] == HEATMAP_NOTICE


def test_the_page_may_run_its_own_script_and_load_nothing_but_pictures(page):
    (policy,) = [one["content"] for one in page.attributes("meta") if "http-equiv" in one]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "'self' file:"
    (style,) = [text for tag, text in page.texts if tag == "style"]
    for rule, text in (("script-src", page.script("")), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert [one.get("id") for one in page.attributes("script")] == ["facts", "rows", None]
    for _, attributes in page.tags:
        assert not {"src", "style", "srcset", "action"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
    assert {one["href"] for one in page.attributes("a")} == {"#images", "r.csv"}
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch("):
        assert forbidden not in page.script("")


def test_the_page_is_built_for_keyboards_and_screen_readers(page):
    assert page.attributes("html") == [{"lang": "en"}]
    names = [tag for tag, _ in page.tags]
    for landmark in ("header", "main", "footer", "nav"):
        assert names.count(landmark) == 1
    assert names.count("h1") == 1
    identities = [one["id"] for _, one in page.tags if "id" in one]
    assert len(identities) == len(set(identities))
    for _, one in page.tags:
        for reference in (*one.get("aria-labelledby", "").split(), *one.get("for", "").split()):
            assert reference in identities
    for match in re.finditer(r"<(?:input|select)\b", page.source):
        before = page.source[: match.start()]
        assert before.rindex("<label>") > before.rindex("</label>") if "</label>" in before else True
    assert all(one.get("type") in ("button", "reset") for one in page.attributes("button"))
    assert all(one.get("scope") in ("col", "row") for one in page.attributes("th"))
    assert all("alt" in one for one in page.attributes("img"))
    assert all(one["role"] == "img" and one["aria-labelledby"] for one in page.attributes("svg"))
    outside = re.sub(r"<noscript>.*?</noscript>", "", page.source, flags=re.DOTALL)
    assert "7 classified" in outside  # read without a script, too
    assert '<div id="table" hidden>' in outside


def test_the_pictures_are_small_and_whole(page, tmp_path, mixed):
    files = tmp_path / "report_files"
    for row in page.rows:
        if row["status"] != "ok":
            continue
        stem = file_for(files, row["path"], "")
        thumbnail, view, overlay = (
            cv2.imread(f"{stem}{suffix}", cv2.IMREAD_UNCHANGED) for suffix in page.facts["suffixes"].values()
        )
        original = cv2.imread(str(mixed / row["path"]), cv2.IMREAD_GRAYSCALE)
        assert thumbnail.shape == (160, 139)
        assert view.shape == original.shape  # smaller than a view's bound
        assert np.abs(view.astype(int) - original).mean() < 3
        assert overlay.shape[0] > view.shape[0]  # a caption stands below
        assert overlay.shape[1] >= view.shape[1]
    assert shrunk(np.zeros((3000, 2000), np.uint8), 1024).shape == (1024, 683)
    assert shrunk(np.zeros((30000, 3), np.uint8), 1024).shape == (1024, 1)
    assert page.facts["pictures"] == "report_files"
    assert len(list(files.rglob("*.jpg"))) == 21


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_no_name_breaks_the_page_or_its_pictures(tmp_path, name):
    row = next(made_up_rows(1))
    shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    source = f"/films/{shown}"
    path = tmp_path / "report.html"
    summary = Summary(CLASS_NAMES)
    hostile = Row(
        shown, "ok", "m", "0", "r", probabilities=row.probabilities, label="covid", reason=f"<b>{shown}"
    )
    with Page(path, tmp_path / f"{name[:100]}.csv", None, class_names=CLASS_NAMES) as page:
        page.write(name, hostile)
        page.write(name, Row(shown, "error", "m", "0", "r", reason=f"<b>{shown}"))
        summary.add(hostile)
        summary.add(Row(shown, "error", "m", "0", "r", reason=f"<b>{shown}"))
        record = example_record(summary)
        record["what_rows_depend_on"]["source"] = source
        page.finish(record)
    read = ReadPage(path)  # every element is closed where it should be
    assert len(read.attributes("script")) == 3
    assert "<" not in read.script("rows") + read.script("facts")
    assert [one["path"] for one in read.rows] == [visible(shown)] * 2
    assert visible(source) in read.text() or " ".join(visible(source).split()) in read.text()
    assert len(read.attributes("b")) == 4  # those of the glossary
    assert not set("\u202e\u2028\r") & set(read.source)
    stem = file_for(tmp_path / "report_files", name, ".thumbnail.jpg")
    assert re.fullmatch(r"[\w.~%/-]*", read.rows[0]["pictures"], re.ASCII)
    assert os.fsencode(tmp_path / "report_files") + b"/" + unquote_to_bytes(
        read.rows[0]["pictures"] + ".thumbnail.jpg"
    ) == os.fsencode(stem)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("عربي 日本 é 😀", "عربي 日本 é 😀"),
        ("a\nb\tc\0", "a\\u000Ab\\u0009c\\u0000"),
        ("\u202ecod.exe\u2066\u200f\ufeff", "\\u202Ecod.exe\\u2066\\u200F\\uFEFF"),
        ("\udce9\u2028\u2029", "\\uDCE9\\u2028\\u2029"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text, shown):
    assert visible(text) == shown


def test_data_is_ascii_without_an_opening_bracket():
    text = data_json(["</script>", "\u2028", "\ud800", {"<!--": None}])
    assert text.isascii()
    assert "<" not in text
    assert json.loads(text) == ["</script>", "\u2028", "\ud800", {"<!--": None}]
    with pytest.raises(ValueError, match="JSON"):
        data_json(float("nan"))


def test_a_url_keeps_every_byte_of_a_name():
    assert quoted_path("a b/\udce9#?%\\:é.png") == "a%20b/%E9%23%3F%25%5C%3A%C3%A9.png"


def test_a_score_that_is_no_number_is_none_in_the_page(tmp_path):
    row = Row("a", "rejected", "m", "0", "r", ood_score=float("nan"), reason="unlike")
    write_page(tmp_path / "p.html", [row])
    assert ReadPage(tmp_path / "p.html").rows[0]["ood_score"] is None


def test_a_long_run_keeps_all_failures_and_says_what_is_left_out(tmp_path):
    path = tmp_path / "p.html"
    rows = list(made_up_rows(1000, failed_every=50))
    write_page(path, rows, most_rows=100)
    read = ReadPage(path)
    kept = [row["path"] for row in read.rows]
    assert len(kept) == 100
    failed = [row.path for row in rows if row.status == "error"]
    good = [row.path for row in rows if row.status == "ok"]
    assert set(kept) == {*failed, *good[:80]}
    assert kept == sorted(kept, key=[row.path for row in rows].index)
    text = read.text()
    assert SAYS["this-table-has-of"] in text
    assert SAYS["all-images-without-an"] in text
    assert SAYS["rows-are-left-out"] in text
    assert SAYS["classified-rejected-could-not-be"] in text
    assert "Of 980 images" in text  # the histograms count all of them


def test_more_failures_than_rows_fit_leave_no_room_for_others(tmp_path):
    write_page(tmp_path / "p.html", made_up_rows(300, failed_every=2), most_rows=100)
    read = ReadPage(tmp_path / "p.html")
    assert [row["status"] for row in read.rows] == ["error"] * 100
    assert SAYS["the-first-of-images"] in read.text()
    assert "200 rows are left out" in read.text()


def test_a_page_with_all_rows_leaves_nothing_out(tmp_path):
    write_page(tmp_path / "p.html", made_up_rows(100), most_rows=100)
    read = ReadPage(tmp_path / "p.html")
    assert len(read.rows) == 100
    assert "left out" not in read.text()


def test_what_is_kept_while_a_run_goes_on_does_not_grow_with_it(tmp_path):
    with Page(tmp_path / "p.html", tmp_path / "r.csv", None, class_names=CLASS_NAMES, most_rows=20) as page:
        sizes = []
        for number, row in enumerate(made_up_rows(4000, failed_every=10)):
            page.write(row.path, row)
            if number % 1000 == 999:
                page.publish(example_record(Summary(CLASS_NAMES)))
                sizes.append((tmp_path / "p.html.partial").stat().st_size)
    assert len(set(sizes)) == 1
    assert len((tmp_path / "p.html.partial").read_bytes().splitlines()) == 40


def test_histograms_count_every_answer_once():
    histograms = Histograms(CLASS_NAMES)
    rows = list(made_up_rows(500, failed_every=5))
    rows.append(Row("edge", "ok", "m", "0", "r", probabilities=(1.0, 0.0, 0.0), label="covid"))
    for row in rows:
        histograms.add(row)
    values = np.array([row.probabilities for row in rows if row.probabilities])
    for number, counts in enumerate(histograms.counts.values()):
        assert sum(counts) == 401
        assert counts == np.histogram(np.floor(values[:, number] * 20), bins=np.arange(21))[0].tolist()
    assert described("covid", [5, 0, 1, *[0] * 15, 2, 1]) == (SAYS["of-images-have-a"])
    assert "No image was classified" in Histograms(CLASS_NAMES).to_html()


def test_heat_maps_of_the_option_are_linked_and_not_made_twice(mixed, tiny_onnx, tmp_path):
    (tmp_path / "out").mkdir()
    report = tmp_path / "out" / "page.html"
    run(
        mixed,
        "--model",
        tiny_onnx,
        "--out",
        tmp_path / "r.csv",
        "--report",
        report,
        "--heatmap",
        tmp_path / "m",
    )
    read = ReadPage(report)
    assert "overlay" not in read.facts["suffixes"]
    assert not list((tmp_path / "out" / "page_files").rglob("*.heatmap.*"))
    linked = [row["overlays"] for row in read.rows]
    assert [one is None for one in linked] == [row["status"] != "ok" for row in read.rows]
    for row in read.rows:
        if row["status"] == "ok":
            (url,) = row["overlays"].values()
            assert url.startswith("../m/")
            assert (report.parent / unquote(url)).resolve() in Overlays(tmp_path / "m", CLASS_NAMES).files(
                row["path"]
            ).values()
            assert (report.parent / unquote(url)).is_file()
    assert {one["href"] for one in read.attributes("a")} == {"#images", "../r.csv"}


def test_what_is_rejected_by_its_score_has_a_picture_and_no_heat_map(tmp_path, xray):
    noise = np.random.default_rng(0).integers(0, 256, (500, 400)).astype(np.uint8)
    films = tmp_path / "films"
    films.mkdir()
    (films / "noise.png").write_bytes(png(noise))
    (films / "film.png").write_bytes((REPOSITORY / "samples" / "phantom_normal_1.png").read_bytes())
    result = run(
        films, "--out", tmp_path / "r.csv", "--report", tmp_path / "p.html", "--heatmap", tmp_path / "m"
    )
    assert result.exit_code == 0, result.stderr
    rows = {row["path"]: row for row in ReadPage(tmp_path / "p.html").rows}
    assert (rows["noise.png"]["status"], rows["noise.png"]["pictures"]) == ("rejected", "noise.png")
    assert rows["noise.png"]["overlays"] is None
    assert sorted(path.name for path in (tmp_path / "p_files").iterdir()) == [
        "film.png.thumbnail.jpg",
        "film.png.view.jpg",
        "noise.png.thumbnail.jpg",
        "noise.png.view.jpg",
    ]
    assert [path.name.split(".")[0] for path in (tmp_path / "m").iterdir()] == ["film"]

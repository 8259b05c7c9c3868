"""What a person sees while a run goes on, and in the end."""

import io
import json
from datetime import datetime

import pytest
from approved import approved
from click.testing import CliRunner
from specimens import png

import xray_infer
from xray_infer.classes import CLASS_NAMES
from xray_infer.cli import main
from xray_infer.errors import SourceError
from xray_infer.model.runtimes import find_model
from xray_infer.run import progress
from xray_infer.run.progress import MOST_REASONS, OTHER_REASON, Progress, Summary, duration, progress_line
from xray_infer.run.results import RowMaker, Rules

SAYS = approved("xray-infer")

MAKER = RowMaker("tiny", "", "", Rules(2.0, 0.5))


def summary_of(good: int, *reasons: str) -> Summary:
    summary = Summary(CLASS_NAMES)
    for _ in range(good):
        summary.add(MAKER.judged("x", (0.1, 0.8, 0.1), 1.0))
    for reason in reasons:
        summary.add(MAKER.failed("x", "error", reason))
    return summary


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_line_says_how_far_how_fast_and_how_long():
    assert progress_line(summary_of(90, *["bad"] * 10), reused=0, count=1100, seconds=10) == (
        SAYS["of-images-without-an"]
    ).replace("100 s left", "2 min left")
    assert progress_line(summary_of(5), reused=5, count=10, seconds=1) == "5 of 10 images, 0.0 images/s"
    assert (
        progress_line(summary_of(2000), reused=1000, count=None, seconds=10) == "2,000 images, 100.0 images/s"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (3540, "59 min"),
        (3600, "1 h 00 min"),
        (90061, "25 h 01 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_terminal_has_one_line_that_changes(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_FRAMES", 0.0)
    stream = Terminal()
    shown = Progress(lambda: 4, quiet=False, stream=stream)
    for good in (1, 2):
        shown.update(summary_of(good), reused=0)
    shown.clear()
    text = stream.getvalue()
    assert "\n" not in text
    assert text.count("\r") == 3
    assert "2 of 4 images" in text
    assert text.endswith("\r\x1b[K")


def test_elsewhere_there_is_a_line_now_and_then(monkeypatch):
    stream = io.StringIO()
    shown = Progress(lambda: None, quiet=False, stream=stream)
    for _ in range(100):
        shown.update(summary_of(1), reused=0)
    assert stream.getvalue() == ""  # a run of under 30 seconds
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    shown.update(summary_of(3), reused=0)
    shown.clear()
    assert stream.getvalue().startswith("3 images, ")
    assert stream.getvalue().count("\n") == 1
    assert "\r" not in stream.getvalue()


def test_quiet_is_silent_and_counts_nothing(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_FRAMES", 0.0)
    stream = Terminal()
    shown = Progress(lambda: pytest.fail("counted"), quiet=True, stream=stream)
    shown.update(summary_of(1), reused=0)
    shown.clear()
    assert stream.getvalue() == ""


def test_a_source_that_cannot_be_counted_is_no_matter(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_FRAMES", 0.0)

    def fail():
        raise SourceError("gone")

    stream = Terminal()
    shown = Progress(fail, quiet=False, stream=stream)
    shown.update(summary_of(1), reused=0)
    assert "1 images, " in stream.getvalue()


def test_reasons_are_grouped_without_their_figures():
    summary = summary_of(
        3,
        "40000 x 30000 pixels; the limit is 200,000,000",
        "65535 x 65535 pixels; the limit is 200,000,000",
        "truncated JPEG: the end of the image is missing",
    )
    summary.add(MAKER.judged("x", (0.1, 0.8, 0.1), 2.125))
    summary.add(MAKER.judged("x", (0.1, 0.8, 0.1), 3.5))
    summary.add(MAKER.judged("x", (0.4, 0.3, 0.3), 1.0))
    lines = list(summary.lines(seconds=2.0))
    assert lines[:-1] == [
        SAYS["images-in-s-images"],
        SAYS["classified-covid-pneumonia-normal"],
        "2 rejected, not judged:",
        SAYS["x-unlike-the-training"],
        "3 could not be read:",
        SAYS["x-x-pixels-the"],
        SAYS["x-truncated-jpeg-the"],
    ]
    assert "not for diagnosis" in lines[-1]


def test_reasons_take_constant_memory():
    words = [f"{a}{b}{c}" for a in "abcdefghij" for b in "abcdefghij" for c in "abcdefghij"]
    summary = summary_of(0, *words, *words)
    assert len(summary.reasons["error"]) == MOST_REASONS + 1
    assert summary.reasons["error"][OTHER_REASON] == 2 * (1000 - MOST_REASONS)
    assert sum("abc" in line for line in summary.lines(seconds=1)) == 0
    assert f"  {2000 - 20:,} x {OTHER_REASON}" in summary.lines(seconds=1)


def test_the_record_says_what_ran(folder, tiny_onnx, tmp_path, xray):
    (folder / "bad.png").write_bytes(png(xray)[:99])
    out = tmp_path / "r.jsonl"
    result = CliRunner().invoke(
        main,
        [
            str(folder),
            "--model",
            str(tiny_onnx),
            "--out",
            str(out),
            "--workers",
            "2",
            "--min-confidence",
            "0.9",
        ],
    )
    assert result.exit_code == 1
    record = json.loads((tmp_path / "r.jsonl.run.json").read_text(encoding="utf-8"))
    assert record["record_schema"] == 1
    assert "not for diagnosis" in record["notice"]
    assert (record["xray_infer"], record["finished"]) == (xray_infer.__version__, True)
    assert record["model"]["sha256"] == find_model(tiny_onnx).digest
    assert record["what_rows_depend_on"]["min_confidence"] == 0.9
    assert record["workers"] == 2
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    counts = record["counts"]
    assert counts["images"] == len(rows) == 7
    for key in ("status", "label"):
        for value, count in counts[f"by_{key}"].items():
            assert sum(row[key] == value for row in rows) == count
    assert sum(counts["by_reason"]["error"].values()) == 1
    assert counts["skipped_other_files"] >= 1
    times = record["time"]
    lasted = datetime.fromisoformat(times["ended"]) - datetime.fromisoformat(times["started"])
    assert 0 <= lasted.total_seconds() <= times["seconds"] + 2
    stages = times["seconds_by_stage_over_all_workers"]
    assert list(stages) == ["read", "decode", "infer", "draw", "write"]
    assert stages["decode"] > 0 < stages["infer"]
    assert record["peak_memory_mb"] is None or record["peak_memory_mb"] > 20
    assert record["machine"]["allowed_processors"] >= 1
    assert "onnxruntime" in record["versions"]


def test_the_record_is_json_also_where_nothing_is_rejected(folder, tiny_onnx, tmp_path):
    out = tmp_path / "r.csv"
    arguments = [str(folder), "--model", str(tiny_onnx), "--out", str(out), "--ood-threshold", "inf"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    text = (tmp_path / "r.csv.run.json").read_text()
    record = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert record["what_rows_depend_on"]["ood_threshold"] == "never"


def test_the_same_run_again_gives_the_same_rows(folder, tiny_onnx, tmp_path):
    for name in ("a.csv", "b.csv"):
        CliRunner().invoke(main, [str(folder), "--model", str(tiny_onnx), "--out", str(tmp_path / name)])
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()

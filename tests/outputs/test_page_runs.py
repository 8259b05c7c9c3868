"""The report in a run: one that ends early, places that cannot be written to, a watched folder."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from approved import approved
from full_disk import fill_disk
from patience import until
from report_pages import ReadPage, rows_in, run
from specimens import jpeg, png

from xray_infer.classes import CLASS_NAMES
from xray_infer.model.runtimes import find_model
from xray_infer.outputs.page.report_pictures import ReportPictures
from xray_infer.outputs.page.run_page import Page
from xray_infer.run.engine import Engine
from xray_infer.run.file_job import FileJob
from xray_infer.run.job import Stop
from xray_infer.run.progress import Progress, Summary
from xray_infer.run.settings import EngineOptions
from xray_infer.run.sources.folder import FolderSource
from xray_infer.run.sources.selection import judge_name
from xray_infer.run.watching import Watch

SAYS = approved("xray-infer")


@pytest.fixture
def many(tmp_path, xray) -> Path:
    root = tmp_path / "many"
    root.mkdir()
    for index in range(40):
        (root / f"{index:02}.jpg").write_bytes(jpeg(np.roll(xray, 5 * index, axis=1)))
    (root / "bad.png").write_bytes(b"")
    (root / "bytes \udce9.png").write_bytes(png(xray))
    return root


def without_times(path: Path) -> str:
    """Return a page without what differs from run to run: times, speed, and how much is from before."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME", text)
    text = re.sub(r"<div><dt>From an earlier run</dt>.*?</div>\n", "", text)
    return re.sub(r"<dt>Took</dt><dd>.*?</dd>", "TOOK", text)


def test_a_run_that_was_stopped_goes_on_to_the_same_page(many, tiny_onnx, tmp_path, stop_after):
    out, report = tmp_path / "r.csv", tmp_path / "report.html"
    command = (many, "--model", tiny_onnx, "--out", out, "--report", report, "--workers", 2)
    read = stop_after(15)
    result = run(*command)
    assert result.exit_code == 130
    assert "report:" not in result.stderr
    assert not report.exists()
    assert (tmp_path / "report.html.partial").exists()
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "report_files").iterdir()}
    lost = next(path for path in written if path.name.endswith(".thumbnail.jpg"))
    lost.unlink()
    again = lost.name.removesuffix(".thumbnail.jpg")

    first = set(read)
    read.clear()
    result = run(*command)
    assert result.exit_code == 1, result.stderr
    assert set(read) & first == {again}  # its picture was gone
    for path, modified in written.items():
        assert path.is_file()
        if not path.name.startswith(again):
            assert path.stat().st_mtime_ns == modified
    assert not (tmp_path / "report.html.partial").exists()
    resumed = without_times(report)
    assert run(*command, "--restart").exit_code == 1
    assert without_times(report) == resumed
    assert len(ReadPage(report).rows) == len(rows_in(out)) == 42


def test_a_killed_run_leaves_no_page_and_goes_on(many, tiny_onnx, tmp_path):
    report = tmp_path / "report.html"
    given = [str(many), "--model", str(tiny_onnx), "--out", str(tmp_path / "r.csv"), "--report", str(report)]
    program = (
        "import os, signal, sys\n"
        "from xray_infer.outputs.page import report_pictures\n"
        "from xray_infer.cli import main\n"
        "really, calls = report_pictures.write_file, []\n"
        "def write(path, data):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 50: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    really(path, data)\n"
        "report_pictures.write_file = write\n"
        "main(sys.argv[1:])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *given], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not report.exists()
    assert run(*given).exit_code == 1
    resumed = without_times(report)
    assert run(*given, "--restart").exit_code == 1
    assert without_times(report) == resumed
    for row in ReadPage(report).rows:
        if row["status"] == "ok":
            assert ReportPictures(report, overlays=True).stands(os.fsdecode(_bytes_of(row["path"])))


def _bytes_of(path: str) -> bytes:
    """Return a name's bytes from how it is shown."""
    return re.sub(rb"\\x(..)", lambda found: bytes.fromhex(found[1].decode()), path.encode())


def test_an_earlier_page_stays_until_the_new_one_is_whole(many, tiny_onnx, tmp_path, stop_after):
    report = tmp_path / "report.html"
    report.write_text("the last one")
    stop_after(10)
    run(many, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--report", report)
    assert report.read_text() == "the last one"


def test_another_report_is_another_run(many, tiny_onnx, tmp_path, stop_after):
    stop_after(10)
    command = (many, "--model", tiny_onnx, "--out", tmp_path / "r.csv")
    run(*command, "--report", tmp_path / "one.html")
    result = run(*command, "--report", tmp_path / "two.html")
    assert result.exit_code == 2
    assert "report was " in result.stderr
    assert run(*command).exit_code == 2
    assert run(*command, "--restart").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--report", "p.html"], "--report goes with a file of results: add --out results.csv"),
        (["--report", "p.html", "--out", "-"], "--report goes with a file of results: add --out results.csv"),
        (
            ["--report", "p.pdf", "--out", "r.csv"],
            "p.pdf: a report is a web page; give --report a name that ends",
        ),
        (
            ["--report", "taken.html", "--out", "r.csv"],
            "taken_files: cannot make the folder: File exists; a file stands in its place",
        ),
        (
            ["--report", "folder.html", "--out", "r.csv"],
            "folder.html: is a folder; give --report a file name",
        ),
        (["--report", "file/p.html", "--out", "r.csv"], "p.html: cannot write there: Not a directory"),
        (
            ["--report", "none/p.html", "--out", "r.csv"],
            "p.html: cannot write there: No such file or directory",
        ),
    ],
)
def test_a_report_that_cannot_be_is_refused_in_one_line(
    folder, tiny_onnx, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "taken_files").write_text("")
    result = run(folder, "--model", tiny_onnx, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "r.csv").exists()


@pytest.mark.parametrize("names", ["*.thumbnail-*.jpg", "*.html.partial", ".page-*.html"])
def test_a_full_disk_is_one_line_and_loses_nothing(folder, tiny_onnx, tmp_path, monkeypatch, names):
    command = (folder, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--report", tmp_path / "page.html")
    with monkeypatch.context() as patch:
        fill_disk(patch, tmp_path, names=names)
        result = run(*command)
    assert result.exit_code == 2, result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("xray-infer: ")]
    assert len(errors) == 1
    assert SAYS["no-space-left-on"] in errors[0]
    assert not (tmp_path / "page.html").exists()
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".") and path.suffix == ".html"]
    assert run(*command).exit_code == 0
    assert len(ReadPage(tmp_path / "page.html").rows) == 6


def test_a_report_inside_the_folder_is_not_scanned(folder, tiny_onnx):
    command = (folder, "--model", tiny_onnx, "--out", folder / "r.csv", "--report", folder / "report.html")
    assert run(*command).exit_code == 0
    first = rows_in(folder / "r.csv")
    assert run(*command).exit_code == 0
    assert rows_in(folder / "r.csv") == first
    for suffix in (*ReportPictures(folder / "report.html", overlays=True).suffixes.values(), ".heatmap.png"):
        assert judge_name(f"film.png{suffix}") is False


def test_a_watched_folder_has_a_page_of_what_has_arrived(tmp_path, tiny_onnx, xray):
    root, report = tmp_path / "in", tmp_path / "page.html"
    root.mkdir()

    def watch(condition) -> None:
        stop, page = Stop(), Page(report, tmp_path / "r.csv", None, class_names=CLASS_NAMES)
        with Engine(
            find_model(tiny_onnx), EngineOptions(workers=2), on_classified=page.pictures.make
        ) as engine:
            quiet = Progress(lambda: None, quiet=True)
            job = FileJob(
                source=FolderSource(root),
                items=iter(()),
                stop=stop,
                progress=quiet,
                summary=Summary(engine.manifest.class_names),
                engine=engine,
                out=tmp_path / "r.csv",
                artifacts=[page.pictures],
                page=page,
            )
            watching = Watch(job, lambda line: None, settle_s=0.1, interval_s=0.05)
            thread = threading.Thread(target=lambda: watching.to_file(restart=False))
            thread.start()
            try:
                until(condition)
            finally:
                stop.request()
                thread.join()

    def shown() -> int:
        return len(ReadPage(report).rows) if report.exists() else 0

    going_on = []
    (root / "a.png").write_bytes(png(xray))
    watch(lambda: shown() == 1 and going_on.append("The run goes on" in report.read_text()) is None)
    assert going_on == [True]
    assert "The run goes on" not in report.read_text()
    (root / "a.png").unlink()
    (root / "bytes \udce9.png").write_bytes(png(xray))
    watch(lambda: shown() == 2)  # what was moved away keeps its row
    rows = ReadPage(report).rows
    assert [row["path"] for row in rows] == ["a.png", "bytes \\xe9.png"]
    assert [row["pictures"] for row in rows] == ["a.png", "bytes%20%E9.png"]

"""--watch: files are classified as they arrive, once each, when they are complete."""

import csv
import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiny_alarm
from click.testing import CliRunner
from patience import PATIENCE_S, until
from specimens import example_manifest, jpeg, png
from tiny_alarm import example_alarm

from xray_infer.classes import CLASS_NAMES
from xray_infer.cli import main
from xray_infer.model.runtimes import find_model
from xray_infer.outputs.artifacts import Artifacts
from xray_infer.outputs.overlays import Overlays
from xray_infer.run.engine import Engine, make_all
from xray_infer.run.file_job import FileJob
from xray_infer.run.job import Stop
from xray_infer.run.progress import Progress, Summary
from xray_infer.run.settings import EngineOptions
from xray_infer.run.sources.folder import FolderSource
from xray_infer.run.watching import Watch

NOTHING = Artifacts(())


def rows_in(out: Path) -> list[dict[str, str]]:
    if not out.exists():
        return []
    with out.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@contextmanager
def watching(root: Path, out: Path, model: Path, *, settle_s: float = 0.15, artifacts: Artifacts = NOTHING):
    """Watch a folder in another thread, until the block ends."""
    stop, told = Stop(), []
    source = FolderSource(root)
    made = make_all(artifacts.all)
    with Engine(find_model(model), EngineOptions(workers=2), on_classified=made) as engine:
        progress = Progress(lambda: None, quiet=True)
        job = FileJob(
            source=source,
            items=iter(()),
            stop=stop,
            progress=progress,
            summary=Summary(engine.manifest.class_names),
            engine=engine,
            out=out,
            artifacts=artifacts.all,
            page=artifacts.page,
        )
        watch = Watch(job, told.append, settle_s=settle_s, interval_s=0.05)
        failures = []

        def watch_on():
            try:
                watch.to_file(restart=False)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=watch_on)
        thread.start()
        try:
            yield told
        finally:
            stop.request()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
    if failures:
        raise failures[0]


def test_files_are_classified_as_they_arrive(tmp_path, tiny_onnx, xray):
    root, out = tmp_path / "in", tmp_path / "r.csv"
    root.mkdir()
    with watching(root, out, tiny_onnx):
        (root / "z.png").write_bytes(png(xray))
        until(lambda: len(rows_in(out)) == 1)
        (root / "sub").mkdir()
        (root / "sub" / "a.jpg").write_bytes(jpeg(xray))
        (root / "bad.png").write_bytes(b"")
        until(lambda: len(rows_in(out)) == 3)
    rows = rows_in(out)
    assert rows[0]["path"] == "z.png"  # in the order of arrival
    assert {row["path"]: row["status"] for row in rows} == {
        "z.png": "ok",
        "sub/a.jpg": "ok",
        "bad.png": "error",
    }
    assert json.loads((tmp_path / "r.csv.run.json").read_text())["counts"]["images"] == 3


def test_a_file_that_still_grows_waits_until_it_is_complete(tmp_path, tiny_onnx, xray):
    root, out = tmp_path / "in", tmp_path / "r.csv"
    root.mkdir()
    data = png(xray)
    with watching(root, out, tiny_onnx, settle_s=1.0):
        with (root / "slow.png").open("wb", buffering=0) as stream:
            for start in range(0, len(data), len(data) // 8 + 1):
                stream.write(data[start : start + len(data) // 8 + 1])
                time.sleep(0.1)
        until(lambda: rows_in(out))
    assert [row["status"] for row in rows_in(out)] == ["ok"]


def test_a_watch_that_goes_on_classifies_nothing_twice_and_keeps_what_was_moved_away(
    tmp_path, tiny_onnx, xray, monkeypatch
):
    from xray_infer.run.sources.folder import FileItem

    read = []
    really_read = FileItem.read
    monkeypatch.setattr(
        FileItem, "read", lambda item, limits: (read.append(item.name), really_read(item, limits))[1]
    )
    root, out = tmp_path / "in", tmp_path / "r.csv"
    root.mkdir()
    (root / "a.png").write_bytes(png(xray))
    (root / "b.png").write_bytes(png(xray))
    with watching(root, out, tiny_onnx):
        until(lambda: len(rows_in(out)) == 2)
    (root / "a.png").unlink()
    out.unlink()
    with watching(root, out, tiny_onnx):
        until(lambda: len(rows_in(out)) == 2)
        (root / "c.png").write_bytes(png(xray))
        until(lambda: len(rows_in(out)) == 3)
        (root / "b.png").write_bytes(b"changed")
        until(lambda: len(rows_in(out)) == 4)
    assert read == ["a.png", "b.png", "c.png", "b.png"]
    assert [(row["path"], row["status"]) for row in rows_in(out)] == [
        ("a.png", "ok"),
        ("b.png", "ok"),
        ("c.png", "ok"),
        ("b.png", "error"),
    ]


def test_heat_maps_that_were_moved_away_give_no_second_row(tmp_path, tiny_onnx, xray):
    root, out, maps = tmp_path / "in", tmp_path / "r.csv", tmp_path / "maps"
    root.mkdir()
    (root / "a.png").write_bytes(png(xray))
    overlay = maps / "a.png.heatmap.jpg"
    with watching(root, out, tiny_onnx, artifacts=Artifacts([Overlays(maps, CLASS_NAMES)])):
        until(lambda: len(rows_in(out)) == 1)
    overlay.unlink()
    with watching(root, out, tiny_onnx, artifacts=Artifacts([Overlays(maps, CLASS_NAMES)])):
        (root / "b.png").write_bytes(png(xray[::-1]))
        until(lambda: len(rows_in(out)) == 2)
    assert [row["path"] for row in rows_in(out)] == ["a.png", "b.png"]
    assert not overlay.exists()
    assert (maps / "b.png.heatmap.jpg").is_file()


def test_a_folder_that_goes_away_is_waited_for(tmp_path, tiny_onnx, xray):
    root, out = tmp_path / "in", tmp_path / "r.csv"
    root.mkdir()
    with watching(root, out, tiny_onnx) as told:
        root.rename(tmp_path / "away")
        until(lambda: told)
        (tmp_path / "away").rename(root)
        (root / "a.png").write_bytes(png(xray))
        until(lambda: rows_in(out))
    assert len(told) == 1
    assert "waiting for it" in told[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "r.parquet"], "--watch needs a file that grows; use one of .csv, .jsonl"),
        ([], "--watch needs a file for its results"),
        (["--out", "-"], "--watch needs a file for its results"),
    ],
)
def test_what_cannot_be_watched_into(folder, tiny_onnx, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [str(folder), "--model", str(tiny_onnx), "--watch", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(tmp_path.glob("r.*"))


def test_only_a_folder_can_be_watched(folder, tiny_onnx, tmp_path):
    out = tmp_path / "r.csv"
    result = CliRunner().invoke(
        main, [str(folder / "film0.png"), "--model", str(tiny_onnx), "--watch", "--out", str(out)]
    )
    assert result.exit_code == 2
    assert "--watch needs a folder" in result.stderr


def test_the_command_ends_well_on_sigterm(folder, tiny_onnx, tmp_path):
    out = tmp_path / "r.csv"
    command = [sys.executable, "-m", "xray_infer", str(folder), "--model", str(tiny_onnx), "--out", str(out)]
    process = subprocess.Popen([*command, "--watch"], stderr=subprocess.PIPE, text=True)
    until(lambda: len(rows_in(out)) == 6 or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    errors = process.stderr.read()
    assert process.wait() == 0, errors
    assert "6 classified" in errors
    # A plain run into the same file is another kind of run.
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "watch was True" in done.stderr


def test_the_alarm_is_of_what_has_come_so_far_and_after_a_new_start(tmp_path, make_tiny_onnx):
    model = make_tiny_onnx(example_manifest(alarm=example_alarm().to_record()))
    root, out = tmp_path / "inbox", tmp_path / "r.csv"
    record = tmp_path / "r.csv.run.json"

    def alarm() -> dict:
        return json.loads(record.read_text())["alarm"] if record.exists() else {}

    tiny_alarm.plant(root / "ward a", 35)
    with watching(root, out, model):
        until(lambda: alarm().get("status") == "like the training hospitals")
    assert alarm()["judged_films"] == 35
    tiny_alarm.plant(root / "ward b", 35, gray=tiny_alarm.STRANGE)
    with watching(root, out, model):  # the first ward's films come from the journal
        until(lambda: alarm().get("judged_films") == 70)
    assert [one["name"] for one in alarm()["strange"]] == ["ward b"]

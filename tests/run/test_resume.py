"""Runs that are stopped, killed and resumed: nothing lost, nothing doubled."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from specimens import jpeg, png

from xray_infer.cli import main

SAYS = approved("xray-infer")

KILLS = int(os.environ.get("XRAY_TEST_KILLS", "10"))  # how often the kill test kills; 100 for a night


def run(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def paths_in(out: Path) -> list[str]:
    with out.open(newline="", encoding="utf-8") as stream:
        return [row["path"] for row in csv.DictReader(stream)]


@pytest.fixture
def many(tmp_path, xray) -> Path:
    """60 good images and 20 bad ones in two folders."""
    root = tmp_path / "many"
    (root / "b").mkdir(parents=True)
    for index in range(30):
        (root / f"{index:02}.png").write_bytes(png(np.roll(xray, 7 * index, axis=0)))
        (root / "b" / f"{index:02}.jpg").write_bytes(jpeg(np.roll(xray, 5 * index, axis=1)))
    for index in range(10):
        (root / f"bad{index}.png").write_bytes(png(xray)[: 50 * index])
        (root / "b" / f"bad{index}.jpg").write_bytes(jpeg(xray)[: 90 * index])
    (root / 'name "of",=cmd\n\udce9.png').write_bytes(png(xray))
    return root


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_what_is_in_flight_and_says_how_to_go_on(
    many, tiny_onnx, tmp_path, stop_after, number
):
    out = tmp_path / "r.csv"
    read = stop_after(20, number)
    result = run(many, "--model", tiny_onnx, "--out", out, "--workers", 2)
    assert result.exit_code == 130
    assert not out.exists()
    kept = len((tmp_path / "r.csv.journal").read_bytes().splitlines()) - 1
    assert 20 <= kept == len(read) < 81
    assert SAYS["rows-are-safe-in"].format(kept=kept, out=out) in result.stderr
    assert json.loads((tmp_path / "r.csv.run.json").read_text())["finished"] is False

    first = set(read)
    read.clear()
    result = run(many, "--model", tiny_onnx, "--out", out, "--workers", 2)
    assert result.exit_code == 1, result.stderr
    assert SAYS["rows-are-from-an-earlier"].format(kept=kept) in result.stderr
    assert not first & set(read)
    assert len(first) + len(read) == 81
    assert sorted(path.name for path in tmp_path.glob("r.csv*")) == ["r.csv", "r.csv.run.json"]
    record = json.loads((tmp_path / "r.csv.run.json").read_text())
    assert (record["finished"], record["counts"]["reused_from_an_earlier_run"]) == (True, kept)

    undisturbed = tmp_path / "whole.csv"
    run(many, "--model", tiny_onnx, "--out", undisturbed)
    assert out.read_bytes() == undisturbed.read_bytes()


def test_a_signal_that_is_ignored_stays_ignored(folder, tiny_onnx, tmp_path, stop_after):
    stop_after(2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert run(folder, "--model", tiny_onnx, "--out", tmp_path / "r.csv").exit_code == 0


def test_changed_and_new_inputs_are_classified_and_gone_ones_have_no_row(
    many, tiny_onnx, tmp_path, stop_after
):
    out = tmp_path / "r.csv"
    read = stop_after(30)
    run(many, "--model", tiny_onnx, "--out", out)
    read_before = list(read)
    changed, gone = read_before[0], read_before[1]
    (many / changed).write_bytes(b"not an image any more")
    (many / gone).unlink()
    (many / "00 new.png").write_bytes((many / "20.png").read_bytes())
    read.clear()
    run(many, "--model", tiny_onnx, "--out", out)
    assert {changed, "00 new.png"} <= set(read)
    assert set(read) & set(read_before) == {changed}
    run(many, "--model", tiny_onnx, "--out", tmp_path / "whole.csv")
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert "00 new.png" in paths_in(out)
    assert gone not in paths_in(out)


def test_an_input_that_could_not_be_read_is_tried_again(folder, tiny_onnx, tmp_path, stop_after):
    (folder / "a.png").symlink_to(folder / "nowhere")
    out = tmp_path / "r.csv"
    read = stop_after(4)
    run(folder, "--model", tiny_onnx, "--out", out, "--workers", 1)
    assert "a.png" in read
    (folder / "a.png").unlink()
    (folder / "a.png").write_bytes((folder / "film0.png").read_bytes())
    result = run(folder, "--model", tiny_onnx, "--out", out)
    assert result.exit_code == 0
    assert len(paths_in(out)) == 7


def test_another_model_or_option_is_refused_and_restart_starts_over(
    many, tiny_onnx, make_tiny_onnx, tmp_path, stop_after
):
    out = tmp_path / "r.csv"
    read = stop_after(20)
    run(many, "--model", tiny_onnx, "--out", out)
    for changed, name in (
        (["--min-confidence", "0.9"], "min_confidence was 0.0, is 0.9"),
        (["--max-megapixels", "1"], "max_pixels was 200000000, is 1000000"),
        (["--heatmap", tmp_path / "maps"], "heatmap was None"),
    ):
        result = run(many, "--model", tiny_onnx, "--out", out, *changed)
        assert result.exit_code == 2
        assert name in result.stderr
        assert "--restart" in result.stderr
        assert result.stderr.count("\n") == 1
    result = run(many / "b", "--model", tiny_onnx, "--out", out)
    assert result.exit_code == 2
    assert "source was" in result.stderr
    # What changes no row may change.
    count = len(read)
    result = run(
        many, "--model", tiny_onnx, "--out", out, "--restart", "--min-confidence", "0.9", "--workers", 1
    )
    assert result.exit_code == 1
    assert len(read) == count + 81


def test_workers_may_change_in_between(many, tiny_onnx, tmp_path, stop_after):
    out = tmp_path / "r.csv"
    stop_after(20)
    run(many, "--model", tiny_onnx, "--out", out, "--workers", 3)
    result = run(many, "--model", tiny_onnx, "--out", out, "--workers", 1)
    assert result.exit_code == 1
    assert len(paths_in(out)) == 81


def test_a_bug_stops_the_run_in_one_line_and_keeps_the_rows(many, tiny_onnx, tmp_path, monkeypatch):
    from xray_infer.images import preprocess

    really, calls = preprocess.to_input, []

    def break_down(pixels, **options):
        calls.append(1)
        if len(calls) == 10:
            raise ZeroDivisionError("a bug\nof ours")
        return really(pixels, **options)

    with monkeypatch.context() as patch:
        patch.setattr(preprocess, "to_input", break_down)
        result = run(many, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--workers", 1)
        assert result.exit_code == 70
        assert "rows are safe in" in result.stderr
        last = result.stderr.splitlines()[-1]
        assert SAYS["zerodivisionerror-a-bug-of"] in last
        assert "--debug" in last
        calls.clear()
        debugged = run(many, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--workers", 1, "--debug")
        assert isinstance(debugged.exception, ZeroDivisionError)
    assert run(many, "--model", tiny_onnx, "--out", tmp_path / "r.csv").exit_code == 1
    assert len(paths_in(tmp_path / "r.csv")) == 81


def test_runs_killed_at_random_moments_end_as_an_undisturbed_one(many, tiny_onnx, tmp_path):
    """SIGKILL, which nothing can catch; XRAY_TEST_KILLS=100 kills a hundred times."""
    whole = tmp_path / "whole.csv"
    run(many, "--model", tiny_onnx, "--out", whole)
    kinds = ("csv", "jsonl")
    for kind in kinds[1:]:
        run(many, "--model", tiny_onnx, "--out", whole.with_suffix(f".{kind}"))
    chance = random.Random(0)
    killed, runs = 0, 0
    while killed < KILLS:
        out = tmp_path / f"r{runs}.{kinds[runs % len(kinds)]}"
        command = [
            sys.executable,
            "-m",
            "xray_infer",
            str(many),
            "--model",
            str(tiny_onnx),
            "--out",
            str(out),
        ]
        while not out.exists():
            # From before the journal is made to after the output is in place, on a slow machine too.
            wanted = lines_in(out) + chance.randint(-5, 30)
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            while process.poll() is None and lines_in(out) < wanted:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.05))
            killed += process.poll() is None
            process.kill()
            process.wait()
        assert out.read_bytes() == whole.with_suffix(out.suffix).read_bytes()
        runs += 1
    assert runs > 1


def lines_in(out: Path) -> int:
    journal = out.with_name(f"{out.name}.journal")
    return journal.read_bytes().count(b"\n") if journal.exists() else 0

"""xray-bench: whole commands in turn, and what isolation costs."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from xray_infer.benchmarks.cli import main
from xray_infer.benchmarks.commands import CommandRun, compare_commands, table
from xray_infer.errors import DataError


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_commands_take_turns_and_are_measured():
    """The peak is the child's own: one that fills 200 MB shows it, the other does not."""
    commands = {
        "large": [sys.executable, "-c", "import time; x = bytearray(200_000_000); time.sleep(0.3)"],
        "small": [sys.executable, "-c", "import time; time.sleep(0.3)"],
    }
    lines: list[str] = []
    runs = compare_commands(commands, rounds=2, report=lines.append)
    assert lines == ["warm-up", "round 1 of 2", "round 2 of 2"]
    assert all(len(results) == 2 for results in runs.values())
    assert min(run.peak_mb for run in runs["large"]) > 150
    assert max(run.peak_mb for run in runs["small"]) < 100


def test_the_ratio_is_taken_round_by_round():
    runs = {"fast": [CommandRun(1, 10), CommandRun(2, 10)], "base": [CommandRun(4, 10), CommandRun(6, 10)]}
    assert "| fast | 6.0 (4.0-8.0) | 3.50 (3.00-4.00) | 10 |" in table(runs, files=8)


def test_a_failing_command_is_named():
    with pytest.raises(DataError, match="ended with status 3: broken"):
        compare_commands(
            {"x": [sys.executable, "-c", "import sys; print('broken', file=sys.stderr); sys.exit(3)"]},
            rounds=1,
            report=lambda line: None,
        )


def test_isolation_counts_what_can_be_read(folder, tmp_path):
    (folder / "broken.png").write_bytes(b"no image")
    result = CliRunner().invoke(main, ["isolation", str(folder), "--rounds", "2", "--threads", "1"])
    assert result.exit_code == 0, result.stderr
    assert "6 files in memory, 1 threads, 2 interleaved rounds" in result.stdout
    assert result.stdout.count("| in child processes") == 2
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "broken.png").write_bytes(b"no image")
    result = CliRunner().invoke(main, ["isolation", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "no image that can be read" in result.stderr


def test_each_way_prepares_every_file_once():
    from benchmarks.studies.isolation import _prepare_all

    done: list[bytes] = []
    files = [bytes([number]) for number in range(50)]
    _prepare_all(files, [done.append, done.append, done.append])
    assert sorted(done) == files


def test_the_rate_that_isolation_leaves_is_round_by_round():
    from benchmarks.studies.isolation import DIRECT, ISOLATED, IsolationCost, isolation_table

    cost = IsolationCost(
        {DIRECT: [10.0, 20.0, 40.0], ISOLATED: [5.0, 15.0, 40.0]}, [0.25], {1.0: [2.0, 3.0, 9.0]}
    )
    assert f"| {ISOLATED} | 15.0 (5.0-40.0) | 0.75 (0.50-1.00) |" in isolation_table(cost)
    assert "| 1 | 3.00 (2.00-9.00) |" in isolation_table(cost)

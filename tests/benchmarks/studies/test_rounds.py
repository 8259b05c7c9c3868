"""Whole commands in turn."""

import sys
from pathlib import Path

import pytest

from benchmarks.studies.folder_runs import WHOLE, Speeds, parts_table
from benchmarks.studies.rounds import compare_commands
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
    speeds = {"fast": Speeds([8.0, 4.0]), WHOLE: Speeds([2.0, 4 / 3])}
    assert "| fast | 6.0 (4.0-8.0) | 3.50 (3.00-4.00) |" in parts_table(speeds)


def test_a_failing_command_is_named():
    with pytest.raises(DataError, match="ended with status 3: broken"):
        compare_commands(
            {"x": [sys.executable, "-c", "import sys; print('broken', file=sys.stderr); sys.exit(3)"]},
            rounds=1,
            report=lambda line: None,
        )

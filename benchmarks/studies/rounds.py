"""Commands that run in turn, round after round, and the figures of all rounds in a cell of a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from xray_infer.benchmarks.processes import FinishedProcess, run_command
from xray_infer.terminal import Report


def compare_commands(
    commands: Mapping[str, Sequence[str]], *, rounds: int, report: Report
) -> dict[str, list[FinishedProcess]]:
    """Run all commands in turn, `rounds` times after a warm-up round that does not count."""
    runs: dict[str, list[FinishedProcess]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        report(f"round {number} of {rounds}" if number else "warm-up")
        for name, command in commands.items():
            result = run_command(command)
            if number:
                runs[name].append(result)
    return runs


def spread(values: Sequence[float], digits: int) -> str:
    """Return "median (min-max)"."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"

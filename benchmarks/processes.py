"""Whole commands against each other: wall time and peak memory as the operating system counts them."""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xray_infer.errors import DataError
from xray_infer.terminal import Report


@dataclass(frozen=True, slots=True)
class CommandRun:
    """One finished process: seconds from start to end, peak resident memory in MB."""

    seconds: float
    peak_mb: float


def run_command(command: Sequence[str], *, accepted: Sequence[int] = (0,)) -> CommandRun:
    """Run one command to its end. Raises DataError when it ends with a status that is not accepted.

    The peak is Linux's VmHWM, read every 20 ms: getrusage's ru_maxrss would also count this process's own
    memory, which a child has for a moment before it becomes the command.
    """
    with tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        peak_mb = 0.0
        while process.poll() is None:
            peak_mb = max(peak_mb, high_water_mb(process.pid))
            time.sleep(0.02)
        seconds = time.perf_counter() - started
        errors.seek(0)
        lines = errors.read().strip().splitlines()
    if process.returncode not in accepted:
        message = lines[-1] if lines else "no message"
        raise DataError(f"{' '.join(command)} ended with status {process.returncode}: {message}")
    return CommandRun(seconds, peak_mb)


def high_water_mb(pid: int) -> float:
    """Return a process's peak resident memory so far, 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def compare_commands(
    commands: Mapping[str, Sequence[str]], *, rounds: int, report: Report
) -> dict[str, list[CommandRun]]:
    """Run all commands in turn, `rounds` times after a warm-up round that does not count."""
    runs: dict[str, list[CommandRun]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        report(f"round {number} of {rounds}" if number else "warm-up")
        for name, command in commands.items():
            result = run_command(command)
            if number:
                runs[name].append(result)
    return runs


def table(runs: Mapping[str, Sequence[CommandRun]], *, files: int) -> str:
    """Return Markdown; the ratio compares with the last command, round by round."""
    *_, base = runs.values()
    lines = [
        "| command | images/s, median (min-max) | times as fast (min-max) | peak memory, MB |",
        "|---" * 4 + "|",
    ]
    for name, results in runs.items():
        rates = [files / result.seconds for result in results]
        ratios = [other.seconds / result.seconds for result, other in zip(results, base, strict=True)]
        lines.append(
            f"| {name} | {spread(rates, 1)} | {spread(ratios, 2)} "
            f"| {statistics.median(result.peak_mb for result in results):.0f} |"
        )
    return "\n".join(lines)


def spread(values: Sequence[float], digits: int) -> str:
    """Return "median (min-max)"."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"

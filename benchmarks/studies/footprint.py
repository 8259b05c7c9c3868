"""What the folder command costs before its first row, and how its memory depends on the number of images."""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.studies.pipeline import BESIDE, command_for, planted
from xray_infer.benchmarks.commands import CommandRun, compare_commands, run_command, spread
from xray_infer.terminal import Report


def startup_commands(image: Path) -> dict[str, list[str]]:
    """Return the command's shortest runs, and last what importing its three big packages takes."""
    command = [sys.executable, "-m", "xray_infer"]
    return {
        "xray-infer --help": [*command, "--help"],
        "xray-infer IMAGE": [*command, str(image)],
        'python -c "import numpy, cv2, onnxruntime"': [
            sys.executable,
            "-c",
            "import numpy, cv2, onnxruntime",
        ],
        "python -c pass": [sys.executable, "-c", "pass"],
    }


def measure_startup(image: Path, *, rounds: int, report: Report) -> dict[str, list[CommandRun]]:
    """Run each in turn, `rounds` times after a warm-up."""
    return compare_commands(startup_commands(image), rounds=rounds, report=report)


def startup_table(runs: Mapping[str, Sequence[CommandRun]]) -> str:
    """Return Markdown, whole processes."""
    lines = ["| command | seconds, median (min-max) | peak memory, MB |", "|---" * 3 + "|"]
    for name, results in runs.items():
        seconds = spread([result.seconds for result in results], 2)
        memory = statistics.median(result.peak_mb for result in results)
        lines.append(f"| {name} | {seconds} | {memory:.0f} |")
    return "\n".join(lines)


def measure_memory(
    folder: Path, counts: Sequence[int], *, beside: Sequence[str], rounds: int, report: Report
) -> dict[int, list[CommandRun]]:
    """Run the command over so many links to the folder's images, each count in turn, `rounds` times.

    `beside` are names in BESIDE: what it makes beside the rows.
    """
    options = [option for name in beside for option in BESIDE[name]]
    runs: dict[int, list[CommandRun]] = {count: [] for count in counts}
    for number in range(rounds):
        for count in counts:
            report(f"round {number + 1} of {rounds}: {count:,} images")
            with planted(folder, count) as many, tempfile.TemporaryDirectory() as scratch:
                runs[count].append(run_command(command_for(many, Path(scratch, "results.csv"), options)))
    return runs


def memory_table(runs: Mapping[int, Sequence[CommandRun]]) -> str:
    """Return Markdown; the ratio compares with the first count, round by round."""
    lines = [
        "| images | peak memory, MB, median (min-max) | of the first row's | images/s with start-up |",
        "|---" * 4 + "|",
    ]
    base = next(iter(runs.values()))
    for count, results in runs.items():
        peaks = [result.peak_mb for result in results]
        ratios = [result.peak_mb / other.peak_mb for result, other in zip(results, base, strict=True)]
        rates = [count / result.seconds for result in results]
        lines.append(f"| {count:,} | {spread(peaks, 1)} | {spread(ratios, 3)} | {spread(rates, 1)} |")
    return "\n".join(lines)

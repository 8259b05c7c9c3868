"""What the command costs before its first row, as whole processes."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from benchmarks.studies.rounds import compare_commands, spread
from benchmarks.studies.study_command import FILE, rounds_option, study
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.benchmarks.processes import FinishedProcess
from xray_infer.terminal import Report, say


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


def measure_startup(image: Path, *, rounds: int, report: Report) -> dict[str, list[FinishedProcess]]:
    """Run each in turn, `rounds` times after a warm-up."""
    return compare_commands(startup_commands(image), rounds=rounds, report=report)


def startup_table(runs: Mapping[str, Sequence[FinishedProcess]]) -> str:
    """Return Markdown, whole processes."""
    lines = ["| command | seconds, median (min-max) | peak memory, MB |", "|---" * 3 + "|"]
    for name, results in runs.items():
        seconds = spread([result.seconds for result in results], 2)
        memory = statistics.median(result.peak_mb for result in results)
        lines.append(f"| {name} | {seconds} | {memory:.0f} |")
    return "\n".join(lines)


@study("startup")
@click.argument("image", type=FILE)
@rounds_option(9)
def main(image: Path, rounds: int) -> None:
    """Time the command's help and one IMAGE beside the imports that it needs, as whole processes."""
    click.echo(startup_table(measure_startup(image, rounds=rounds, report=say)))
    click.echo(f"\n{rounds} interleaved rounds. {describe_machine()}")


if __name__ == "__main__":
    main()

"""How the folder command's peak memory depends on the number of images."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from benchmarks.studies.folder_runs import BESIDE, command_for, linked_images
from benchmarks.studies.rounds import spread
from benchmarks.studies.study_command import folder_argument, rounds_option, study
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.benchmarks.processes import FinishedProcess, run_command
from xray_infer.terminal import Report, say


def measure_memory(
    folder: Path, counts: Sequence[int], *, beside: Sequence[str], rounds: int, report: Report
) -> dict[int, list[FinishedProcess]]:
    """Run the command over so many links to the folder's images, each count in turn, `rounds` times.

    `beside` are names in BESIDE: what it makes beside the rows.
    """
    options = [option for name in beside for option in BESIDE[name]]
    runs: dict[int, list[FinishedProcess]] = {count: [] for count in counts}
    for number in range(rounds):
        for count in counts:
            report(f"round {number + 1} of {rounds}: {count:,} images")
            with linked_images(folder, count) as many, tempfile.TemporaryDirectory() as scratch:
                runs[count].append(run_command(command_for(many, Path(scratch, "results.csv"), options)))
    return runs


def memory_table(runs: Mapping[int, Sequence[FinishedProcess]]) -> str:
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


@study("memory")
@folder_argument
@click.option(
    "--images", "counts", type=click.IntRange(1), multiple=True, default=(1000, 10000), show_default=True
)
@rounds_option(1, help="Of each number of images.")
@click.option(
    "--with", "beside", multiple=True, type=click.Choice(list(BESIDE)), help="Made beside the rows."
)
def main(folder: Path, counts: tuple[int, ...], rounds: int, beside: tuple[str, ...]) -> None:
    """Measure the folder command's peak memory over few and many images: links to those of FOLDER."""
    runs = measure_memory(folder, counts, beside=beside, rounds=rounds, report=say)
    click.echo(memory_table(runs))
    click.echo(f"\n{rounds} rounds. {describe_machine()}")


if __name__ == "__main__":
    main()

"""The study's command: `python -m benchmarks.studies.viewer FOLDER`."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.studies.study_command import folder_argument, rounds_option, study
from benchmarks.studies.viewer.sessions import (
    measure_fills,
    measure_starts,
    memory_table,
    smoothness_table,
    start_table,
)
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.run.sources.folder import local_source
from xray_infer.terminal import say


@study("viewer")
@folder_argument
@click.option(
    "--images", "counts", type=click.IntRange(1), multiple=True, default=(500, 5000), show_default=True
)
@rounds_option(2, help="Of each number of images.")
@click.option("--starts", type=click.IntRange(1), default=9, show_default=True, help="After one warm-up.")
def main(folder: Path, counts: tuple[int, ...], rounds: int, starts: int) -> None:
    """Measure the window of xray-view: start, smoothness and memory over links to FOLDER's images."""
    image = folder / next(iter(local_source(folder))).name
    started = measure_starts(image, rounds=starts, report=say)
    filled = measure_fills(folder, counts, rounds=rounds, report=say)
    click.echo("\n\n".join([start_table(started), memory_table(filled), smoothness_table(filled)]))
    click.echo(f"\n{starts} starts, {rounds} interleaved rounds, no screen. {describe_machine()}")


if __name__ == "__main__":
    main()

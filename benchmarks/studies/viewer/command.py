"""`xray-bench viewer`: the window under a load."""

from __future__ import annotations

from pathlib import Path

import click

from xray_infer.terminal import debug_option, one_line_errors, say


@click.command("viewer")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--images", "counts", type=click.IntRange(1), multiple=True, default=(500, 5000), show_default=True
)
@click.option("--rounds", type=click.IntRange(1), default=2, show_default=True, help="Of each number.")
@click.option("--starts", type=click.IntRange(1), default=9, show_default=True, help="After one warm-up.")
@debug_option
def viewer_command(folder: Path, counts: tuple[int, ...], rounds: int, starts: int, debug: bool) -> None:
    """Measure the window of xray-view: start, smoothness and memory over links to FOLDER's images."""
    with one_line_errors("xray-bench", debug=debug):
        from benchmarks.studies.viewer.measuring import (
            measure_fills,
            measure_starts,
            memory_table,
            smoothness_table,
            start_table,
        )
        from xray_infer.benchmarks.machine import describe_machine
        from xray_infer.run.sources.folder import local_source

        image = folder / next(iter(local_source(folder))).name
        started = measure_starts(image, rounds=starts, report=say)
        filled = measure_fills(folder, counts, rounds=rounds, report=say)
        click.echo("\n\n".join([start_table(started), memory_table(filled), smoothness_table(filled)]))
        click.echo(f"\n{starts} starts, {rounds} interleaved rounds, no screen. {describe_machine()}")

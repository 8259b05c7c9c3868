"""`xray-bench`: the commands that measure runs into shards."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.terminal import debug_option, one_line_errors, say


@click.command("engines")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--images", type=click.IntRange(2), default=2000, show_default=True, help="One in ten is bad.")
@click.option("--shard-size", type=click.IntRange(1), default=100, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@debug_option
def engines_command(folder: Path, images: int, shard_size: int, rounds: int, debug: bool) -> None:
    """Classify good and bad inputs by the local engine and by Ray: identical rows, throughput, overhead."""
    with one_line_errors("xray-bench", debug=debug):
        from benchmarks.studies.shards.engines import compare_engines, engines_table
        from xray_infer.benchmarks.machine import describe_machine

        times = compare_engines(folder, images=images, shard_size=shard_size, rounds=rounds, report=say)
        click.echo(engines_table(times, images=images))
        click.echo(
            f"\nThe same {images:,} rows from all, byte for byte, after `xray-infer merge`. Inputs are "
            f"FOLDER's images, one in ten bad; shards of {shard_size}; {rounds} interleaved rounds, medians "
            f"(min-max). {describe_machine()} {RESEARCH_NOTICE}"
        )


@click.command("kills")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--images", type=click.IntRange(2), default=600, show_default=True, help="One in ten is bad.")
@click.option("--shard-size", type=click.IntRange(1), default=25, show_default=True)
@click.option("--runs", type=click.IntRange(1), default=20, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@debug_option
def kills_command(folder: Path, images: int, shard_size: int, runs: int, seed: int, debug: bool) -> None:
    """Kill actors and drivers at random, give the command again, and count rows lost, doubled and changed."""
    with one_line_errors("xray-bench", debug=debug):
        from benchmarks.studies.shards.kills import kills_table, survive_kills

        found = survive_kills(folder, images=images, shard_size=shard_size, runs=runs, seed=seed, report=say)
        click.echo(kills_table(found))
        click.echo(f"\n{images:,} inputs in shards of about {shard_size}, two actors, seed {seed}.")


@click.command("objects")
@click.option(
    "--objects",
    "counts",
    type=click.IntRange(1),
    multiple=True,
    default=(1000, 10_000, 100_000),
    show_default=True,
)
@click.option(
    "--engine",
    "engines",
    type=click.Choice(["local", "ray"]),
    multiple=True,
    default=("ray",),
    show_default=True,
)
@click.option("--model", type=click.Path(path_type=Path), help="Model file.  [default: the one that ships]")
@debug_option
def objects_command(
    counts: tuple[int, ...], engines: tuple[str, ...], model: Path | None, debug: bool
) -> None:
    """List and classify small objects of an S3 on the loopback interface; the driver's peak memory."""
    with one_line_errors("xray-bench", debug=debug):
        from benchmarks.studies.shards.objects import measure_objects, objects_table
        from xray_infer.benchmarks.machine import describe_machine

        runs = []
        for one in measure_objects(counts, engines, model=model, report=say):
            runs.append(one)
            say(f"  {one}")
        click.echo(objects_table(runs))
        click.echo(f"\nmoto's server, one flat prefix. {describe_machine()} {RESEARCH_NOTICE}")


@click.command("growth")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--images", type=click.IntRange(1), default=10_000_000, show_default=True)
@click.option("--latency-ms", type=click.FloatRange(0), default=50.0, show_default=True, help="Of the store.")
@click.option(
    "--deaths", type=click.FloatRange(0), default=0.05, show_default=True, help="Of each worker, an hour."
)
@debug_option
def growth_command(
    folder: Path, rounds: int, images: int, latency_ms: float, deaths: float, debug: bool
) -> None:
    """Measure a run's parts on FOLDER's images, and simulate millions of such images on many workers."""
    with one_line_errors("xray-bench", debug=debug):
        from benchmarks.studies.shards.growth import measure_and_simulate
        from xray_infer.benchmarks.machine import describe_machine

        for part in measure_and_simulate(
            folder, rounds=rounds, images=images, latency_ms=latency_ms, deaths=deaths, report=say
        ):
            click.echo(f"{part}\n")
        click.echo(f"{rounds} rounds. {describe_machine()} {RESEARCH_NOTICE}")


COMMANDS: Final = (engines_command, kills_command, objects_command, growth_command)

"""Millions of images on many workers: the costs of a run measured here, and a simulation of the rest."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from benchmarks.studies.rounds import spread
from benchmarks.studies.shards.costs import (
    line_bytes,
    measure_actors,
    measure_planning,
    measure_shards,
    measure_waiting,
    planning_table,
)
from benchmarks.studies.shards.simulation import (
    Cluster,
    growth_table,
    simulate,
    sizes_table,
    waiting_table,
)
from benchmarks.studies.study_command import folder_argument, rounds_option, study
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.run.object_store import WORKERS_THAT_WAIT
from xray_infer.run.sources.folder import FileItem, local_source
from xray_infer.terminal import Report, say

THREADS: Final = (1, 2, 3, 4, 6)
PLANNED: Final = (100_000, 1_000_000)
PAGE: Final = 1000  # keys of ListObjectsV2
PAGE_S: Final = 0.1
# Of a shard, beside its images: three reads, three writes and a removal.
SHARD_REQUESTS: Final = 7
START_S: Final = 10.0
CHECKED: Final = (600, 25)  # images and shard size of the run that is simulated and made
SIZES: Final = (100, 300, 1000, 3000, 10_000)


def measure_and_simulate(
    folder: Path, *, rounds: int, images: int, latency_ms: float, deaths: float, report: Report
) -> Iterator[str]:
    """Yield tables and what they were made of, in Markdown."""
    rates = measure_waiting(folder, (0.0, latency_ms), THREADS, rounds=rounds, report=report)
    yield f"Images/s on one processor, its objects in memory after a wait:\n\n{waiting_table(rates)}"
    planned = measure_planning(PLANNED, report)
    table = planning_table(planned, input_bytes=line_bytes())
    yield f"Planning, without the store's own time:\n\n{table}"
    costs = measure_shards(folder, rounds=rounds, report=report)
    shown = spread([1000 * one for one in costs], 1)
    yield f"A shard costs {shown} ms here beside its images: actor and planner together."
    image_s = 1 / statistics.median(rates[latency_ms, WORKERS_THAT_WAIT])
    yield _checked_here(folder, rounds=rounds, report=report)
    few, many = (planned[count] for count in PLANNED)
    plan_s = (many.seconds - few.seconds) / (PLANNED[1] - PLANNED[0]) * images
    listing_s = images / PAGE * PAGE_S
    sizes = [one.path.stat().st_size for one in local_source(folder) if isinstance(one, FileItem)]
    each_s = statistics.median(costs)
    cluster = Cluster(
        images,
        1000,
        1,
        image_s,
        shard_s=each_s + SHARD_REQUESTS * latency_ms / 1000,
        hand_out_s=each_s,
        start_s=START_S,
        plan_s=plan_s + listing_s,
        deaths_an_hour=deaths,
    )
    mean = statistics.mean(sizes)
    yield (
        f"Simulated: {images:,} images of {mean / 1e6:.2f} MB, {images * mean / 1e12:.1f} TB in all. "
        f"A processor with {WORKERS_THAT_WAIT} --workers, the default: {1 / image_s:.1f} images/s, "
        f"{images * image_s / 3600:,.0f} processor-hours without any loss. Shards of {cluster.shard_size:,}, "
        f"each {cluster.shard_s:.2f} s beside its images. Planning takes {cluster.plan_s / 60:.0f} minutes, "
        f"of which {listing_s / 60:.0f} are for {images // PAGE:,} pages. Each worker dies {deaths:g} times "
        f"an hour.\n\n{growth_table(cluster)}"
    )
    yield f"The same on 256 processors:\n\n{sizes_table(replace(cluster, workers=256), SIZES)}"
    often = replace(cluster, workers=256, deaths_an_hour=1.0)
    yield f"The same where each worker dies once an hour:\n\n{sizes_table(often, SIZES)}"


def _checked_here(folder: Path, *, rounds: int, report: Report) -> str:
    """Compare the time of two actors, simulated from that of one, with what two really take."""
    images, size = CHECKED
    found = measure_actors(folder, images=images, shard_size=size, rounds=rounds, report=report)
    simulated = []
    for start, whole in found[1]:
        alone = Cluster(images, size, 1, (whole - start) / images, start_s=start)
        simulated.append(3600 * simulate(replace(alone, workers=2)).hours)
    really = [whole for _, whole in found[2]]
    alone_s = [whole for _, whole in found[1]]
    return (
        f"{images} inputs in shards of {size} on Ray here: one actor {spread(alone_s, 1)} s; two simulated "
        f"from that {spread(simulated, 1)} s, measured {spread(really, 1)} s."
    )


@study("growth")
@folder_argument
@rounds_option(3, help="Of each measurement.")
@click.option("--images", type=click.IntRange(1), default=10_000_000, show_default=True)
@click.option("--latency-ms", type=click.FloatRange(0), default=50.0, show_default=True, help="Of the store.")
@click.option(
    "--deaths", type=click.FloatRange(0), default=0.05, show_default=True, help="Of each worker, an hour."
)
def main(folder: Path, rounds: int, images: int, latency_ms: float, deaths: float) -> None:
    """Measure a run's parts on FOLDER's images, and simulate millions of such images on many workers."""
    for part in measure_and_simulate(
        folder, rounds=rounds, images=images, latency_ms=latency_ms, deaths=deaths, report=say
    ):
        click.echo(f"{part}\n")
    click.echo(f"{rounds} rounds. {describe_machine()} {RESEARCH_NOTICE}")


if __name__ == "__main__":
    main()

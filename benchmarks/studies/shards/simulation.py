"""Ten million images on paper: what they cost at measured rates, by a simulation of shards on many workers.

The simulation is of events: a worker that is free takes the next shard from the one that plans, who hands
them out one at a time. A worker may die; its shard goes to another, which decodes it in isolation, and the
place is filled again after a start.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

ISOLATED: Final = 1.16  # times as long: measured by the study pipeline, --isolate
WORKERS: Final = (16, 64, 256, 1024, 4096)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is to be done, on what.

    `image_s`: seconds of one worker for an image, reading included. `spread`: standard deviation of the
    logarithm of a shard's time. `shard_s`: what a shard costs its worker beside its images. `hand_out_s`:
    what it costs the one that plans. `start_s`: of a worker. `plan_s`: listing and dealing, before the first
    shard. `deaths_an_hour`: of each worker.
    """

    images: int
    shard_size: int
    workers: int
    image_s: float
    spread: float = 0.1
    shard_s: float = 0.0
    hand_out_s: float = 0.0
    start_s: float = 0.0
    plan_s: float = 0.0
    deaths_an_hour: float = 0.0


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """How a run went: hours to the end, hours of all workers, share of these at images.

    Workers are counted from the end of planning on: no actor starts before.
    """

    hours: float
    worker_hours: float
    useful: float
    deaths: int


def simulate(cluster: Cluster, seed: int = 0) -> SimulatedRun:
    """Simulate one run."""
    chance = random.Random(seed)
    shards = math.ceil(cluster.images / cluster.shard_size)
    waiting = deque((number, False) for number in range(shards))
    busy_s, deaths, handed_out, last = 0.0, 0, cluster.plan_s, cluster.plan_s
    free = [cluster.plan_s + cluster.start_s] * min(cluster.workers, shards)
    returning: list[tuple[float, int]] = []  # shards of workers that died, from then on
    while waiting or returning:
        now = heapq.heappop(free)
        while returning and (returning[0][0] <= now or not waiting):
            moment, number = heapq.heappop(returning)
            now = max(now, moment)
            waiting.appendleft((number, True))
        number, again = waiting.popleft()
        begun = max(now, handed_out)
        handed_out = begun + cluster.hand_out_s
        images = min(cluster.shard_size, cluster.images - number * cluster.shard_size)
        work = images * cluster.image_s * chance.lognormvariate(-(cluster.spread**2) / 2, cluster.spread)
        seconds = cluster.shard_s + work * (ISOLATED if again else 1)
        life = chance.expovariate(cluster.deaths_an_hour / 3600) if cluster.deaths_an_hour else math.inf
        if life < seconds:
            deaths += 1
            heapq.heappush(returning, (begun + life, number))
            heapq.heappush(free, begun + life + cluster.start_s)
            continue
        busy_s += work
        last = max(last, begun + seconds)
        heapq.heappush(free, begun + seconds)
    all_s = len(free) * (last - cluster.plan_s)
    return SimulatedRun(last / 3600, all_s / 3600, busy_s / all_s, deaths)


def growth_table(cluster: Cluster, workers: Sequence[int] = WORKERS) -> str:
    """Return Markdown: the same run on more and more workers."""
    lines = [
        "| processors | hours | processor-hours | at images, % | GETs/s | workers lost |",
        "|---" * 6 + "|",
    ]
    for count in workers:
        run = simulate(replace(cluster, workers=count))
        reading_s = run.hours * 3600 - cluster.plan_s
        lines.append(
            f"| {count:,} | {run.hours:.2f} | {run.worker_hours:,.0f} | {100 * run.useful:.0f} "
            f"| {cluster.images / reading_s:,.0f} | {run.deaths} |"
        )
    return "\n".join(lines)


def sizes_table(cluster: Cluster, sizes: Sequence[int]) -> str:
    """Return Markdown: the same run in shards of other sizes."""
    lines = ["| images a shard | shards | hours | processor-hours | workers lost |", "|---" * 5 + "|"]
    images = cluster.images
    for size in sizes:
        run = simulate(replace(cluster, shard_size=size))
        hours = f"{run.hours:.2f} | {run.worker_hours:,.0f}"
        lines.append(f"| {size:,} | {math.ceil(images / size):,} | {hours} | {run.deaths} |")
    return "\n".join(lines)


def waiting_table(rates: Mapping[tuple[float, int], Sequence[float]]) -> str:
    """Return Markdown of images/s by (latency in ms, threads) on one processor."""
    from benchmarks.studies.rounds import spread

    threads = sorted({count for _, count in rates})
    lines = [
        "| ms to wait for an object | " + " | ".join(f"--workers {count}" for count in threads) + " |",
        "|---" * (1 + len(threads)) + "|",
    ]
    for latency in sorted({one for one, _ in rates}):
        cells = [spread(rates[latency, count], 1) for count in threads]
        lines.append(f"| {latency:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)

"""Runs on Ray in which an actor or the driver is killed at random and the command is given again.

SIGKILL, at a random moment after the first shard is there; once to three times a run. In the end the merged
rows are compared with those of an undisturbed local run.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from benchmarks.studies.shards.fixtures import command, good_and_bad, merge_command, on_ray
from benchmarks.studies.study_command import folder_argument, study
from xray_infer.benchmarks.processes import run_command
from xray_infer.errors import DataError
from xray_infer.terminal import Report, say

DRIVER, ACTOR = "driver", "actor"
MOST_KILLS: Final = 3
PATIENCE_S: Final = 120.0
WAIT_S: Final = 4.0  # at most, from the first new shard to the kill


@dataclass(frozen=True, slots=True)
class Survived:
    """One run: who was killed and how many shards stood then, and rows that were lost, doubled or changed."""

    kills: tuple[tuple[str, int], ...]
    lost: int
    doubled: int
    other: int


def survive_kills(
    folder: Path, *, images: int, shard_size: int, runs: int, seed: int, report: Report
) -> list[Survived]:
    """Make the runs. Raises DataError where a run does not end at all."""
    chance = random.Random(seed)
    found = []
    with good_and_bad(folder, images, gone=False) as many, tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch, "whole.csv")
        run_command(command(many, whole), accepted=(0, 1))
        expected = whole.read_bytes().splitlines()
        for number in range(runs):
            shards = Path(scratch, f"run{number}")
            plan = [chance.choice((DRIVER, ACTOR)) for _ in range(chance.randint(1, MOST_KILLS))]
            kills = _disturbed(
                command(many, f"{shards}/", "--shard-size", shard_size, *on_ray(2)), shards, plan, chance
            )
            merged = Path(scratch, "merged.csv")
            run_command(merge_command(shards, merged))
            found.append(_compared(expected, merged.read_bytes().splitlines(), kills))
            report(f"run {number + 1} of {runs}: {found[-1]}")
    return found


def _disturbed(
    arguments: Sequence[str], shards: Path, plan: Sequence[str], chance: random.Random
) -> tuple[tuple[str, int], ...]:
    """Run the command to its end through all kills, and return those that met a run that was at work."""
    kills: list[tuple[str, int]] = []
    process = _start(arguments)
    for victim in plan:
        before = _finished(shards)
        deadline = time.monotonic() + PATIENCE_S
        while process.poll() is None and _finished(shards) <= before:
            if time.monotonic() > deadline:
                process.kill()
                raise DataError(f"no shard in {PATIENCE_S:g} s; kills so far: {kills}")
            time.sleep(0.02)
        time.sleep(chance.uniform(0, WAIT_S))
        pids = [process.pid] if victim == DRIVER else list(actors_of(process.pid))
        if process.poll() is not None or not pids:
            break
        standing = _finished(shards)
        os.kill(chance.choice(pids), signal.SIGKILL)
        kills.append((victim, standing))
        if victim == DRIVER:
            process.wait()
            process = _start(arguments)
    if process.wait(timeout=10 * PATIENCE_S) not in (0, 1):
        raise DataError(f"the run ended with status {process.returncode} after {kills}")
    return tuple(kills)


def _start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _finished(shards: Path) -> int:
    return len(list(shards.glob("counts/*.json")))


def actors_of(driver: int) -> Iterator[int]:
    """Yield the process ids of a driver's actors: Ray names them, and they descend from it (Linux)."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            named = (entry / "cmdline").read_bytes().startswith(b"ray::MapWorker")
            if named and driver in _ancestors(int(entry.name)):
                yield int(entry.name)
        except OSError:
            continue


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        yield pid


def _compared(
    expected: Sequence[bytes], rows: Sequence[bytes], kills: tuple[tuple[str, int], ...]
) -> Survived:
    wanted, found = Counter(map(_path, expected)), Counter(map(_path, rows))
    lost, doubled = (wanted - found).total(), (found - wanted).total()
    same = Counter(expected) & Counter(rows)
    other = len(rows) - doubled - same.total()
    if not (lost or doubled or other) and list(expected) != list(rows):
        other = 1  # another order
    return Survived(kills, lost, doubled, other)


def _path(row: bytes) -> bytes:
    return row.split(b",", 1)[0]


def kills_table(runs: Sequence[Survived]) -> str:
    """Return Markdown, a row a run, and the sums."""
    lines = ["| run | killed (shards finished then) | rows lost | doubled | changed |", "|---" * 5 + "|"]
    for number, one in enumerate(runs):
        killed = ", ".join(f"{victim} ({standing})" for victim, standing in one.kills)
        lines.append(f"| {number + 1} | {killed} | {one.lost} | {one.doubled} | {one.other} |")
    count = Counter(victim for one in runs for victim, _ in one.kills)
    lines.append(
        f"| all | {count[DRIVER]} x driver, {count[ACTOR]} x actor | {sum(one.lost for one in runs)} "
        f"| {sum(one.doubled for one in runs)} | {sum(one.other for one in runs)} |"
    )
    return "\n".join(lines)


@study("kills")
@folder_argument
@click.option("--images", type=click.IntRange(2), default=600, show_default=True, help="One in ten is bad.")
@click.option("--shard-size", type=click.IntRange(1), default=25, show_default=True)
@click.option("--runs", type=click.IntRange(1), default=20, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses whom to kill and when.")
def main(folder: Path, images: int, shard_size: int, runs: int, seed: int) -> None:
    """Kill actors and drivers at random, give the command again, and count rows lost, doubled and changed."""
    found = survive_kills(folder, images=images, shard_size=shard_size, runs=runs, seed=seed, report=say)
    click.echo(kills_table(found))
    click.echo(f"\n{images:,} inputs in shards of about {shard_size}, two actors, seed {seed}.")


if __name__ == "__main__":
    main()

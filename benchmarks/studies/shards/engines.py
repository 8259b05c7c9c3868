"""The same inputs by the local engine and by Ray with one and two actors: rows, throughput, overhead.

Whole commands, interleaved. What a command takes before and after its images is that of one image, in the
same rounds; what is left over an image is the engine's own.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from benchmarks.studies.rounds import spread
from benchmarks.studies.shards.fixtures import command, good_and_bad, merge_command, on_ray
from benchmarks.studies.study_command import folder_argument, rounds_option, study
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.benchmarks.processes import run_command
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import DataError
from xray_infer.terminal import Report, say

# Name, options, and the row that it is compared with: as many workers, without Ray.
LOCAL_1, LOCAL_2 = "one file, 1 worker", "one file, 2 workers"
ENGINES: Final[Mapping[str, tuple[Sequence[str | int], str]]] = {
    LOCAL_1: (("--workers", 1), LOCAL_1),
    "shards, 1 worker": (("--workers", 1), LOCAL_1),
    "Ray, 1 actor": (on_ray(1), LOCAL_1),
    LOCAL_2: (("--workers", 2), LOCAL_2),
    "shards, 2 workers": (("--workers", 2), LOCAL_2),
    "Ray, 2 actors": (on_ray(2), LOCAL_2),
}


@dataclass(slots=True)
class Times:
    """Seconds of whole commands, round by round: over all inputs, and over one image."""

    whole_s: list[float] = field(default_factory=list)
    one_s: list[float] = field(default_factory=list)


def compare_engines(
    folder: Path, *, images: int, shard_size: int, rounds: int, report: Report
) -> dict[str, Times]:
    """Measure every engine in turn, `rounds` times. Raises DataError where a row differs from the first's."""
    times = {name: Times() for name in ENGINES}
    with (
        good_and_bad(folder, images, gone=True) as many,
        good_and_bad(folder, 2, gone=False) as few,
        tempfile.TemporaryDirectory() as scratch,
    ):
        expected = b""
        for number in range(rounds):
            for name, (options, _) in ENGINES.items():
                report(f"round {number + 1} of {rounds}: {name}")
                for source, seconds in ((few, times[name].one_s), (many, times[name].whole_s)):
                    place = Path(scratch, f"{number}-{name}-{source.name}".replace(" ", ""))
                    out = place.with_suffix(".csv")
                    if name.startswith("one file"):
                        done = run_command(command(source, out, *options), accepted=(0, 1))
                    else:
                        sharded = command(source, f"{place}/", "--shard-size", shard_size, *options)
                        done = run_command(sharded, accepted=(0, 1))
                        run_command(merge_command(place, out))
                    seconds.append(done.seconds)
                rows = out.read_bytes()
                expected = expected or rows
                if rows != expected:
                    raise DataError(f"{name}: other rows than {LOCAL_1} gave")
    return times


def engines_table(times: Mapping[str, Times], *, images: int) -> str:
    """Return Markdown; ratios and differences are taken round by round, beside one file's."""
    lines = [
        "| engine | images/s, whole command | images/s, without start | beside one file | start, s "
        "| more ms an image, without start |",
        "|---" * 6 + "|",
    ]
    for name, one in times.items():
        base = times[ENGINES[name][1]]
        spent = [whole - start for whole, start in zip(one.whole_s, one.one_s, strict=True)]
        base_spent = [whole - start for whole, start in zip(base.whole_s, base.one_s, strict=True)]
        more = [1000 * (mine - other) / images for mine, other in zip(spent, base_spent, strict=True)]
        ratios = [other / mine for mine, other in zip(one.whole_s, base.whole_s, strict=True)]
        lines.append(
            f"| {name} | {spread([images / seconds for seconds in one.whole_s], 1)} "
            f"| {spread([images / seconds for seconds in spent], 1)} | {spread(ratios, 2)} "
            f"| {statistics.median(one.one_s):.1f} | {spread(more, 2)} |"
        )
    return "\n".join(lines)


@study("engines")
@folder_argument
@click.option("--images", type=click.IntRange(2), default=2000, show_default=True, help="One in ten is bad.")
@click.option("--shard-size", type=click.IntRange(1), default=100, show_default=True)
@rounds_option(3, help="Of all engines in turn.")
def main(folder: Path, images: int, shard_size: int, rounds: int) -> None:
    """Classify good and bad inputs by the local engine and by Ray: identical rows, throughput, overhead."""
    times = compare_engines(folder, images=images, shard_size=shard_size, rounds=rounds, report=say)
    click.echo(engines_table(times, images=images))
    click.echo(
        f"\nThe same {images:,} rows from all, byte for byte, after `xray-infer merge`. Inputs are "
        f"FOLDER's images, one in ten bad; shards of {shard_size}; {rounds} interleaved rounds, medians "
        f"(min-max). {describe_machine()} {RESEARCH_NOTICE}"
    )


if __name__ == "__main__":
    main()

"""The folder command run on many images, and what its record says: what several studies measure with."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.studies.rounds import spread
from xray_infer.benchmarks.processes import FinishedProcess
from xray_infer.run.sources.folder import local_source

WHOLE: Final = "xray-infer"
# What the command may make beside its rows, and the options for it.
BESIDE: Final[Mapping[str, tuple[str, ...]]] = {
    "heatmap": ("--heatmap", "{scratch}/maps"),
    "report": ("--report", "{scratch}/report.html"),
}


@dataclass(slots=True)
class Speeds:
    """Images/s of each round; of a command, its peak memory, MB, and its stages' seconds an image, too."""

    images_per_s: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
    stages: list[Mapping[str, float]] = field(default_factory=list)


@contextmanager
def linked_images(folder: Path, count: int) -> Iterator[Path]:
    """Yield a temporary folder with `count` links to the images of `folder`, each under a name of its own."""
    images = [item.path.resolve() for item in local_source(folder)]
    with tempfile.TemporaryDirectory() as scratch:
        for number, path in zip(range(count), itertools.cycle(images), strict=False):
            os.symlink(path, Path(scratch, f"{number:07}_{path.name}"))
        yield Path(scratch)


def command_for(folder: Path, out: Path, options: Sequence[str] = ()) -> list[str]:
    """Return the folder command as a user would give it, with this Python."""
    filled = [option.format(scratch=out.parent) for option in options]
    return [sys.executable, "-m", "xray_infer", str(folder), "--out", str(out), "--restart", *filled]


def note(speeds: Speeds, done: FinishedProcess, out: Path) -> None:
    """Add what a finished folder command and its record say."""
    record = json.loads(out.with_name(f"{out.name}.run.json").read_text(encoding="utf-8"))
    images = record["counts"]["images"]
    speeds.images_per_s.append(images / record["time"]["seconds"])
    speeds.peak_mb.append(done.peak_mb)
    stages = record["time"]["seconds_by_stage_over_all_workers"]
    speeds.stages.append({name: seconds / images for name, seconds in stages.items()})


def parts_table(speeds: Mapping[str, Speeds]) -> str:
    """Return Markdown; the ratio compares with the plain command, round by round."""
    lines = [
        "| what runs | images/s, median (min-max) | of the command's speed (min-max) | peak memory, MB "
        "| ms an image: read, decode, infer, draw, write |",
        "|---" * 5 + "|",
    ]
    base = speeds[WHOLE].images_per_s
    for name, one in speeds.items():
        ratios = [rate / other for rate, other in zip(one.images_per_s, base, strict=True)]
        memory = f"{statistics.median(one.peak_mb):.0f}" if one.peak_mb else ""
        stages = ", ".join(
            f"{1000 * statistics.median(stage[part] for stage in one.stages):.1f}"
            for part in (one.stages[0] if one.stages else ())
        )
        lines.append(
            f"| {name} | {spread(one.images_per_s, 1)} | {spread(ratios, 2)} | {memory} | {stages} |"
        )
    return "\n".join(lines)

"""The tables of other people's programs beside this one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xray_infer.benchmarks.records.schema import Results
from xray_infer.benchmarks.report.cells import middle, number
from xray_infer.benchmarks.report.gathered import Figures
from xray_infer.train.report.document import Block, Heading, Paragraph, Table


@dataclass(frozen=True, slots=True)
class PeerSpeed:
    """A program's runs: median, smallest and largest of images/s, with the start and without it."""

    name: str
    runs: int
    images: int
    images_per_s: tuple[float, float, float]
    steady_images_per_s: tuple[float, float, float]
    start_s: tuple[float, float, float]
    peak_mb: float | None


def peer_speeds(results: Results) -> list[PeerSpeed]:
    """Return the speed of each program that ran, in the order of the first round."""
    found = []
    for name in dict.fromkeys(run.peer for run in results.peer_runs):
        runs = [run for run in results.peer_runs if run.peer == name]
        peaks = [run.peak_mb for run in runs if run.peak_mb is not None]
        found.append(
            PeerSpeed(
                name=name,
                runs=len(runs),
                images=runs[0].images,
                images_per_s=_middle([run.images / run.seconds for run in runs]),
                steady_images_per_s=_middle([run.steady_images_per_s for run in runs]),
                start_s=_middle([run.start_s for run in runs]),
                peak_mb=float(np.median(peaks)) if peaks else None,
            )
        )
    return found


def _middle(values: list[float]) -> tuple[float, float, float]:
    return float(np.median(values)), min(values), max(values)


def peer_tables(figures: Figures) -> Iterator[Block]:
    """Yield headings and tables, as many as there are figures for."""
    results = figures.results
    if not results.peers and not results.peer_runs:
        return
    yield Heading(2, "Peers")
    yield Paragraph(
        "Whole processes over the same folder, in turn. Ranges are from the smallest to the largest."
    )
    yield Table(
        "Speed of whole programs, median (smallest to largest)",
        (
            "program",
            "runs",
            "images",
            "images/s with the start",
            "images/s after it",
            "start, s",
            "peak memory, MB",
        ),
        [
            (
                one.name,
                str(one.runs),
                str(one.images),
                middle(one.images_per_s),
                middle(one.steady_images_per_s),
                middle(one.start_s, 2),
                number(one.peak_mb, 0),
            )
            for one in peer_speeds(results)
        ],
    )
    yield Table(
        "What the programs are, and how their work compares",
        ("program", "what", "version", "checked"),
        [
            (
                one.name,
                one.what,
                one.version,
                f"did not run: {one.skipped}"
                if one.skipped
                else "; ".join(f"{name}: {found}" for name, found in one.checks.items()),
            )
            for one in results.peers
        ],
    )

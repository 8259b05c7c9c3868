"""The tables of other people's programs beside this one."""

from __future__ import annotations

from collections.abc import Iterator

from xray_infer.benchmarks.peers.registry import SHIPPED
from xray_infer.benchmarks.report.cells import middle, number, ratio
from xray_infer.benchmarks.report.gathered import Figures
from xray_infer.study.document import Block, Heading, Paragraph, Table


def peer_tables(figures: Figures) -> Iterator[Block]:
    """Yield heading and tables, where peers took part."""
    if not figures.results.peers:
        return
    yield Heading(2, "Peers")
    yield from peer_speed(figures)
    yield Table(
        "What the programs are, and whether they do equal work",
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
            for one in figures.results.peers
        ],
    )


def peer_speed(figures: Figures) -> Iterator[Block]:
    """Yield the table of speeds and what its columns mean, where peers ran."""
    if not figures.peers:
        return
    first = figures.peers[0]
    yield Paragraph(
        f"{first.images} files, {first.runs} interleaved rounds after one that does not count, each run a "
        f"fresh process. The last two columns say how many times as fast {SHIPPED} is, round by round, with "
        "95 % intervals; below 1 the peer is faster. Memory is that of all its processes."
    )
    yield Table(
        "Speed of whole programs, median (smallest to largest)",
        (
            "program",
            "images/s with the start",
            "images/s after the first answer",
            "start, s",
            "peak memory, MB",
            "ours, with the start",
            "ours, after the first answer",
        ),
        [
            (
                one.name,
                middle(one.images_per_s),
                middle(one.steady_images_per_s),
                middle(one.start_s, 2),
                number(one.peak_mb, 0),
                ratio(one.ours),
                ratio(one.ours_steady),
            )
            for one in figures.peers
        ],
    )

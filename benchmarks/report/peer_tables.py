"""The tables of peers, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from xray_infer.benchmarks.peers.registry import SHIPPED
from xray_infer.benchmarks.report.cells import estimate, middle, number, table
from xray_infer.benchmarks.report.gathered import Figures


def peer_tables(figures: Figures) -> Iterator[str]:
    """Yield heading and tables, where peers took part."""
    if not figures.results.peers:
        return
    what = {peer.name: peer for peer in figures.results.peers}
    if figures.peers:
        first = figures.peers[0]
        yield (
            f"## Peers\n\n{first.images} files, {first.runs} interleaved rounds after one that does not "
            "count, each run a fresh process; medians (smallest-largest). Last two columns: how many times "
            f"as fast {SHIPPED} is, round by round (95 %); below 1 the peer is faster. Memory is that of all "
            "its processes."
        )
        yield table(
            [
                "peer",
                "images/s with start-up",
                "after the first answer",
                "start, s",
                "peak memory, MB",
                "ours, with start-up",
                "ours, after the first answer",
            ],
            [
                (
                    one.name,
                    middle(one.images_per_s),
                    middle(one.steady_images_per_s),
                    middle(one.start_s, 2),
                    number(one.peak_mb, 0),
                    estimate(one.ours, 2),
                    estimate(one.ours_steady, 2),
                )
                for one in figures.peers
            ],
        )
    yield "### What they are, and whether they do equal work"
    yield table(
        ["peer", "what", "version", "checked"],
        [
            (
                one.name,
                one.what,
                one.version,
                f"skipped: {one.skipped}"
                if one.skipped
                else "; ".join(f"{k}: {v}" for k, v in one.checks.items()),
            )
            for one in what.values()
        ],
    )

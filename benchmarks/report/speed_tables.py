"""The tables of speed, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from xray_infer.benchmarks.records.schema import RowKey
from xray_infer.benchmarks.report.cells import estimate, middle, number, percent, table
from xray_infer.benchmarks.report.gathered import Figures, title
from xray_infer.benchmarks.rows import BASELINE
from xray_infer.benchmarks.speed.figures import RowSpeed, limit_images_per_s


def effort_words(figures: Figures) -> str:
    """Say how long was measured, and how that compares with MLPerf's minimum."""
    effort = figures.results.options.get("effort", {})
    processes = [one.processes for one in figures.speed.values()]
    text = (
        f"{effort.get('rounds')} rounds of fresh processes, {min(processes)} to {max(processes)} a row; in "
        f"each process at least {effort.get('seconds')} s and {effort.get('queries')} images a scenario"
    )
    if effort.get("seconds", 0) < 600 or effort.get("queries", 0) < 1024:
        return f"{text}. MLPerf asks for 600 s and 1,024 queries: this is not an MLPerf result."
    return f"{text}."


def speed_tables(figures: Figures) -> Iterator[str]:
    """Yield headings and tables, as many as there are figures for."""
    speed = figures.speed
    if speed:
        yield f"## Latency and throughput\n\n{effort_words(figures)}"
    if any(one.p50_ms for one in speed.values()):
        yield (
            "### SingleStream: one image after the other, all processors\n\nIntervals resample processes. "
            f"The ratio is to {' '.join(BASELINE)} of the same method, each process beside the two baselines "
            "around it."
        )
        yield table(
            ["row", "p50, ms", "p90, ms", "p99, ms", "queries", "times as fast (95 %)"],
            [
                (
                    title(key),
                    estimate(one.p50_ms),
                    estimate(one.p90_ms),
                    estimate(one.p99_ms),
                    str(one.queries),
                    estimate(one.latency_ratio, 2),
                )
                for key, one in speed.items()
            ],
        )
    if any(one.images_per_s for one in speed.values()):
        yield "### Offline: as many as possible side by side"
        yield table(
            [
                "row",
                "batch",
                "images/s (95 %)",
                "smallest-largest",
                "times as fast (95 %)",
                "of the limit",
                "J an image",
            ],
            [_offline(key, one) for key, one in speed.items()],
        )
        yield _limits(figures)
    if speed:
        yield "### Files and start"
        yield table(
            ["row", "MB", "load, s", "first answer of a new process, s", "peak memory with one session, MB"],
            [
                (
                    title(key),
                    f"{figures.megabytes(key):.1f}",
                    number(one.load_s, 2),
                    number(one.first_result_s, 2),
                    number(one.peak_mb, 0),
                )
                for key, one in speed.items()
            ],
        )
    if figures.stages:
        names = list(figures.stages[0].stages)
        yield (
            "## From a file to its row, ms an image\n\nOne thread; median of the processes' means "
            "(smallest-largest)."
        )
        yield table(
            ["row", "images", *names],
            [
                (title(one.row), str(one.images), *(middle(one.stages[name]) for name in names))
                for one in figures.stages
            ],
        )
    if figures.commands:
        yield "## The whole command, start-up included"
        yield table(
            ["row", "images", "images/s, median (min-max)", "peak memory, MB"],
            [
                (title(one.row), str(one.images), middle(one.images_per_s), number(one.peak_mb, 0))
                for one in figures.commands
            ],
        )


def _offline(key: RowKey, one: RowSpeed) -> tuple[str, ...]:
    low, high = one.images_per_s_range or (0.0, 0.0)
    return (
        title(key),
        str(one.batch or ""),
        estimate(one.images_per_s),
        f"{low:.1f}-{high:.1f}",
        estimate(one.ratio, 2),
        percent(one.limit_share),
        "unavailable" if one.energy_j_per_image is None else number(one.energy_j_per_image, 2),
    )


def _limits(figures: Figures) -> str:
    parts = [
        f"{limit:.1f} images/s in {name}"
        for name, recipe in (("float32", "fp32"), ("u8 by s8", "int8"))
        if (limit := limit_images_per_s(recipe, figures.results)) is not None
    ]
    return (
        f"The limit: {' and '.join(parts)}, if all {figures.results.gmac:.2f} 10^9 multiply-accumulates of "
        "the Keras model ran at the speed of a large matrix product, measured once a round. Exported graphs "
        "average before they convolve between blocks and need fewer, so a share can pass 100 %."
    )

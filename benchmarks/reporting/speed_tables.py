"""The tables of speed: latency, throughput, start, stages, the whole command, other programs."""

from __future__ import annotations

from collections.abc import Iterator

from xray_infer.benchmarks.model_rows import BASELINE
from xray_infer.benchmarks.peers.registry import SHIPPED
from xray_infer.benchmarks.reporting.bench_figures import BenchFigures, estimate, middle, ratio, title
from xray_infer.benchmarks.results_schema import RowKey
from xray_infer.benchmarks.speed.speed_figures import RowSpeed, limit_images_per_s
from xray_infer.images.preprocess import STUDY
from xray_infer.study.document import Block, Heading, Paragraph, Table
from xray_infer.study.intervals import number, percent


def effort_words(figures: BenchFigures) -> str:
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


def speed_tables(figures: BenchFigures) -> Iterator[Block]:
    """Yield headings and tables, as many as there are figures for."""
    speed = figures.speed
    if speed:
        yield Heading(2, "Latency and throughput")
        yield Paragraph(effort_words(figures))
        yield Paragraph(
            f"Intervals resample processes. Times as fast is beside {' '.join(BASELINE)} of the same method: "
            "each process beside the two baselines around it."
        )
        yield Table(
            "SingleStream: one image after the other, all processors",
            ("row", "p50, ms", "p90, ms", "p99, ms", "queries", "times as fast (95 %)"),
            [_single(key, one) for key, one in speed.items() if one.p50_ms],
        )
        yield Table(
            "Offline: as many as possible side by side",
            (
                "row",
                "batch",
                "images/s (95 %)",
                "range",
                "times as fast (95 %)",
                "of peak",
                "J an image",
            ),
            [_offline(key, one) for key, one in speed.items() if one.images_per_s],
        )
    if figures.results.limits:
        yield Paragraph(_limits(figures))
    yield Table(
        "Files and start",
        ("row", "MB", "load, s", "first answer of a new process, s", "peak memory with one session, MB"),
        [
            (
                title(key),
                figures.megabytes(key),
                number(one.load_s, 2),
                number(one.first_result_s, 2),
                number(one.peak_mb, 0),
            )
            for key, one in speed.items()
        ],
    )


def way_tables(figures: BenchFigures) -> Iterator[Block]:
    """Yield headings and tables of stages and of the whole command."""
    if figures.stages:
        names = list(dict.fromkeys(name for one in figures.stages for name in one.stages))
        yield Heading(2, "From a file to its row")
        yield Table(
            "Milliseconds an image in each stage, one thread: median of the processes (smallest to largest)",
            ("row", "images", *names),
            [
                (
                    title(one.row),
                    str(one.images),
                    *(middle(one.stages[name]) if name in one.stages else "" for name in names),
                )
                for one in figures.stages
            ],
        )
    if figures.commands:
        yield Heading(2, "The whole command")
        yield Table(
            "xray-infer over a folder, start-up included: median (smallest to largest)",
            ("row", "images", "images/s", "peak memory, MB"),
            [
                (title(one.row), str(one.images), middle(one.images_per_s), number(one.peak_mb, 0))
                for one in figures.commands
            ],
        )


def _single(key: RowKey, one: RowSpeed) -> tuple[str, ...]:
    return (
        title(key),
        estimate(one.p50_ms),
        estimate(one.p90_ms),
        estimate(one.p99_ms),
        str(one.queries),
        ratio(one.latency_ratio),
    )


def _offline(key: RowKey, one: RowSpeed) -> tuple[str, ...]:
    low, high = one.images_per_s_range or (0.0, 0.0)
    return (
        title(key),
        str(one.batch or ""),
        estimate(one.images_per_s),
        f"{low:.1f} to {high:.1f}",
        ratio(one.ratio),
        percent(one.limit_share),
        "unavailable" if one.energy_j_per_image is None else number(one.energy_j_per_image, 2),
    )


def _limits(figures: BenchFigures) -> str:
    parts = [
        f"{limit:.1f} images/s in {name}"
        for name, recipe in (("float32", "fp32"), ("u8 by s8", "int8"))
        if (limit := limit_images_per_s(recipe, figures.results)) is not None
    ]
    sides = {model.preprocessing.side for model in figures.results.models}
    area = "" if sides <= {STUDY.side} else " The limit of an input of another side goes by its area."
    return (
        f"The limit: {' and '.join(parts)}, if {figures.results.gmac:.2f} 10^9 multiply-accumulates of the "
        "Keras model ran at the speed of a large matrix product, measured once a round. Exported graphs "
        f"average before they convolve between blocks and need fewer, so a share can pass 100 %.{area}"
    )


def peer_tables(figures: BenchFigures) -> Iterator[Block]:
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


def peer_speed(figures: BenchFigures) -> Iterator[Block]:
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

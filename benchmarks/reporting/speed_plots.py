"""Plots of speed: latencies, ratios to the baseline, stages, peers, and accuracy against latency."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from xray_infer.benchmarks.reporting.bench_figures import SHORT, BenchFigures
from xray_infer.benchmarks.reporting.drawing import (
    INK,
    LINE,
    RUNTIMES,
    SERIES,
    Plot,
    drawn,
    label_points,
    logarithmic,
    panels,
    row_panels,
    short,
)
from xray_infer.benchmarks.results_schema import RowKey

HATCHES = ("", "///", "...", "xxx", "|||")


def speed_plots(figures: BenchFigures) -> Iterator[Plot]:
    """Yield latency distributions and the forest plot of ratios, where they were measured."""
    if any(one.p50_ms for one in figures.speed.values()):
        yield drawn(
            partial(_latencies, figures),
            caption="Latency of single queries: p50 in a box from p25 to p75, line from p1 to p99",
            alt="Box plots of the latency of single queries, a line a row; a table below has percentiles.",
        )
    ratios = (one.ratio or one.latency_ratio for one in figures.speed.values())
    if any(ratio and ratio.value != 1 for ratio in ratios):  # a baseline alone is 1 by definition
        yield drawn(
            partial(_forest, figures),
            caption="Times as fast as the method's baseline, with 95 % intervals over processes",
            alt="Forest plot of each row's speed beside its baseline's; tables below have the figures.",
        )


def stage_plots(figures: BenchFigures) -> Iterator[Plot]:
    """Yield the plot of stages, where they were measured."""
    if figures.stages:
        yield drawn(
            partial(_stages, figures),
            caption="Milliseconds an image from a file to its row, by stage, one thread",
            alt="Stacked bars of the milliseconds in each stage, a bar a row; a table below has the figures.",
        )


def peer_plots(figures: BenchFigures) -> Iterator[Plot]:
    """Yield the plot of whole programs, where peers ran."""
    if figures.peers:
        yield drawn(
            partial(_peers, figures),
            caption="Images per second of whole programs: median, line from the slowest run to the fastest",
            alt="Images per second of each program with its start and after it; a table has the figures.",
        )


def _methods(keys: Iterable[RowKey]) -> dict[str, list[RowKey]]:
    groups: dict[str, list[RowKey]] = {}
    for key in keys:
        groups.setdefault(SHORT[key.method], []).append(key)
    return groups


def _labels(groups: dict[str, list[RowKey]]) -> dict[str, list[str]]:
    return {name: [short(key) for key in keys] for name, keys in groups.items()}


def _latencies(figures: BenchFigures) -> Figure:
    groups = _methods(key for key, one in figures.speed.items() if one.p50_ms)
    figure, axes = row_panels(_labels(groups))
    for panel, keys in zip(axes, groups.values(), strict=True):
        for place, key in enumerate(keys):
            runs = [one.single_stream_ms for one in figures.results.processes if one.row == key]
            colour, _ = RUNTIMES[key.runtime]
            panel.boxplot(
                np.concatenate(runs),
                positions=[place],
                orientation="horizontal",
                whis=(1, 99),
                widths=0.6,
                showfliers=False,
                manage_ticks=False,
                patch_artist=True,
                boxprops={"facecolor": colour, "edgecolor": colour, "alpha": 0.8},
                medianprops={"color": INK},
                whiskerprops={"color": colour},
                capprops={"color": colour},
            )
    logarithmic(axes)
    axes[-1].set_xlabel("ms (fewer is better)")
    return figure


def _forest(figures: BenchFigures) -> Figure:
    ratios = {key: ratio for key, one in figures.speed.items() if (ratio := one.ratio or one.latency_ratio)}
    groups = _methods(ratios)
    figure, axes = row_panels(_labels(groups))
    for panel, keys in zip(axes, groups.values(), strict=True):
        panel.axvline(1, color=INK, linewidth=0.8)
        for place, key in enumerate(keys):
            colour, marker = RUNTIMES[key.runtime]
            value, bounds = ratios[key].value, ratios[key].interval
            if bounds:
                panel.plot(bounds, (place, place), color=colour, linewidth=1.4)
            panel.plot(value, place, marker, color=colour, markersize=4.5)
    logarithmic(axes)
    axes[-1].set_xlabel("times as fast as the baseline (more is better)")
    return figure


def _stages(figures: BenchFigures) -> Figure:
    rows = {one.row: one for one in figures.stages}
    groups = _methods(rows)
    names = list(dict.fromkeys(name for one in figures.stages for name in one.stages))
    figure, axes = row_panels(_labels(groups))
    for panel, keys in zip(axes, groups.values(), strict=True):
        for place, key in enumerate(keys):
            left = 0.0
            for number, name in enumerate(names):
                width = rows[key].stages.get(name, (0.0, 0.0, 0.0))[0]
                panel.barh(
                    place,
                    width,
                    left=left,
                    height=0.7,
                    color=SERIES[number % len(SERIES)],
                    hatch=HATCHES[number % len(HATCHES)],
                    edgecolor=LINE,
                    linewidth=0.3,
                    label=name if panel is axes[0] and place == 0 else None,
                )
                left += width
    figure.legend(
        loc="outside upper center", ncols=len(names), frameon=False, handlelength=1.2, columnspacing=1
    )
    axes[-1].set_xlabel("ms an image (fewer is better)")
    return figure


def _peers(figures: BenchFigures) -> Figure:
    figure, (axes,) = row_panels({"": [one.name for one in figures.peers]}, each=0.36)
    for place, one in enumerate(figures.peers):
        parts = ((one.images_per_s, "with the start"), (one.steady_images_per_s, "after it"))
        for number, ((value, low, high), name) in enumerate(parts):
            line = place + 0.36 * (number - 0.5)
            label = name if place == 0 else None
            axes.barh(
                line,
                value,
                height=0.32,
                color=SERIES[number],
                hatch=HATCHES[number],
                edgecolor=LINE,
                label=label,
            )
            axes.plot((low, high), (line, line), color=INK, linewidth=1.2)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    axes.set_xlabel("images/s (more is better)")
    return figure


FAR = 6  # times the median latency: a row beyond would press the others together


def trade_off_plots(figures: BenchFigures) -> Iterator[Plot]:
    """Yield a plot a method whose rows have both accuracy and latency."""
    for method, name in SHORT.items():
        rows = [key for key in figures.accuracy if key.method == method and _has_latency(figures, key)]
        if rows:
            middle = float(np.median([_latency(figures, key) for key in rows]))
            slow = [key for key in rows if _latency(figures, key) > FAR * middle]
            rows = [key for key in rows if key not in slow]
            best = ", ".join(short(key) for key in pareto(figures, rows))
            yield drawn(
                partial(_trade_off, figures, rows),
                caption=f"Accuracy against p50 latency, {name}, 95 % intervals{_left_out(figures, slow)}",
                alt=f"Accuracy against p50 latency of the rows of {name}. No other row is both as fast and "
                f"as accurate as: {best}.",
            )


def _left_out(figures: BenchFigures, rows: Sequence[RowKey]) -> str:
    names = (f"{short(key)} ({_latency(figures, key):.0f} ms)" for key in rows)
    return f"; too far right to be shown: {', '.join(names)}" if rows else ""


def pareto(figures: BenchFigures, rows: Sequence[RowKey]) -> list[RowKey]:
    """Return the rows that no other beats in both accuracy and p50 latency, the fastest first."""
    best: list[RowKey] = []
    for key in sorted(
        rows, key=lambda key: (_latency(figures, key), -figures.accuracy[key].metrics.accuracy)
    ):
        accuracy = figures.accuracy[key].metrics.accuracy
        if not best or accuracy > figures.accuracy[best[-1]].metrics.accuracy:
            best.append(key)
    return best


def _has_latency(figures: BenchFigures, key: RowKey) -> bool:
    one = figures.speed.get(key)
    return one is not None and one.p50_ms is not None


def _latency(figures: BenchFigures, key: RowKey) -> float:
    estimate = figures.speed[key].p50_ms
    assert estimate is not None  # rows without were left out
    return estimate.value


def _trade_off(figures: BenchFigures, rows: Sequence[RowKey]) -> Figure:
    figure, (axes,) = panels([3.9], [""])
    points = []
    for key in rows:
        accuracy, estimate = figures.accuracy[key], figures.speed[key].p50_ms
        assert estimate is not None
        colour, marker = RUNTIMES[key.runtime]
        x, y = estimate.value, 100 * accuracy.metrics.accuracy
        across = np.abs(np.array(estimate.interval or (x, x)) - x)[:, None]
        up = np.abs(100 * np.array(accuracy.intervals["accuracy"]) - y)[:, None]
        axes.errorbar(x, y, yerr=up, xerr=across, color=colour, elinewidth=0.7, fmt="none", alpha=0.55)
        axes.plot(x, y, marker, color=colour, markersize=5)
        points.append((x, y))
    line = [
        (_latency(figures, key), 100 * figures.accuracy[key].metrics.accuracy)
        for key in pareto(figures, rows)
    ]
    axes.plot(*np.array(line).T, color=INK, linewidth=1, linestyle="--", zorder=1, drawstyle="steps-post")
    for runtime in dict.fromkeys(key.runtime for key in rows):
        colour, marker = RUNTIMES[runtime]
        axes.plot([], [], marker, color=colour, label=runtime)
    axes.plot([], [], "--", color=INK, label="not beaten in both")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    axes.margins(x=0.25, y=0.06)
    logarithmic([axes])
    axes.set(xlabel="p50 latency of one image, ms (fewer is better)", ylabel="accuracy, %")
    label_points(axes, points, [key.recipe for key in rows])
    return figure

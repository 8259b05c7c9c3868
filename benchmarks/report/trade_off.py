"""Accuracy against latency, with both intervals and the rows that no other beats in both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from xray_infer.benchmarks.records.schema import RowKey
from xray_infer.benchmarks.report.drawing import INK, RUNTIMES, Plot, drawn, logarithmic, panels, short
from xray_infer.benchmarks.report.gathered import SHORT, Figures
from xray_infer.benchmarks.report.labels import label_points

FAR = 6  # times the median latency: a row beyond would press the others together


def trade_off_plots(figures: Figures) -> Iterator[Plot]:
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


def _left_out(figures: Figures, rows: Sequence[RowKey]) -> str:
    names = (f"{short(key)} ({_latency(figures, key):.0f} ms)" for key in rows)
    return f"; too far right to be shown: {', '.join(names)}" if rows else ""


def pareto(figures: Figures, rows: Sequence[RowKey]) -> list[RowKey]:
    """Return the rows that no other beats in both accuracy and p50 latency, the fastest first."""
    best: list[RowKey] = []
    for key in sorted(
        rows, key=lambda key: (_latency(figures, key), -figures.accuracy[key].metrics.accuracy)
    ):
        accuracy = figures.accuracy[key].metrics.accuracy
        if not best or accuracy > figures.accuracy[best[-1]].metrics.accuracy:
            best.append(key)
    return best


def _has_latency(figures: Figures, key: RowKey) -> bool:
    one = figures.speed.get(key)
    return one is not None and one.p50_ms is not None


def _latency(figures: Figures, key: RowKey) -> float:
    estimate = figures.speed[key].p50_ms
    assert estimate is not None  # rows without were left out
    return estimate.value


def _trade_off(figures: Figures, rows: Sequence[RowKey]) -> Figure:
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

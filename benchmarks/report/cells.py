"""How figures are written in tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xray_infer.benchmarks.accuracy.figures import Share
from xray_infer.benchmarks.speed.figures import Estimate
from xray_infer.train.metrics import Interval


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; empty without rows."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *lines])


def percent(value: float | None, interval: Interval | None = None) -> str:
    """Return "85.8 % (81.6 to 89.1)"."""
    if value is None:
        return ""
    text = f"{100 * value:.1f} %"
    return text if interval is None else f"{text} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def share(one: Share | None) -> str:
    """Return a proportion with Wilson's interval."""
    return "" if one is None else percent(one.value, one.interval)


def number(value: float | None, digits: int = 3, interval: Interval | None = None) -> str:
    """Return a figure with its interval."""
    if value is None:
        return ""
    text = f"{value:.{digits}f}"
    return text if interval is None else f"{text} ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})"


def estimate(one: Estimate | None, digits: int = 1) -> str:
    """Return an estimate with its interval."""
    return "" if one is None else number(one.value, digits, one.interval)


def middle(figures: tuple[float, float, float], digits: int = 1) -> str:
    """Return "median (min-max)"."""
    value, low, high = figures
    return f"{value:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"

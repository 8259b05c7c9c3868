"""How figures are written in tables."""

from __future__ import annotations

from xray_infer.benchmarks.accuracy.accuracy_figures import Share
from xray_infer.benchmarks.results_schema import Guess
from xray_infer.benchmarks.speed.speed_figures import Estimate
from xray_infer.study.metrics import Interval, wilson_interval


def percent(value: float | None, interval: Interval | None = None) -> str:
    """Return "85.8 % (81.6 to 89.1)"."""
    if value is None:
        return ""
    text = f"{100 * value:.1f} %"
    return text if interval is None else f"{text} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def points(value: float, interval: Interval) -> str:
    """Return a difference of shares in percentage points, "-1.2 (-2.9 to +0.3)"."""
    return f"{100 * value:+.1f} ({100 * interval[0]:+.1f} to {100 * interval[1]:+.1f})"


def share(one: Share | None) -> str:
    """Return a proportion with Wilson's interval."""
    return "" if one is None else percent(one.value, one.interval)


def share_of(hits: int, images: int) -> Share:
    """Return a proportion."""
    return Share(images, hits, wilson_interval(hits, images))


def guess_share(guess: Guess) -> Share:
    """Return a guess's accuracy."""
    return share_of(guess.hits, guess.images)


def number(value: float | None, digits: int = 3, interval: Interval | None = None) -> str:
    """Return a figure with its interval."""
    if value is None:
        return ""
    text = f"{value:.{digits}f}"
    return text if interval is None else f"{text} ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})"


def estimate(one: Estimate | None, digits: int = 1) -> str:
    """Return an estimate with its interval."""
    return "" if one is None else number(one.value, digits, one.interval)


def ratio(one: Estimate | None) -> str:
    """Return how many times as fast, with its interval; a slow row keeps two digits that say something."""
    return "" if one is None else estimate(one, 2 if one.value >= 0.1 else 3)


def middle(figures: tuple[float, float, float], digits: int = 1) -> str:
    """Return "median (smallest to largest)"."""
    return number(figures[0], digits, figures[1:])

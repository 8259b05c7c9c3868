"""Intervals of 95 %, how they are found and how a figure is written with one.

Wilson's treats images as independent, which images of one patient are not. The bootstrap therefore draws
groups, patients or series of look-alike images, with replacement (Field and Welsh 2007); an image without
a group ("") is one of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Interval: TypeAlias = tuple[float, float]

RESAMPLES: Final = 2000
Z: Final = 1.959964  # of 95 %
ENDS: Final = (2.5, 97.5)  # percentiles


def wilson_interval(hits: int, trials: int, *, z: float = Z) -> Interval:
    """Return Wilson's score interval of a proportion (Wilson 1927); the default z gives 95 %."""
    if trials == 0:
        return 0.0, 1.0
    share = hits / trials
    centre = share + z**2 / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    return (centre - spread) / scale, (centre + spread) / scale


def percentile_interval(resampled: NDArray[np.float64]) -> Interval:
    """Return the percentile interval of a figure's resamples; those that are no number are left out."""
    known = resampled[~np.isnan(resampled)]
    low, high = np.percentile(known, ENDS) if len(known) else (math.nan, math.nan)
    return float(low), float(high)


def bootstrap_mean(
    values: NDArray[np.floating] | NDArray[np.bool_],
    groups: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the interval of a mean over images, resampling groups; of hits it is that of accuracy.

    `values` `[N]` are one figure an image, `groups` to which patient or series each belongs. Groups of
    equal size and sum are interchangeable, so a resample is one multinomial draw over the kinds of group:
    for hits, time and memory do not grow with N.
    """
    member = _numbered(groups)
    sizes, sums = np.bincount(member), np.bincount(member, weights=values)
    kinds, counts = np.unique(np.stack([sums, sizes], axis=1), axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(sizes), counts / len(sizes), size=resamples) @ kinds
    return percentile_interval(drawn[:, 0] / drawn[:, 1])


def group_weights(groups: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Return how often each image is drawn, float64 `[resamples, N]`: as often as its group.

    One matrix serves all rows and all figures of `bootstrap`, so differences between rows are paired.
    """
    member = _numbered(groups)
    count = int(member.max(initial=-1)) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.asarray(drawn[:, member], dtype=np.float64)


def _numbered(groups: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of each image's group, `[N]`, by first appearance."""
    numbers: dict[str | int, int] = {}
    return np.array(
        [numbers.setdefault(group or index, len(numbers)) for index, group in enumerate(groups)], np.int64
    )


def percent(value: float | None, interval: Interval | None = None) -> str:
    """Write a share with its interval, "85.8 % (81.6 to 89.1)"; empty for None."""
    if value is None:
        return ""
    text = f"{100 * value:.1f} %"
    return text if interval is None else f"{text} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def points(value: float, interval: Interval) -> str:
    """Write a difference of shares in percentage points, "-1.2 (-2.9 to +0.3)"."""
    return f"{100 * value:+.1f} ({100 * interval[0]:+.1f} to {100 * interval[1]:+.1f})"


def number(value: float | None, digits: int = 3, interval: Interval | None = None, *, sign: str = "") -> str:
    """Write a figure with its interval, "0.123 (0.100 to 0.150)"; `sign` "+" for a difference."""
    if value is None:
        return ""
    form = f"{sign}.{digits}f"
    text = f"{value:{form}}"
    return text if interval is None else f"{text} ({interval[0]:{form}} to {interval[1]:{form}})"

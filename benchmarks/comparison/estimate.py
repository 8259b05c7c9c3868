"""Changes of logarithms between two small samples: Welch's test with variances that learn of each other.

Times vary by factors, so everything here is a natural logarithm; 0.0953 is 10 %. The unit of replication is
the round, for a process's own samples share its fate: its pages, its threads' places, its neighbours.

Welch (1947) and Satterthwaite (1946) allow the two runs unlike scatter. With two to five rounds a variance is
poorly known, and the test pays for it in degrees of freedom: among 60 tests at 5 % and 4 + 4 of them, t must
pass 5.0, where a known variance asks 3.3. The rows of a run are measured side by side on one machine, so
Smyth's empirical Bayes (Statistical Applications in Genetics and Molecular Biology 3:3, 2004, section 6.2)
draws each row's variance towards what is usual in that run, by as much as the variances are alike; where one
row is more restless than the rest it keeps its own. With fewer than FEWEST_FOR_PRIOR rows, or two rounds,
whose variances can't tell a slow process from a restless row, it is plain Welch.

On a shared machine one process in twenty or so is slow for no reason of its own. From FEWEST_TO_TRIM rounds
on, the highest and lowest fifth are cut off and the variance is winsorised: Yuen's test (Biometrika 61:165,
1974); with few rows the degrees of freedom that this costs would not come back, and means are compared. How
often planted changes are found, and how often none is, tests/benchmarks/test_comparison_rates.py counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special  # type: ignore[import-untyped]

FEWEST_FOR_PRIOR: Final = 5
FEWEST_TO_TRIM: Final = 5
TRIMMED: Final = 0.2  # at either end
POWER: Final = 0.8
# Nothing is measured better than to 0.01 %: keeps samples without scatter from certainty.
LEAST_VARIANCE: Final = 1e-8
# A factor of e**3, about 20: what needs as much to be seen is not seen at all.
MOST_FINDABLE: Final = 3.0


@dataclass(frozen=True, slots=True)
class Variance:
    """A variance and the degrees of freedom it is known with; infinity where it is as good as given."""

    value: float
    df: float


@dataclass(frozen=True, slots=True)
class Centre:
    """A trimmed mean of logarithms, and how well it is known."""

    centre: float
    variance: Variance


@dataclass(frozen=True, slots=True)
class Change:
    """A difference of mean logarithms, B minus A, with the variance of that difference."""

    log: float
    variance: float
    df: float

    @property
    def p_value(self) -> float:
        """Two-sided p-value of no change, by Student's t."""
        return float(2 * special.stdtr(self.df, -abs(self.log) / math.sqrt(self.variance)))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the confidence interval, as logarithms."""
        reach = -_t(self.df, (1 - confidence) / 2) * math.sqrt(self.variance)
        return self.log - reach, self.log + reach

    def findable(self, alpha: float) -> float | None:
        """Return the smallest change, as a logarithm, found with POWER at a two-sided level.

        That is (t(1 - alpha/2) + t(POWER)) standard errors, as in planning the size of a sample; None
        where it is beyond reason.
        """
        log = -(_t(self.df, alpha / 2) + _t(self.df, 1 - POWER)) * math.sqrt(self.variance)
        return log if log < MOST_FINDABLE else None

    def less(self, other: Change) -> Change:
        """Return the change that is left after an independent one is taken off."""
        return _joined(
            self.log - other.log, Variance(self.variance, self.df), Variance(other.variance, other.df)
        )


def changes(pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> list[Change | None]:
    """Return the change of each pair of samples (A `[n]`, B `[m]`) of logarithms, all of one measure.

    None where a sample has fewer than two figures.
    """
    enough = [pair for pair in pairs if min(map(len, pair)) > 1]
    first, second = (_locate([pair[run] for pair in enough]) for run in range(2))
    found = iter(
        _joined(in_b.centre - in_a.centre, in_a.variance, in_b.variance)
        for in_a, in_b in zip(first, second, strict=True)
    )
    return [next(found) if min(map(len, pair)) > 1 else None for pair in pairs]


def moderated(own: Sequence[Variance]) -> list[Variance]:
    """Draw variances of a run's rows towards the usual one (Smyth 2004); as they are when they are few.

    The degrees of freedom are never more than those of all rows together. One known with a single degree of
    freedom neither tells what is usual nor is drawn to it.
    """
    floored = [Variance(max(one.value, LEAST_VARIANCE), one.df) for one in own]
    known = [one for one in floored if one.df > 1]
    if len(known) < FEWEST_FOR_PRIOR:
        return floored
    prior, most = _usual(known), sum(one.df for one in known)
    return [_drawn(one, prior, most) if one.df > 1 else one for one in floored]


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, step by step (Holm 1979); valid however they depend."""
    corrected, worst = [1.0] * len(p_values), 0.0
    for done, index in enumerate(np.argsort(p_values, kind="stable")):
        worst = max(worst, min(1.0, p_values[index] * (len(p_values) - done)))
        corrected[index] = worst
    return corrected


def _t(df: float, share: float) -> float:
    """Return the quantile of Student's t."""
    return float(special.stdtrit(df, share))


def _locate(samples: Sequence[NDArray[np.float64]]) -> list[Centre]:
    """Return the centres of samples of one run, each of two figures or more, variances moderated."""
    middles, spreads, kept = [], [], []
    trims = len(samples) >= FEWEST_FOR_PRIOR
    for sample in samples:
        count = len(sample)
        cut = int(TRIMMED * count) if trims and count >= FEWEST_TO_TRIM else 0
        ordered = np.sort(sample)[cut : count - cut]
        winsorised = np.clip(sample, ordered[0], ordered[-1])
        middles.append(float(ordered.mean()))
        left = len(ordered)
        spreads.append(Variance(float(np.var(winsorised, ddof=1)) * (count - 1) / (left - 1), left - 1))
        kept.append(left)
    return [
        Centre(middle, Variance(spread.value / left, spread.df))
        for middle, spread, left in zip(middles, moderated(spreads), kept, strict=True)
    ]


def _joined(log: float, first: Variance, second: Variance) -> Change:
    """Return the change whose variance is the sum of two, with Satterthwaite's degrees of freedom."""
    variance = first.value + second.value
    return Change(log, variance, variance**2 / (first.value**2 / first.df + second.value**2 / second.df))


def _usual(own: Sequence[Variance]) -> Variance:
    """Estimate the scaled inverse chi-squared distribution of variances from their logarithms."""
    half = np.array([one.df / 2 for one in own])
    logs = np.log([one.value for one in own]) - special.digamma(half) + np.log(half)
    spread = float(np.var(logs, ddof=1) - special.polygamma(1, half).mean())
    if spread <= 0:  # no more unlike than chance makes them
        return Variance(float(np.exp(logs.mean())), math.inf)
    excess = min(max(spread, 2e-6), 1e4)  # what the bracket below can give
    half_df = float(optimize.brentq(lambda x: float(special.polygamma(1, x)) - excess, 1e-3, 1e6))
    return Variance(float(np.exp(logs.mean() + special.digamma(half_df) - math.log(half_df))), 2 * half_df)


def _drawn(own: Variance, prior: Variance, most: float) -> Variance:
    if math.isinf(prior.df):
        return Variance(prior.value, most)
    df = own.df + prior.df
    return Variance((own.df * own.value + prior.df * prior.value) / df, min(df, most))

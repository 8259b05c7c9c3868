"""Welch's t-test of two small samples of logarithms, the smallest change it could find, Holm's correction.

Times vary by factors, so everything here is a natural logarithm; 0.0953 is 10 %. The unit of replication is
the round, for a process's own samples share its fate: its pages, its threads' places, its neighbours. Welch
(1947) and Satterthwaite (1946) allow the two runs unlike scatter. How often planted changes are found, and
how often none is, tests/benchmarks/test_comparison_rates.py counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

POWER: Final = 0.8
# Nothing is measured better than to 0.01 %: keeps samples without scatter from certainty.
LEAST_VARIANCE: Final = 1e-8
# A factor of e**3, about 20: what needs as much to be seen is not seen at all.
MOST_FINDABLE: Final = 3.0


@dataclass(frozen=True, slots=True)
class Change:
    """A difference of mean logarithms, B minus A, with its standard error and degrees of freedom."""

    log: float
    error: float
    df: float

    @property
    def p_value(self) -> float:
        """Two-sided p-value of no change, by Student's t."""
        return float(2 * stats.t.sf(abs(self.log) / self.error, self.df))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the confidence interval, as logarithms."""
        low, high = stats.t.interval(confidence, self.df, self.log, self.error)
        return float(low), float(high)

    def findable(self, alpha: float) -> float | None:
        """Return the smallest change, as a logarithm, found with POWER at a two-sided level.

        That is (t(1 - alpha/2) + t(POWER)) standard errors, as in planning the size of a sample; None where
        it is beyond reason.
        """
        log = float(stats.t.isf(alpha / 2, self.df) + stats.t.ppf(POWER, self.df)) * self.error
        return log if log < MOST_FINDABLE else None


def welch(first: Sequence[float], second: Sequence[float]) -> Change | None:
    """Return the change from sample A to sample B, logarithms; None where one has fewer than two figures."""
    if min(len(first), len(second)) < 2:
        return None
    squared = [max(float(np.var(one, ddof=1)), LEAST_VARIANCE) / len(one) for one in (first, second)]
    total = sum(squared)
    df = total**2 / sum(part**2 / (len(one) - 1) for part, one in zip(squared, (first, second), strict=True))
    return Change(float(np.mean(second) - np.mean(first)), math.sqrt(total), df)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, step by step (Holm 1979); valid however they depend."""
    corrected, worst = [1.0] * len(p_values), 0.0
    for done, index in enumerate(np.argsort(p_values, kind="stable")):
        worst = max(worst, min(1.0, p_values[index] * (len(p_values) - done)))
        corrected[index] = worst
    return corrected

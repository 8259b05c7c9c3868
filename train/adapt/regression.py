"""Multinomial logistic regression with an L2 penalty, in NumPy alone.

    minimise  strength * sum of v_i * -log p(y_i | x_i) + |W|^2 / 2,  p = softmax(x W + b)

The weights v of the rows make all classes count alike; the bias is not penalised. It is scikit-learn's
LogisticRegression with class_weight="balanced" and C = strength, twice that for two classes, of which it has
one vector. Tests hold it against that; it saves 150 megabytes and a second of start.

Of N rows only N directions can matter, so rows are first turned into their principal axes: there the second
derivatives are nearly diagonal, and L-BFGS (Nocedal and Wright 2006, algorithm 7.4), scaled by that diagonal,
needs some ten steps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]

MOST_STEPS: Final = 200
MEMORY: Final = 10  # steps that L-BFGS remembers
SMALL: Final = 1e-5  # gradient per row, where it ends
LEAST_AXIS: Final = 1e-9  # of the largest axis's variance: a shorter one is rounding
HALVINGS: Final = 30
LEAST_FALL: Final = 1e-4  # of what the slope promises


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A linear classifier: logits [N, C] = rows [N, K] . `weights` [K, C] + `bias` [C], float64."""

    weights: Floats
    bias: Floats

    def logits(self, rows: NDArray[np.floating]) -> Floats:
        """Return the logits of rows."""
        return np.asarray(rows.astype(np.float64) @ self.weights + self.bias)


@dataclass(frozen=True, slots=True, eq=False)
class Turned:
    """Rows [N, K], centred, divided by their columns' spread and turned into their axes: `values` [N, R + 1].

    The last column is 1, for the bias. What is fitted to some of these rows is what would be fitted to them
    as they are: a penalty on |W|^2 knows no directions, and no W leaves the space of the rows. Only the
    spread is that of all rows; it knows no label.
    """

    values: Floats
    mean: Floats
    spread: Floats
    axes: Floats

    def linear(self, coefficients: Floats) -> Linear:
        """Return a classifier of rows as they were, from coefficients [R + 1, C] of the turned ones."""
        weights = self.axes @ coefficients[:-1] / self.spread[:, None]
        return Linear(weights, coefficients[-1] - self.mean @ weights)


def turn(rows: NDArray[np.floating]) -> Turned:
    """Prepare rows [N, K] for fitting."""
    values = rows.astype(np.float64)
    mean, spread = values.mean(axis=0), spread_of(values)
    scaled = (values - mean) / spread
    axes = _principal_axes(scaled)
    return Turned(np.column_stack([scaled @ axes, np.ones(len(scaled))]), mean, spread, axes)


def spread_of(values: Floats) -> Floats:
    """Return by what columns are divided: the standard deviation, and no less than some of the usual one.

    In ten films a feature that hardly varies has a deviation that says nothing; divided by it alone, it would
    count as much as any other.
    """
    deviations = values.std(axis=0)
    usual = float(np.median(deviations)) or float(deviations.max()) or 1.0
    return np.asarray(np.sqrt(deviations**2 + usual**2))


def _principal_axes(values: Floats) -> Floats:
    """Return the axes [K, R] of centred rows, R no more than rows or columns."""
    tall = len(values) > values.shape[1]
    squares = values.T @ values if tall else values @ values.T
    variances, vectors = np.linalg.eigh(squares)
    kept = variances > LEAST_AXIS * max(float(variances[-1]), LEAST_AXIS)
    if tall:
        return np.asarray(vectors[:, kept])
    return np.asarray(values.T @ (vectors[:, kept] / np.sqrt(variances[kept])))


def fit_path(turned: Floats, labels: Labels, classes: int, strengths: Iterable[float]) -> Iterator[Floats]:
    """Yield coefficients [R + 1, C] fitted to some turned rows, for each strength; best in rising order."""
    counts = np.bincount(labels, minlength=classes)
    voices = (len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)))[labels]
    found, truth = np.zeros((turned.shape[1], classes)), np.eye(classes)[labels]
    for strength in strengths:
        found = _fit(turned, truth, voices * strength, found)
        yield found


def _fit(rows: Floats, truth: Floats, voices: Floats, start: Floats) -> Floats:
    """Return the coefficients [R, C] of rows [N, R], the last of which is 1 and is not penalised."""
    penalty = np.ones((rows.shape[1], 1))
    penalty[-1] = 0
    # The second derivative of -log p is at most 1/4 in each logit.
    scale = np.sqrt(((rows**2).T @ voices / 4)[:, None] + penalty)

    def loss(scaled: Floats) -> tuple[float, Floats]:
        coefficients = scaled / scale
        logits = rows @ coefficients
        logits -= logits.max(axis=1, keepdims=True)
        chances = np.exp(logits)
        sums = chances.sum(axis=1, keepdims=True)
        likelihood = voices @ ((logits * truth).sum(axis=1) - np.log(sums[:, 0]))
        slope = rows.T @ (voices[:, None] * (chances / sums - truth)) + penalty * coefficients
        return float((penalty * coefficients**2).sum() / 2 - likelihood), slope / scale

    return np.asarray(minimise(loss, start * scale, small=SMALL * float(np.sqrt(voices.sum()))) / scale)


def minimise(loss: Callable[[Floats], tuple[float, Floats]], start: Floats, *, small: float) -> Floats:
    """Return where a convex function is lowest; `loss` gives its value and slope. L-BFGS."""
    place, (value, slope) = start, loss(start)
    steps: deque[_Step] = deque(maxlen=MEMORY)
    for _ in range(MOST_STEPS):
        if np.abs(slope).max() <= small:
            break
        direction = -_towards(slope, steps)
        fall = float(np.vdot(slope, direction))
        size = 1.0
        for _ in range(HALVINGS):
            new = place + size * direction
            new_value, new_slope = loss(new)
            if new_value <= value + LEAST_FALL * size * fall:
                break
            size /= 2
        else:
            break  # as low as float64 can tell
        step = _Step(new - place, new_slope - slope)
        if step.curvature > 0:
            steps.append(step)
        place, value, slope = new, new_value, new_slope
    return place


class _Step:
    """A step, how it changed the slope, and the product of the two."""

    def __init__(self, moved: Floats, changed: Floats) -> None:
        self.moved, self.changed = moved, changed
        self.curvature = float(np.vdot(moved, changed))


def _towards(slope: Floats, steps: Sequence[_Step]) -> Floats:
    """Return the slope times the inverse second derivative, as far as the steps tell it."""
    result = slope.copy()
    shares = []
    for step in reversed(steps):
        shares.append(float(np.vdot(step.moved, result)) / step.curvature)
        result -= shares[-1] * step.changed
    if steps:
        result *= steps[-1].curvature / float(np.vdot(steps[-1].changed, steps[-1].changed))
    for step, share in zip(steps, reversed(shares), strict=True):
        result += step.moved * (share - float(np.vdot(step.changed, result)) / step.curvature)
    return result

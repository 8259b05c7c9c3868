"""Cross-validation over groups: what a head is worth on films that it was not fitted to.

The strength of the penalty is chosen inside each fold's other films, by heads that saw neither the fold nor
the films on which they are compared (nested; Varma and Simon 2006). So the figure is of the whole procedure,
choice included. With K folds that takes K (K - 1) / 2 fits of all strengths, not K (K - 1): the head without
folds i and j serves the choice for either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.study.metrics import softmax
from xray_infer.study.temperature import fit_temperature
from xray_infer.train.adapt.regression import Floats, Labels, Linear, fit_path, turn

FOLDS: Final = 5
# On standardised features; stronger penalties first. Beyond either end nothing was gained on cxr4.
STRENGTHS: Final = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True, slots=True, eq=False)
class Crossed:
    """A head and what it is worth.

    `logits` float64 [N, C] of each row are by a head fitted without the row's fold; `head` is fitted to all
    rows with `strength`.
    """

    head: Linear
    logits: Floats
    strength: float


def deal(labels: Labels, groups: Sequence[int], *, folds: int = FOLDS, seed: int = 0) -> NDArray[np.int64]:
    """Return the fold of each row, 0 to folds - 1: a group is in one fold, classes are spread evenly."""
    member = np.unique(groups, return_inverse=True)[1]
    counts = np.zeros((member.max() + 1, labels.max() + 1))
    np.add.at(counts, (member, labels), 1)
    counts /= counts.sum(axis=0)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].max(axis=1), kind="stable")]
    filled = np.zeros((folds, counts.shape[1]))
    dealt = np.empty(len(counts), np.int64)
    for group in order:
        # Where the classes of this group are rarest so far, and of those the fold with least in all.
        crowded = filled @ (counts[group] > 0)
        dealt[group] = np.lexsort((filled.sum(axis=1), crowded))[0]
        filled[dealt[group]] += counts[group]
    return np.asarray(dealt[member])


def cross(
    rows: NDArray[np.floating],
    labels: Labels,
    folds: NDArray[np.int64],
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> Crossed:
    """Fit a head to rows [N, K] with labels [N], and judge it without each of the folds [N] in turn."""
    classes, count = int(labels.max()) + 1, int(folds.max()) + 1
    shape = (len(strengths), len(rows), classes)
    turned = turn(rows)
    values = turned.values

    def logits(fitted: NDArray[np.bool_], asked: NDArray[np.bool_]) -> Floats:
        path = fit_path(values[fitted], labels[fitted], classes, strengths)
        return np.stack([values[asked] @ coefficients for coefficients in path])

    once = np.empty(shape)
    without = np.empty((count, *shape))  # [k]: of rows outside fold k, by heads that saw nothing of k
    for fold in range(count):
        once[:, folds == fold] = logits(folds != fold, folds == fold)
    for first, second in combinations(range(count), 2):
        outside = (folds != first) & (folds != second)
        both = logits(outside, ~outside)
        inner = folds[~outside]
        without[first][:, folds == second] = both[:, inner == second]
        without[second][:, folds == first] = both[:, inner == first]
    chosen = np.empty((len(rows), classes))
    for fold in range(count):
        others = folds != fold
        best = best_strength(without[fold][:, others], labels[others])
        chosen[~others] = once[best][~others]
    strength = strengths[best_strength(once, labels)]
    (coefficients,) = fit_path(values, labels, classes, [strength])
    return Crossed(turned.linear(coefficients), chosen, strength)


def fit_head_temperature(logits: Floats, labels: Labels) -> float:
    """Return the temperature of out-of-fold logits [N, C].

    Where a class has n films, each counts for (n + 1) / (n + C) of its class and 1 / (n + C) of each other
    (Platt 1999): without that, a few films that are all right would make the head as sure as can be.
    """
    classes = logits.shape[1]
    counts = np.bincount(labels, minlength=classes)[labels]
    shares = np.repeat(1 / (counts + classes), classes).reshape(-1, classes)
    shares[np.arange(len(labels)), labels] *= counts + 1
    every = np.tile(np.arange(classes), len(labels))
    return fit_temperature(np.repeat(logits, classes, axis=0), every, shares.ravel())


def best_strength(logits: Floats, labels: Labels) -> int:
    """Return which of several logits [S, N, C] say most of the labels, each at its best temperature.

    Without a temperature a strong penalty would be thought poor for being unsure, though it may rank best.
    All classes count alike.
    """
    weights = (1 / np.maximum(np.bincount(labels), 1))[labels]

    def loss(one: Floats) -> float:
        chances = softmax(one, fit_temperature(one, labels, weights))
        return -float(np.average(np.log(chances[np.arange(len(labels)), labels] + 1e-30), weights=weights))

    return int(np.argmin([loss(one) for one in logits]))

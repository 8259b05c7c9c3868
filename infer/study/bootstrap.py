"""Metrics of every resample of a bootstrap at once, from how often each image is drawn in it.

One matrix of weights, `intervals.group_weights`, serves all rows and all figures: so differences between
rows are paired, resample by resample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

BINS: Final = 15
Floats: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]
# Weights [B, N], labels [N], probabilities [N, C] to a figure a resample, [B].
Statistic: TypeAlias = Callable[[Floats, Labels, Floats], Floats]


def accuracy(weights: Floats, labels: Labels, probabilities: Floats) -> Floats:
    """Return the share of images whose most probable class is right."""
    hits = probabilities.argmax(axis=1) == labels
    return np.asarray(weights @ hits / weights.sum(axis=1))


def balanced_accuracy(weights: Floats, labels: Labels, probabilities: Floats) -> Floats:
    """Return the mean recall of the classes that have images in the resample."""
    hits = probabilities.argmax(axis=1) == labels
    recalls = []
    for label in range(probabilities.shape[1]):
        of_class = labels == label
        total = weights @ of_class
        with np.errstate(invalid="ignore"):
            recalls.append((weights @ (hits & of_class)) / total)
    return np.asarray(np.nanmean(recalls, axis=0))


def macro_f1(weights: Floats, labels: Labels, probabilities: Floats) -> Floats:
    """Return the mean F1 of the classes; that of a class without images and predictions is 0."""
    predicted = probabilities.argmax(axis=1)
    scores = []
    for label in range(probabilities.shape[1]):
        both = weights @ ((predicted == label) & (labels == label))
        either = weights @ (predicted == label).astype(float) + weights @ (labels == label)
        scores.append(np.divide(2 * both, either, out=np.zeros_like(either), where=either > 0))
    return np.asarray(np.mean(scores, axis=0))


def macro_auroc(weights: Floats, labels: Labels, probabilities: Floats) -> Floats:
    """Return the mean over classes of the area under the ROC curve, one against the rest, ties counting half.

    A class that is missing or alone in a resample is left out of its mean.
    """
    scores = probabilities.T
    areas = [weighted_auroc(weights, labels == label, scores[label]) for label in range(len(scores))]
    known = ~np.isnan(areas)
    sums, counts = np.where(known, areas, 0.0).sum(axis=0), known.sum(axis=0)
    return np.asarray(np.divide(sums, counts, out=np.full(len(weights), np.nan), where=counts > 0))


def weighted_auroc(weights: Floats, positive: NDArray[np.bool_], scores: Floats) -> Floats:
    """Return the area under the ROC curve of scores `[N]`, ties counting half, for each row of the weights.

    A resample without positives or without negatives has none: NaN.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(scores[order]) != 0))  # of runs of equal scores
    good = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    bad = np.add.reduceat(weights[:, order] * ~positive[order], starts, axis=1)
    below = np.cumsum(bad, axis=1) - bad
    pairs = good.sum(axis=1) * bad.sum(axis=1)
    won = (good * (below + bad / 2)).sum(axis=1)
    return np.asarray(np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0))


def brier(weights: Floats, labels: Labels, probabilities: Floats) -> Floats:
    """Return the mean squared error summed over classes, 0..2."""
    truth = np.eye(probabilities.shape[1])[labels]
    errors = ((probabilities - truth) ** 2).sum(axis=1)
    return np.asarray(weights @ errors / weights.sum(axis=1))


def calibration_error(weights: Floats, labels: Labels, probabilities: Floats) -> Floats:
    """Return the expected calibration error over the bins of equal mass of the whole sample.

    The bins are those of `metrics.reliability_bins`, and stay what they are from one resample to the
    next: resampled images bring ties, which would merge bins. The error is biased upwards, more so in a
    resample than in the sample (Broecker and Smith 2007), so the interval leans upwards too.
    """
    confidence = probabilities.max(axis=1)
    hits = probabilities.argmax(axis=1) == labels
    ordered = np.sort(confidence)
    edges = ordered[np.maximum(np.arange(1, BINS) * len(ordered) // BINS - 1, 0)]
    place = np.searchsorted(edges, confidence, side="left")
    member = np.eye(BINS)[place]
    gaps = np.abs((weights * (hits - confidence)) @ member)
    return np.asarray(gaps.sum(axis=1) / weights.sum(axis=1))


STATISTICS: Final[Mapping[str, Statistic]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "macro_auroc": macro_auroc,
    "calibration_error": calibration_error,
    "brier": brier,
}

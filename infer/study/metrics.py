"""Classification metrics from labels and probabilities, in the field's usual definitions.

Precision, recall and F1 of a class that is never predicted or never present are 0, as in scikit-learn
with `zero_division=0`; the area under a ROC curve without positives or without negatives is None.

Intervals are Wilson's (see `intervals`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_infer.model.json_records import Count
from xray_infer.study.intervals import Interval, wilson_interval


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """One class against the rest; all in 0..1, `support` is its number of images.

    Recall is also called sensitivity. The intervals are Wilson's; F1 is not a proportion and has none.
    """

    precision: float
    recall: float
    f1: float
    support: Count
    specificity: float
    auroc: float | None
    precision_interval: Interval
    recall_interval: Interval
    specificity_interval: Interval


@dataclass(frozen=True, slots=True)
class Metrics:
    """`confusion[true][predicted]` counts images, classes in the order of the model's outputs.

    `balanced_accuracy` is the mean recall of the classes that have images (Brodersen et al. 2010).
    """

    images: Count
    accuracy: float
    macro_f1: float
    classes: dict[str, ClassMetrics]
    confusion: tuple[tuple[int, ...], ...]
    accuracy_interval: Interval
    balanced_accuracy: float

    @property
    def hits(self) -> int:
        """Number of images whose prediction is right."""
        return sum(row[index] for index, row in enumerate(self.confusion))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Images of similar confidence: its range, its mean, how many images there are and how many hits."""

    low: float
    high: float
    confidence: float
    images: int
    hits: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far probabilities at one temperature can be taken at their word; lower is better for all three."""

    temperature: float
    negative_log_likelihood: float
    brier_score: float
    expected_calibration_error: float
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class McNemar:
    """Two classifiers on the same images: how many each has right, and the p-value of their difference."""

    images: int
    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int
    p_value: float


def measure(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], classes: Sequence[str]
) -> Metrics:
    """Compare true labels `[N]` with probabilities `[N, C]` of C classes; the prediction is the largest."""
    if len(labels) == 0:
        raise ValueError("no images to measure")
    size = len(classes)
    confusion = np.zeros((size, size), dtype=int)
    np.add.at(confusion, (labels, probabilities.argmax(axis=1)), 1)
    hits, total = confusion.diagonal(), int(confusion.sum())
    predicted, present = confusion.sum(axis=0), confusion.sum(axis=1)
    absent, rejected = total - present, total - present - predicted + hits
    by_class = {
        name: ClassMetrics(
            precision=_ratio(hits[index], predicted[index]),
            recall=_ratio(hits[index], present[index]),
            f1=_ratio(2 * hits[index], predicted[index] + present[index]),
            support=int(present[index]),
            specificity=_ratio(rejected[index], absent[index]),
            auroc=auroc(labels == index, probabilities[:, index]),
            precision_interval=wilson_interval(int(hits[index]), int(predicted[index])),
            recall_interval=wilson_interval(int(hits[index]), int(present[index])),
            specificity_interval=wilson_interval(int(rejected[index]), int(absent[index])),
        )
        for index, name in enumerate(classes)
    }
    recalls = [one.recall for one in by_class.values() if one.support]
    return Metrics(
        images=len(labels),
        accuracy=_ratio(hits.sum(), total),
        macro_f1=sum(one.f1 for one in by_class.values()) / size,
        classes=by_class,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        accuracy_interval=wilson_interval(int(hits.sum()), total),
        balanced_accuracy=sum(recalls) / len(recalls),
    )


def roc_curve(
    positive: NDArray[np.bool_], scores: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return false and true positive rates from (0, 0) to (1, 1), a point a score (Fawcett 2006).

    Images of one score cross the threshold together, so ties become a slanted segment. None without
    positives or without negatives.
    """
    if positive.all() or not positive.any():
        return None
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(np.diff(scores[order]) != 0, True)
    above, found = np.arange(1, len(scores) + 1)[last_of_ties], np.cumsum(positive[order])[last_of_ties]
    false_rate, true_rate = (above - found) / (above[-1] - found[-1]), found / found[-1]
    return np.insert(false_rate, 0, 0.0), np.insert(true_rate, 0, 0.0)


def auroc(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> float | None:
    """Return the area under the ROC curve: the chance that a positive outscores a negative, a tie counting
    half, which is Mann and Whitney's U over the number of pairs (Hanley and McNeil 1982). None as above.
    """
    curve = roc_curve(positive, scores)
    if curve is None:
        return None
    false_rate, true_rate = curve
    return float(np.diff(false_rate) @ (true_rate[1:] + true_rate[:-1]) / 2)


def softmax(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return probabilities `[N, C]` of logits `[N, C]` divided by a temperature above 0 (Guo et al. 2017)."""
    return np.exp(_log_softmax(logits, temperature))


def negative_log_likelihood(
    labels: NDArray[np.integer], logits: NDArray[np.floating], temperature: float = 1.0
) -> float:
    """Return the mean of -log p(true class), in nats, without a probability that underflows to 0."""
    return float(-_log_softmax(logits, temperature)[np.arange(len(labels)), labels].mean())


def brier_score(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """Return the mean over images of the squared error summed over classes, 0..2 (Brier 1950)."""
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def reliability_bins(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], *, bins: int = 15
) -> tuple[ReliabilityBin, ...]:
    """Cut images, sorted by highest probability, into bins of equal mass (Nguyen and O'Connor 2015).

    Equal probabilities stay in one bin, so there may be fewer bins, of unequal size.
    """
    confidence, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    ordered = np.sort(confidence)
    edges = ordered[np.maximum(np.arange(1, bins) * len(ordered) // bins - 1, 0)]
    place = np.searchsorted(edges, confidence, side="left")
    members = (place == index for index in range(bins))
    return tuple(
        ReliabilityBin(
            low=float(confidence[member].min()),
            high=float(confidence[member].max()),
            confidence=float(confidence[member].mean()),
            images=int(member.sum()),
            hits=int(hits[member].sum()),
        )
        for member in members
        if member.any()
    )


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the mean over images of |accuracy - confidence| of their bin, 0..1 (Guo et al. 2017)."""
    gaps = sum(abs(one.hits - one.confidence * one.images) for one in bins)
    return gaps / sum(one.images for one in bins)


def calibration(
    labels: NDArray[np.integer], logits: NDArray[np.floating], temperature: float = 1.0
) -> Calibration:
    """Measure the probabilities of logits `[N, C]` at one temperature, with 15 bins of equal mass."""
    probabilities = softmax(logits, temperature)
    bins = reliability_bins(labels, probabilities)
    return Calibration(
        temperature=float(temperature),
        negative_log_likelihood=negative_log_likelihood(labels, logits, temperature),
        brier_score=brier_score(labels, probabilities),
        expected_calibration_error=expected_calibration_error(bins),
        bins=bins,
    )


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """Compare which images `[N]` two classifiers have right (McNemar 1947), exactly.

    The p-value is that of the two-sided binomial test, at 1/2, of the images that only one has right.
    """
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    trials = only_first + only_second
    tail = ways = 1  # in exact integers: the ways to choose none of them, then one, two, ...
    for count in range(min(only_first, only_second)):
        ways = ways * (trials - count) // (count + 1)
        tail += ways
    return McNemar(
        images=len(first),
        both_right=int((first & second).sum()),
        only_first_right=only_first,
        only_second_right=only_second,
        both_wrong=int((~first & ~second).sum()),
        p_value=min(1.0, 2 * tail / 2**trials),
    )


def _log_softmax(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    if not temperature > 0:
        raise ValueError(f"a temperature is above 0, not {temperature}")
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    shifted = scaled - scaled.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _ratio(part: int | np.integer, whole: int | np.integer) -> float:
    return float(part / whole) if whole else 0.0

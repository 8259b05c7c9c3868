"""Learning curves: a head fitted to 5 to 100 labels a class of a domain, beside two controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.adapting.splits import LABELS, Hospitals, Split, splits
from xray_infer.study.bootstrap import balanced_accuracy
from xray_infer.study.intervals import group_weights, percentile_interval
from xray_infer.terminal import Report
from xray_infer.train.adapt.crossing import cross, deal
from xray_infer.train.adapt.regression import Floats, Labels, fit_path, turn

STARTING: Final = 1e-3  # strength of the head of the other domains
LEAST_TOLD: Final = 10  # labels a class from which on `xray-train adapt` gives a figure


@dataclass(frozen=True, slots=True)
class SplitResult:
    """Balanced accuracies on the films that judge one split.

    `told` is the cross-validated figure of the labelled films, with its interval; None below 10 labels a
    class, of which `xray-train adapt` makes none.
    """

    domain: str
    labels: int
    seed: int
    judging: int
    head: float
    pixels: float
    old_head: float
    strength: float
    told: float | None = None
    told_interval: tuple[float, float] | None = None


def learning_curves(hospitals: Hospitals, *, number: int, report: Report) -> Iterator[SplitResult]:
    """Yield the result of each split of each two-class domain, which is left out of the starting head."""
    for domain in hospitals.two_class_domains():
        old = starting_scores(hospitals, domain)
        for count in LABELS:
            report(f"{domain}: {count} labels a class")
            for seed, split in enumerate(splits(hospitals, domain, count, number)):
                yield _of_split(hospitals, split, old, (domain, count, seed))


def starting_scores(hospitals: Hospitals, domain: str) -> Floats:
    """Return all films' logits by a head that is fitted to the other domains, of all classes."""
    others = hospitals.domains != domain
    turned = turn(hospitals.features[others])
    labels = hospitals.labels[others]
    (found,) = fit_path(turned.values, labels, len(hospitals.classes), [STARTING])
    return turned.linear(found).logits(hospitals.features)


def _of_split(hospitals: Hospitals, split: Split, old: Floats, place: tuple[str, int, int]) -> SplitResult:
    domain, count, seed = place
    kept, labels = np.unique(hospitals.labels[split.labelled], return_inverse=True)
    truth = np.searchsorted(kept, hospitals.labels[split.judge])
    groups = hospitals.groups[split.labelled].tolist()
    folds = deal(labels, groups)
    judged = {}
    for name, rows in (("head", hospitals.features), ("pixels", hospitals.pixels)):
        crossed = cross(rows[split.labelled], labels, folds)
        judged[name] = mean_recall(truth, crossed.head.logits(rows[split.judge]))
        if name == "head":
            strength = crossed.strength
            told = told_interval = None
            if count >= LEAST_TOLD:
                told = mean_recall(labels, crossed.logits)
                told_interval = _interval(labels, crossed.logits, groups)
    return SplitResult(
        domain,
        count,
        seed,
        len(split.judge),
        old_head=mean_recall(truth, old[split.judge][:, kept]),
        strength=strength,
        told=told,
        told_interval=told_interval,
        **judged,
    )


def mean_recall(labels: Labels, scores: NDArray[np.floating]) -> float:
    """Return the balanced accuracy of scores [N, C]."""
    return float(balanced_accuracy(np.ones((1, len(labels))), labels, scores.astype(np.float64))[0])


def _interval(labels: Labels, scores: Floats, groups: Sequence[int]) -> tuple[float, float]:
    weights = group_weights([str(group) for group in groups])
    return percentile_interval(balanced_accuracy(weights, labels, scores))

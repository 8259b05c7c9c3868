"""What a network can do inside a domain, and in a domain that it has not seen.

Where class and hospital go together, an accuracy over all images rewards a network that knows the hospital.
Inside one domain the hospital tells nothing, so two classes that both come from it have to be told apart by
what is on the film: `within_domains`. A domain whose images took no part in the training is the nearest that
a data set has to a new hospital: `judge_left_out`.

Intervals are of 95 %, by a bootstrap over groups inside each domain (see `intervals`). They say how much the
images of these domains can tell. They do not say how much the domains differ, of which there are few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from xray_infer.classes import CLASS_NAMES
from xray_infer.model.json_records import Count
from xray_infer.study.bootstrap import (
    Floats,
    Labels,
    accuracy,
    calibration_error,
    weighted_auroc,
)
from xray_infer.study.intervals import Interval, group_weights, percentile_interval
from xray_infer.study.metrics import softmax

LEAST: Final = 5  # images of a class in a domain, for it to count there
FULL_VOICE: Final = 30  # images from which on a domain weighs as much as any other; below, in proportion


@dataclass(frozen=True, slots=True)
class Estimated:
    """A figure in 0..1 and its interval over groups."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class DomainPair:
    """Two classes of one domain, with the number of images of each.

    `auroc`: the chance that an image of `first` has the higher log p(first) - log p(second) of the two, a tie
    counting half. None where a class has too few images to count.
    """

    domain: str
    first: str
    second: str
    images: tuple[Count, Count]
    auroc: Estimated | None = None


@dataclass(frozen=True, slots=True)
class WithinDomains:
    """AUROC within domains: `mean` over the pairs that count, None where none does.

    A pair counts with at least `least` images of both classes; `pairs` has the others, too, with an `auroc`
    of None. Images without a domain are in no pair.
    """

    least: Count
    pairs: tuple[DomainPair, ...]
    images_without_domain: Count
    mean: Estimated | None = None

    @property
    def counted(self) -> tuple[DomainPair, ...]:
        """The pairs that have an AUROC."""
        return tuple(pair for pair in self.pairs if pair.auroc is not None)

    @property
    def omitted(self) -> tuple[DomainPair, ...]:
        """The pairs of which one class has too few images."""
        return tuple(pair for pair in self.pairs if pair.auroc is None)


@dataclass(frozen=True, slots=True)
class ClassRecall:
    """How many images of a class there are, how many are right, and the interval over groups."""

    images: Count
    hits: Count
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class LeftOutDomain:
    """What one method did in a domain that took no part in its training, on all images of the domain.

    `temperature` was fitted without the domain; confidence and calibration error are at it. `confusion[true]
    [predicted]` counts images, classes in the order of the outputs. `balanced_accuracy` is the mean recall of
    the classes with at least `within.least` images, None where no class has so many.
    """

    domain: str
    images: Count
    temperature: float
    accuracy: Estimated
    calibration_error: Estimated
    mean_confidence: float
    recalls: Mapping[str, ClassRecall]
    confusion: tuple[tuple[Count, ...], ...]
    within: WithinDomains
    balanced_accuracy: Estimated | None = None


@dataclass(frozen=True, slots=True)
class LeftOutMean:
    """Means over those left-out domains that have two classes or more which count, each domain alike."""

    domains: tuple[str, ...]
    balanced_accuracy: Estimated
    auroc: Estimated
    calibration_error: Estimated


@dataclass(frozen=True, slots=True)
class MethodLeftOut:
    """All domains that were left out of one method's trainings; `mean` is None where none has two classes."""

    domains: tuple[LeftOutDomain, ...]
    mean: LeftOutMean | None = None


@dataclass(frozen=True, slots=True)
class LeaveOneDomainOut:
    """Leave-one-domain-out: `methods` by name, and why a domain was `skipped`.

    `domains_from` is the column that names the domains; images without a domain were in no training.
    `classes` are in the order of the outputs; records of before have the study's.
    """

    domains_from: str
    methods: Mapping[str, MethodLeftOut]
    skipped: Mapping[str, str]
    images_without_domain: Count
    classes: tuple[str, ...] = CLASS_NAMES


@dataclass(frozen=True, slots=True, eq=False)
class DomainAnswers:
    """A network's logits `[N, C]` on all images of one domain, and the temperature of the network."""

    domain: str
    labels: Labels
    logits: Floats
    groups: Sequence[str]
    temperature: float


def within_domains(
    labels: Labels,
    scores: Floats,
    classes: Sequence[str],
    domains: Sequence[str],
    groups: Sequence[str],
    *,
    least: int = LEAST,
) -> WithinDomains | None:
    """Measure the AUROC of each pair of classes in each domain, and their mean; None without any domain.

    `scores` `[N, C]` are logits or logarithms of probabilities; what is added to all of an image's or divides
    all of them, such as a temperature, changes nothing. `domains` and `groups` are "" where unknown.
    """
    names, grouped = np.array(domains), np.array(groups)
    present = sorted({*domains} - {""})
    if not present:
        return None
    pairs: list[DomainPair] = []
    drawn: list[Floats] = []
    for name in present:
        mine = names == name
        weights = _weights(name, grouped[mine].tolist())
        found, resampled = _pairs_of(name, classes, labels[mine], scores[mine], weights, least)
        pairs += found
        drawn += resampled
    return WithinDomains(least, tuple(pairs), int((names == "").sum()), _mean_of(pairs, drawn))


def _weights(domain: str, groups: Sequence[str]) -> Floats:
    """Return how often each image of a domain is drawn, `[RESAMPLES, N]`, other draws in each domain."""
    return group_weights(groups, seed=crc32(domain.encode()))


def _pairs_of(
    domain: str, classes: Sequence[str], labels: Labels, scores: Floats, weights: Floats, least: int
) -> tuple[list[DomainPair], list[Floats]]:
    """Return the pairs of one domain, and the resampled AUROC of those that count."""
    counts = np.bincount(labels, minlength=len(classes))
    pairs, drawn = [], []
    for first, second in combinations(np.flatnonzero(counts).tolist(), 2):
        images = (int(counts[first]), int(counts[second]))
        auroc = None
        if min(images) >= least:
            chosen = np.isin(labels, (first, second))
            odds = scores[chosen, first] - scores[chosen, second]
            positive = labels[chosen] == first
            once = weighted_auroc(np.ones((1, len(odds))), positive, odds)
            drawn.append(weighted_auroc(weights[:, chosen], positive, odds))
            auroc = Estimated(float(once[0]), percentile_interval(drawn[-1]))
        pairs.append(DomainPair(domain, classes[first], classes[second], images, auroc))
    return pairs, drawn


def _mean_of(pairs: Sequence[DomainPair], drawn: Sequence[Floats]) -> Estimated | None:
    values = [pair.auroc.value for pair in pairs if pair.auroc is not None]
    if not values:
        return None
    return Estimated(float(np.mean(values)), percentile_interval(np.mean(drawn, axis=0)))


def judge_left_out(
    answers: Sequence[DomainAnswers], classes: Sequence[str], *, least: int = LEAST
) -> MethodLeftOut:
    """Measure one method in the domains left out, each answered by the network trained without it."""
    judged = [_judge(one, classes, least) for one in answers]
    kept = [(domain, figures) for domain, figures in judged if "auroc" in figures]
    mean = None
    if kept:
        means = {
            name: Estimated(
                float(np.mean([figures[name][0] for _, figures in kept])),
                percentile_interval(np.mean([figures[name][1:] for _, figures in kept], axis=0)),
            )
            for name in ("balanced_accuracy", "auroc", "calibration_error")
        }
        mean = LeftOutMean(domains=tuple(domain.domain for domain, _ in kept), **means)
    return MethodLeftOut(tuple(domain for domain, _ in judged), mean)


def _judge(one: DomainAnswers, classes: Sequence[str], least: int) -> tuple[LeftOutDomain, dict[str, Floats]]:
    """Return one domain's figures, and some of them as they are and then resampled, `[1 + RESAMPLES]`."""
    probabilities = softmax(one.logits, one.temperature)
    weights = np.vstack([np.ones(len(one.labels)), _weights(one.domain, one.groups)])
    predicted = probabilities.argmax(axis=1)
    counts = np.bincount(one.labels, minlength=len(classes))
    confusion = np.zeros((len(classes),) * 2, int)
    np.add.at(confusion, (one.labels, predicted), 1)
    figures = {
        "accuracy": accuracy(weights, one.labels, probabilities),
        "calibration_error": calibration_error(weights, one.labels, probabilities),
    }
    recalls = [_recalls(one.labels == label, predicted == label, weights) for label in range(len(counts))]
    counted = np.flatnonzero(counts >= least)
    if len(counted):
        figures["balanced_accuracy"] = np.mean([recalls[label] for label in counted], axis=0)
    pairs, drawn = _pairs_of(one.domain, classes, one.labels, one.logits, weights[1:], least)
    mean = _mean_of(pairs, drawn)
    if mean is not None:
        figures["auroc"] = np.append(mean.value, np.mean(drawn, axis=0))
    estimates = {
        name: Estimated(float(values[0]), percentile_interval(values[1:]))
        for name, values in figures.items()
        if name != "auroc"
    }
    judged = LeftOutDomain(
        domain=one.domain,
        images=len(one.labels),
        temperature=one.temperature,
        mean_confidence=float(probabilities.max(axis=1).mean()),
        recalls={
            name: ClassRecall(
                images=int(counts[label]),
                hits=int(confusion[label, label]),
                interval=percentile_interval(recalls[label][1:]) if counts[label] else None,
            )
            for label, name in enumerate(classes)
        },
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        within=WithinDomains(least, tuple(pairs), 0, mean),
        **estimates,
    )
    return judged, figures


def _recalls(mine: NDArray[np.bool_], called: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return a class's recall for each row of the weights, NaN where it has no images."""
    with np.errstate(invalid="ignore"):
        return np.asarray((weights @ (mine & called)) / (weights @ mine))

"""The figures of accuracy of every row, worked out from what the rows answered.

No figure here says that two things are equal: a test finds a difference or it does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from xray_infer.benchmarks.model_rows import reference_of
from xray_infer.benchmarks.results_schema import ImageSet, Results, RowAnswers, RowKey
from xray_infer.study.bootstrap import STATISTICS, Floats, Labels, accuracy, macro_auroc
from xray_infer.study.domains import WithinDomains, within_domains
from xray_infer.study.intervals import (
    RESAMPLES,
    Interval,
    group_weights,
    percentile_interval,
    wilson_interval,
)
from xray_infer.study.metrics import Calibration, McNemar, Metrics, calibration, mcnemar, measure
from xray_infer.study.temperature import at_temperature

MLPERF_SHARE: Final = 0.99  # of the reference's accuracy: MLPerf inference rules, closed division
NO_DIFFERENCE: Final = 0.05  # p-values above find none


@dataclass(frozen=True, slots=True)
class Share:
    """A proportion of `images`, with Wilson's interval."""

    images: int
    hits: int
    interval: Interval

    @property
    def value(self) -> float:
        """The proportion, 0 without images."""
        return self.hits / self.images if self.images else 0.0


@dataclass(frozen=True, slots=True)
class Against:
    """A row beside another on the same images.

    `agreement` of labels; `max_dp` and `mean_dp` of probabilities; `mcnemar` counts this row first;
    `accuracy_difference` is this row's minus the other's, with the interval over groups.
    """

    other: RowKey
    agreement: Share
    max_dp: float
    mean_dp: float
    mcnemar: McNemar
    accuracy_difference: float
    difference_interval: Interval


@dataclass(frozen=True, slots=True)
class RowAccuracy:
    """A row's figures on an image set. `intervals` are over groups, by the names of `STATISTICS`.

    `before` is the calibration at temperature 1, `after` at the file's. `passes_99` says whether the accuracy
    is at least 99 % of the reference's, None without a reference. `within` is None without known domains.
    `controls` maps "border" and "centre" to
    what is right when the rest of the image is black.
    """

    row: RowKey
    images: int
    metrics: Metrics
    macro_auroc: float
    intervals: Mapping[str, Interval]
    before: Calibration
    after: Calibration
    against: Against | None
    passes_99: bool | None
    controls: Mapping[str, Share]
    by_source: Mapping[str, Share]
    within: WithinDomains | None = None


def accuracy_rows(
    results: Results, image_set: str = "test", *, resamples: int = RESAMPLES, seed: int = 0
) -> list[RowAccuracy]:
    """Return the figures of each row that answered an image set, in the order of the models."""
    images = next((one for one in results.sets if one.name == image_set), None)
    if images is None:
        return []
    weights = group_weights(images.groups, resamples=resamples, seed=seed)
    answers = {
        (one.row, one.region): np.array(one.probabilities)
        for one in results.answers
        if one.images == image_set
    }
    keys = [model.row for model in results.models if (model.row, "all") in answers]
    temperatures = {model.row: model.temperature for model in results.models}
    found = []
    for key in keys:
        reference = reference_of(key, keys)
        beside = None if reference in (None, key) else (reference, answers[reference, "all"])
        regions = {
            region: answers[key, region] for region in ("border", "centre") if (key, region) in answers
        }
        mine = answers[key, "all"]
        found.append(_row(key, images, results.classes, mine, beside, regions, temperatures[key], weights))
    return found


def _row(  # noqa: PLR0913 - all that is known of one row
    key: RowKey,
    images: ImageSet,
    classes: Sequence[str],
    probabilities: Floats,
    beside: tuple[RowKey, Floats] | None,
    regions: Mapping[str, Floats],
    temperature: float,
    weights: Floats,
) -> RowAccuracy:
    labels = np.array(images.labels, np.int64)
    metrics = measure(labels, probabilities, classes)
    once = np.ones((1, len(labels)))
    # Logarithms of probabilities are logits but for a constant, which softmax takes away.
    logits = np.log(np.clip(at_temperature(probabilities.astype(np.float32), 1 / temperature), 1e-12, None))
    against = None if beside is None else compare_rows(beside[0], probabilities, beside[1], labels, weights)
    passes = None
    if beside is not None:
        reference = (beside[1].argmax(1) == labels).mean()
        passes = bool(metrics.accuracy >= MLPERF_SHARE * reference)
    return RowAccuracy(
        row=key,
        images=len(labels),
        metrics=metrics,
        macro_auroc=float(macro_auroc(once, labels, probabilities)[0]),
        intervals={
            name: percentile_interval(statistic(weights, labels, probabilities))
            for name, statistic in STATISTICS.items()
        },
        before=calibration(labels, logits),
        after=calibration(labels, logits, temperature),
        against=against,
        passes_99=passes,
        controls={region: _share(labels, found) for region, found in regions.items()},
        by_source=_by_source(images.sources, labels, probabilities),
        within=within_domains(labels, logits, classes, images.domains or [""] * len(labels), images.groups),
    )


def compare_rows(other: RowKey, mine: Floats, theirs: Floats, labels: Labels, weights: Floats) -> Against:
    """Hold a row's answers `[N, C]` against another's to the same images."""
    same = int((mine.argmax(1) == theirs.argmax(1)).sum())
    right, theirs_right = mine.argmax(1) == labels, theirs.argmax(1) == labels
    gaps = accuracy(weights, labels, mine) - accuracy(weights, labels, theirs)
    difference = np.abs(mine - theirs)
    return Against(
        other=other,
        agreement=Share(len(labels), same, wilson_interval(same, len(labels))),
        max_dp=float(difference.max()),
        mean_dp=float(difference.mean()),
        mcnemar=mcnemar(right, theirs_right),
        accuracy_difference=float(right.mean() - theirs_right.mean()),
        difference_interval=percentile_interval(gaps),
    )


def between_methods(
    results: Results, image_set: str = "test", *, resamples: int = RESAMPLES, seed: int = 0
) -> list[tuple[RowKey, Against]]:
    """Hold each row of fine-tuning against feature extraction's of the same format, recipe and runtime."""
    images = next((one for one in results.sets if one.name == image_set), None)
    if images is None:
        return []
    labels = np.array(images.labels, np.int64)
    weights = group_weights(images.groups, resamples=resamples, seed=seed)
    answers = {one.row: np.array(one.probabilities) for one in _whole(results.answers, image_set)}
    found = []
    for key in answers:
        other = RowKey("feature_extraction", key.format, key.recipe, key.runtime)
        if key != other and other in answers:
            found.append((key, compare_rows(other, answers[key], answers[other], labels, weights)))
    return found


def _whole(answers: Sequence[RowAnswers], image_set: str) -> list[RowAnswers]:
    return [one for one in answers if one.images == image_set and one.region == "all"]


def _share(labels: Labels, probabilities: Floats) -> Share:
    hits = int((probabilities.argmax(axis=1) == labels).sum())
    return Share(len(labels), hits, wilson_interval(hits, len(labels)))


def _by_source(sources: Sequence[str], labels: Labels, probabilities: Floats) -> dict[str, Share]:
    names = np.array(sources)
    return {
        name: _share(labels[names == name], probabilities[names == name])
        for name in sorted({*sources} - {""})
    }


def difference_words(test: McNemar) -> str:
    """Say in words what McNemar's exact test found."""
    counts = f"{test.only_first_right} and {test.only_second_right} images right in only one"
    if test.p_value >= NO_DIFFERENCE:
        return f"no difference found (p = {test.p_value:.2g}; {counts})"
    return f"they differ (p = {test.p_value:.2g}; {counts})"

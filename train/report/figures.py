"""The figures of a training run, worked out from its predictions, and the layout of report.json.

report.json, with `schema_version` 1:
    notice, class_names, significance
    facts                     what the caller says of the run: configuration, data digest, seed, versions, ...
    methods.NAME              schedule, history, temperature, wall_seconds, worst_errors, and for each split
                              (`validation`, `test`) the fields of Metrics, accuracy_group_interval, groups,
                              images_without_group, calibration.before and .after (the temperature), sources,
                              within_domains (the fields of WithinDomains; null where no domain is known)
    comparison                null for one method; else split, first, second, the fields of McNemar, finding
    yardsticks                a list: name, and for `val` and `test` the fields of Score

Probabilities are those after the method's temperature, except in calibration.before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.study.domains import WithinDomains
from xray_infer.study.intervals import Interval, bootstrap_mean, wilson_interval
from xray_infer.study.metrics import (
    Calibration,
    McNemar,
    Metrics,
    calibration,
    mcnemar,
    measure,
    softmax,
)
from xray_infer.train.data.yardsticks import Yardstick
from xray_infer.train.predictions import MethodResult, Predictions

SCHEMA_VERSION: Final = 1
SIGNIFICANCE: Final = 0.05
WORST_ERRORS: Final = 24


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """One source's share of a split; `source` is "" for the images whose source is not known."""

    source: str
    images: int
    labels: dict[str, int]
    hits: int
    accuracy: float
    accuracy_interval: Interval


@dataclass(frozen=True, slots=True)
class SplitFigures:
    """All figures of one method on one split."""

    metrics: Metrics
    accuracy_group_interval: Interval
    groups: int
    images_without_group: int
    before: Calibration
    after: Calibration
    sources: tuple[SourceFigures, ...]
    within_domains: WithinDomains | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types in the layout of report.json."""
        rest = asdict(self)
        metrics, before, after = (rest.pop(key) for key in ("metrics", "before", "after"))
        return {**metrics, **rest, "calibration": {"before": before, "after": after}}


@dataclass(frozen=True, slots=True)
class WrongImage:
    """An image with a wrong answer; `index` is its place in the split, `probability` that of the answer."""

    index: int
    file: str
    source: str
    label: str
    predicted: str
    probability: float


@dataclass(frozen=True, slots=True)
class MethodFigures:
    """One method with its figures and its worst errors on the test split, worst first."""

    result: MethodResult
    validation: SplitFigures
    test: SplitFigures
    worst_errors: tuple[WrongImage, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types in the layout of report.json."""
        return {
            "schedule": self.result.schedule,
            "history": self.result.history,
            "temperature": self.result.temperature,
            "wall_seconds": self.result.wall_seconds,
            "validation": self.validation.to_dict(),
            "test": self.test.to_dict(),
            "worst_errors": [asdict(one) for one in self.worst_errors],
        }


@dataclass(frozen=True, slots=True)
class RunFigures:
    """All that a report shows; `comparison` is of the first method with the second, on the test split."""

    facts: Mapping[str, Any]
    methods: tuple[MethodFigures, ...]
    comparison: McNemar | None
    yardsticks: tuple[Yardstick, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return report.json's content; a number that is not finite becomes null."""
        names = [one.result.method for one in self.methods]
        compared = None
        if self.comparison is not None:
            compared = {
                "split": "test",
                "first": names[0],
                "second": names[1],
                **asdict(self.comparison),
                "finding": finding(self.comparison),
            }
        record = {
            "schema_version": SCHEMA_VERSION,
            "notice": RESEARCH_NOTICE,
            "class_names": self.methods[0].result.test.classes,
            "significance": SIGNIFICANCE,
            "facts": self.facts,
            "methods": {name: one.to_dict() for name, one in zip(names, self.methods, strict=True)},
            "comparison": compared,
            "yardsticks": [one.to_dict() for one in self.yardsticks],
        }
        plain: dict[str, Any] = to_plain(record)
        return plain


def measure_run(
    results: Sequence[MethodResult], facts: Mapping[str, Any], yardsticks: Sequence[Yardstick] = ()
) -> RunFigures:
    """Work out every figure of one or two methods. Raises ValueError when two tested different images."""
    if not 1 <= len({result.method for result in results}) == len(results) <= 2:
        raise ValueError(f"expected one or two methods, got {[result.method for result in results]}")
    comparison = None
    if len(results) == 2:
        first, second = (result.test for result in results)
        if first.files != second.files or not np.array_equal(first.labels, second.labels):
            raise ValueError("the two methods were tested on different images")
        comparison = mcnemar(first.hits, second.hits)
    methods = tuple(_measure_method(result) for result in results)
    return RunFigures(facts, methods, comparison, tuple(yardsticks))


def finding(comparison: McNemar) -> str:
    """Return what may be said: a test can fail to find a difference, it cannot show that there is none."""
    return "difference found" if comparison.p_value < SIGNIFICANCE else "no difference found"


def to_plain(value: Any) -> Any:
    """Turn mappings, sequences, numbers (NumPy's too) and the rest (as text) into JSON types."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _measure_method(result: MethodResult) -> MethodFigures:
    return MethodFigures(
        result=result,
        validation=_measure_split(result.validation, result.temperature),
        test=_measure_split(result.test, result.temperature),
        worst_errors=_worst_errors(result.test, result.temperature),
    )


def _measure_split(split: Predictions, temperature: float) -> SplitFigures:
    return SplitFigures(
        metrics=measure(split.labels, softmax(split.logits, temperature), split.classes),
        accuracy_group_interval=bootstrap_mean(split.hits, split.groups),
        groups=len(set(split.groups) - {""}),
        images_without_group=split.groups.count(""),
        before=calibration(split.labels, split.logits),
        after=calibration(split.labels, split.logits, temperature),
        sources=tuple(
            _measure_source(name, np.array([source == name for source in split.sources]), split)
            for name in sorted(set(split.sources))
        ),
        within_domains=split.within_domains(),
    )


def _measure_source(name: str, member: NDArray[np.bool_], split: Predictions) -> SourceFigures:
    counts = np.bincount(split.labels[member], minlength=len(split.classes))
    images, hits = int(member.sum()), int(split.hits[member].sum())
    return SourceFigures(
        source=name,
        images=images,
        labels=dict(zip(split.classes, counts.tolist(), strict=True)),
        hits=hits,
        accuracy=hits / images,
        accuracy_interval=wilson_interval(hits, images),
    )


def _worst_errors(split: Predictions, temperature: float) -> tuple[WrongImage, ...]:
    probabilities = softmax(split.logits, temperature)
    predicted, highest = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(~split.hits)
    worst = wrong[np.argsort(-highest[wrong], kind="stable")][:WORST_ERRORS]
    return tuple(
        WrongImage(
            index=int(index),
            # A name that is no valid UTF-8 can be opened, but not written into a page.
            file=split.files[index].name.encode("utf-8", "replace").decode("utf-8"),
            source=split.sources[index],
            label=split.classes[split.labels[index]],
            predicted=split.classes[predicted[index]],
            probability=float(highest[index]),
        )
        for index in worst
    )

"""Classification metrics from labels and probabilities, in the field's usual definitions.

Precision, recall and F1 of a class that is never predicted or never present are 0, as in scikit-learn
with `zero_division=0`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xray_infer.classes import CLASS_NAMES


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """One class against the rest; all in 0..1, `support` is its number of images."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """`confusion[true][predicted]` counts images, classes in the order of CLASS_NAMES."""

    images: int
    accuracy: float
    macro_f1: float
    classes: dict[str, ClassMetrics]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def hits(self) -> int:
        """Number of images whose prediction is right."""
        return sum(row[index] for index, row in enumerate(self.confusion))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def measure(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> Metrics:
    """Compare true labels `[N]` with probabilities `[N, 3]`; the prediction is the largest."""
    if len(labels) == 0:
        raise ValueError("no images to measure")
    size = len(CLASS_NAMES)
    confusion = np.zeros((size, size), dtype=int)
    np.add.at(confusion, (labels, probabilities.argmax(axis=1)), 1)
    hits = confusion.diagonal()
    predicted, present = confusion.sum(axis=0), confusion.sum(axis=1)
    classes = {
        name: ClassMetrics(
            precision=_ratio(hits[index], predicted[index]),
            recall=_ratio(hits[index], present[index]),
            f1=_ratio(2 * hits[index], predicted[index] + present[index]),
            support=int(present[index]),
        )
        for index, name in enumerate(CLASS_NAMES)
    }
    return Metrics(
        images=len(labels),
        accuracy=_ratio(hits.sum(), confusion.sum()),
        macro_f1=sum(one.f1 for one in classes.values()) / size,
        classes=classes,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def wilson_interval(hits: int, trials: int, *, z: float = 1.959964) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion (Wilson 1927); the default z gives 95 %."""
    if trials == 0:
        return 0.0, 1.0
    share = hits / trials
    centre = share + z**2 / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    return (centre - spread) / scale, (centre + spread) / scale


def _ratio(part: int | np.integer, whole: int | np.integer) -> float:
    return float(part / whole) if whole else 0.0

"""The figures of a run, worked out from its records: means over images, with intervals over groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.benchmarks.explain.curves import METRICS, ROAD, Curve, faithfulness
from xray_infer.benchmarks.explain.measuring import BLOB, RANDOM
from xray_infer.benchmarks.explain.sanity import SIMILARITIES, compare
from xray_infer.study.intervals import bootstrap_mean, number

OTHER_IMAGE: Final = "another image of the same class"

Measurement = Mapping[str, Any]
PerImage = NDArray[np.float64]  # one figure an image, nan where an image has none


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over images, with its 95 % interval by resampling groups; nan where no image has a figure."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if np.isnan(self.value):
            return ""
        return number(self.value, 3, (self.low, self.high))

    def signed(self) -> str:
        """Return it with the sign of a difference."""
        return number(self.value, 3, (self.low, self.high), sign="+")


def mean_of(values: PerImage, groups: Sequence[str]) -> Mean:
    """Return the mean over the images that have a figure."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return Mean(np.nan, np.nan, np.nan)
    low, high = bootstrap_mean(values[known], [groups[int(index)] for index in known])
    return Mean(float(values[known].mean()), low, high)


class MapFigures:
    """The figures of some records, which are of one run; at least one. `classes` are the model's."""

    def __init__(self, records: Iterable[Measurement], classes: Sequence[str]) -> None:
        self.classes = classes
        self.records: Sequence[Measurement] = sorted(records, key=lambda record: record["number"])
        self.groups = [record["group"] for record in self.records]
        maps = self.records[0]["maps"]
        self.methods = [name for name, one in maps.items() if "cells" in one]
        self._random = [name for name in maps if name.startswith(RANDOM)]
        self._values = {name: self._faithfulness([name]) for name in (*self.methods, BLOB)}
        self._values[RANDOM] = self._faithfulness(self._random)

    def _faithfulness(self, names: Sequence[str]) -> dict[str, PerImage]:
        """Return every metric of a map, or the mean of those of several, one figure an image."""
        found = [[_faithfulness(record, name) for name in names] for record in self.records]
        return {
            metric: np.array([np.mean([one[metric] for one in of_image]) for of_image in found])
            for metric in METRICS
        }

    def faithfulness(self, name: str, metric: str) -> Mean:
        """Return a metric of a method, the centre blob or the random maps."""
        return mean_of(self._values[name][metric], self.groups)

    def difference(self, name: str, metric: str, *, to: str) -> Mean:
        """Return the paired difference of a metric to that of `to`."""
        return mean_of(self._values[name][metric] - self._values[to][metric], self.groups)

    def kept(self, name: str, order: str) -> PerImage:
        """Return the share of images that keep their class under ROAD, at each share removed."""
        names = self._random if name == RANDOM else [name]
        curves = [
            record["maps"][one]["curves"][ROAD][order]["kept"] for record in self.records for one in names
        ]
        shares: PerImage = np.array(curves, np.float64).mean(axis=0)
        return shares

    def similarities(self, name: str) -> dict[str, dict[str, Mean]]:
        """Return how alike a method's maps are to those of each sanity check, by SIMILARITIES."""
        checked = [record for record in self.records if record["sanity"]]
        of_image = [
            {**record["sanity"], OTHER_IMAGE: {name: self._another(record, name)}} for record in checked
        ]
        groups = [record["group"] for record in checked]
        return {
            check: {
                measure: mean_of(np.array([one[check][name][measure] for one in of_image], float), groups)
                for measure in SIMILARITIES
            }
            for check in (of_image[0] if of_image else ())
        }

    def _another(self, record: Measurement, name: str) -> Mapping[str, float]:
        """Compare an image's map with that of the next image of its predicted class and another group."""
        place = record["number"]
        for other in sorted(self.records, key=lambda one: (one["number"] <= place, one["number"])):
            apart = not record["group"] or other["group"] != record["group"]
            if other is not record and other["predicted"] == record["predicted"] and apart:
                return compare(_cells(record, name), _cells(other, name))
        return dict.fromkeys(SIMILARITIES, np.nan)

    def share(self, name: str, place: str, predicted: str) -> Mean:
        """Return the share of a map's heat in a place (border, lungs), over images of one predicted class."""
        chosen = [record for record in self.records if record["predicted"] == predicted]
        values = np.array([record["maps"][name][place] for record in chosen], float)
        return mean_of(values, [record["group"] for record in chosen])

    def column(self, name: str, fact: str) -> PerImage:
        """Return a fact of a map (ms, peak) of every image."""
        return np.array([record["maps"][name][fact] for record in self.records], float)


def _faithfulness(record: Measurement, name: str) -> dict[str, float]:
    curves = {
        fill: {order: Curve(**one) for order, one in some.items()}
        for fill, some in record["maps"][name]["curves"].items()
    }
    return faithfulness(curves, whole=record["whole"], empty=record["empty"])


def _cells(record: Measurement, name: str) -> NDArray[np.float32]:
    return np.array(record["maps"][name]["cells"], np.float32)

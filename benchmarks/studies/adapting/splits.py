"""Which films of a hospital are labelled, and which judge: drawn anew for each split, patients together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.study.datasets import LabelledImage
from xray_infer.train.adapt.film_reading import FilmFeatures
from xray_infer.train.adapt.used_films import choose_films

LABELS: Final = (5, 10, 25, 50, 100)  # of a class
LEAST_CLASS: Final = 30  # films of a class, for it to count in a domain
LEAST_JUDGING: Final = 15  # films of a class that are left to judge


@dataclass(frozen=True, slots=True, eq=False)
class Hospitals:
    """All films that can be used: features [N, K], 20x20 pixels [N, 400], labels, groups, domains [N]."""

    images: tuple[LabelledImage, ...]
    features: NDArray[np.float32]
    pixels: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    domains: NDArray[np.str_]
    classes: tuple[str, ...]

    def of_domain(self, domain: str) -> tuple[NDArray[np.int64], list[int]]:
        """Return the films of the classes that count in a domain, and these classes."""
        mine = self.domains == domain
        counts = np.bincount(self.labels[mine], minlength=len(self.classes))
        kept = [label for label in range(len(counts)) if counts[label] >= LEAST_CLASS]
        return np.flatnonzero(mine & np.isin(self.labels, kept)), kept

    def two_class_domains(self) -> list[str]:
        """Return the domains in which two classes or more count."""
        return [one for one in sorted({*self.domains.tolist()} - {""}) if len(self.of_domain(one)[1]) > 1]


def gather(
    images: Sequence[LabelledImage], films: Mapping[Path, FilmFeatures], classes: Sequence[str]
) -> Hospitals:
    """Put films together. Copies are left out, as `xray-train adapt` does."""
    used, _ = choose_films(images, films)
    return Hospitals(
        used.images,
        np.stack([film.features for film in used.films]),
        np.stack([film.pixels for film in used.films]).astype(np.float32),
        used.labels,
        np.array(used.groups, np.int64),
        np.array([image.domain for image in used.images]),
        tuple(classes),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Positions among all films: so many `labelled` of each class, and those of other groups that `judge`."""

    labelled: NDArray[np.int64]
    judge: NDArray[np.int64]


def splits(hospitals: Hospitals, domain: str, count: int, number: int) -> Iterator[Split]:
    """Yield `number` splits with `count` labels a class, as far as enough films are left to judge."""
    films, kept = hospitals.of_domain(domain)
    for seed in range(number):
        shuffled = np.random.default_rng(seed).permutation(films)
        labelled = np.concatenate([shuffled[hospitals.labels[shuffled] == label][:count] for label in kept])
        others = ~np.isin(hospitals.groups[films], hospitals.groups[labelled])
        judge = films[others]
        left = np.bincount(hospitals.labels[judge], minlength=len(hospitals.classes))[kept]
        if left.min() >= LEAST_JUDGING:
            yield Split(labelled, judge)

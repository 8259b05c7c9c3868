"""Which of the labelled films a head is fitted to, and which of them belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xray_infer.study.datasets import LabelledImage
from xray_infer.train.adapt.film_reading import FilmFeatures
from xray_infer.train.adapt.regression import Labels
from xray_infer.train.data.groups import join


@dataclass(frozen=True, slots=True, eq=False)
class UsedFilms:
    """Different films, of one class each; images, films, labels [N] and groups go together.

    Films of one group are of one patient, or are given as a group: they stay on one side of cross-validation.
    """

    images: tuple[LabelledImage, ...]
    films: tuple[FilmFeatures, ...]
    labels: Labels
    groups: tuple[int, ...]


def choose_films(
    images: Sequence[LabelledImage], films: Mapping[Path, FilmFeatures]
) -> tuple[UsedFilms, dict[Path, str]]:
    """Return the films to fit to, and why others are left out: copies, and copies under two labels.

    Copies are films that give the same input, whatever their files.
    """
    there = [image for image in images if image.path in films]
    labels: dict[str, set[int]] = {}
    for image in there:
        labels.setdefault(films[image.path].input_sha256, set()).add(image.label)
    firsts: dict[str, LabelledImage] = {}
    used, left_out = [], {}
    for image in there:
        digest = films[image.path].input_sha256
        first = firsts.setdefault(digest, image)
        if len(labels[digest]) > 1:
            left_out[image.path] = "the same film has another label, too"
        elif first is image:
            used.append(image)
        elif first.path != image.path:  # and not one file that a manifest names twice
            left_out[image.path] = f"the same film as {first.path.name}"
    chosen = [films[image.path] for image in used]
    groups = group_films(there, films)
    return (
        UsedFilms(
            tuple(used),
            tuple(chosen),
            np.array([image.label for image in used], np.int64),
            tuple(groups[image.path] for image in used),
        ),
        left_out,
    )


def group_films(images: Sequence[LabelledImage], films: Mapping[Path, FilmFeatures]) -> dict[Path, int]:
    """Number the groups: a patient, a given group, copies of one film.

    DICOM's PatientID counts where no patient is given: anonymised files may all have the same.
    """
    firsts: dict[tuple[str, str], int] = {}
    links = []
    for place, image in enumerate(images):
        film = films[image.path]
        names = {
            "patient": image.patient,
            "PatientID": "" if image.patient else film.facts.patient,
            "group": image.group,
            "film": film.input_sha256,
        }
        links += [(firsts.setdefault((kind, name), place), place) for kind, name in names.items() if name]
    return dict(zip([image.path for image in images], join(len(images), links), strict=True))

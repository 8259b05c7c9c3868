"""Whether a head's figure means anything: reasons to refuse the labels, or to warn of them.

A head is fitted to whatever tells the classes apart. Where each class comes from a place of its own, that is
the place: the figure is high, and the next film's class is that of its scanner. Nothing in the films can
show it; what they come with often does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import DataError
from xray_infer.study.datasets import LabelledImage
from xray_infer.study.intervals import percent, points
from xray_infer.train.adapt.film_facts import DEVICE
from xray_infer.train.adapt.film_reading import FilmFeatures
from xray_infer.train.adapt.regression import Labels
from xray_infer.train.adapt.worth import FACTS, HEAD, OLD_HEAD, PIXELS, Worth

LEAST_LABELS: Final = 10  # of a class, copies of one film counted once
LEAST_GROUPS: Final = 5  # of a class: one for each fold
# A value is a class's own with so few films of others, where so many were to be expected.
MOST_OF_OTHERS: Final = 0.05
LEAST_EXPECTED: Final = 3.0
NEARLY_ALL, MANY = 0.9, 0.5  # of a class's films, from places of its own
# Of the way from guessing to perfect.
FACTS_TELL_ALL: Final = 0.8
FACTS_TELL: Final = 0.2


@dataclass(frozen=True, slots=True)
class Objection:
    """One reason for which the figure may mean nothing; `refuses` unless the user insists."""

    text: str
    refuses: bool = False


def check_enough(labels: Labels, groups: Sequence[int], classes: Sequence[str]) -> None:
    """Raise DataError where a class has too few labels, or too few patients to be cross-validated."""
    for label, name in enumerate(classes):
        of_class = labels == label
        count, patients = int(of_class.sum()), len(np.unique(np.array(groups)[of_class]))
        if count < LEAST_LABELS:
            raise DataError(
                f"class {name!r} has {count} different films that can be used, at least {LEAST_LABELS} are "
                "needed, and 25 of each class are where it begins to be worth it; label more"
            )
        if patients < LEAST_GROUPS:
            raise DataError(
                f"class {name!r} has films of {patients} patients or groups, at least {LEAST_GROUPS} are "
                "needed to tell what it is worth on others; label films of more patients, or say whose they "
                "are (column patient_id or --patient-pattern) if their DICOM headers do not tell"
            )


def doubts(
    places: Sequence[Place], labels: Labels, classes: Sequence[str], worth: Worth
) -> tuple[Objection, ...]:
    """Return what speaks against the figure, the gravest first."""
    found = [*_own_places(places, labels, classes), *_of_figures(worth, len(classes))]
    return tuple(sorted(found, key=lambda doubt: not doubt.refuses))


@dataclass(frozen=True, slots=True)
class Place:
    """Where films come from, by one `kind` of fact, a value for each; `grave`: reason enough to refuse."""

    kind: str
    values: Sequence[str]
    grave: bool = True


def places_of(
    images: Sequence[LabelledImage], films: Sequence[FilmFeatures], classes: Sequence[str], *, folders: bool
) -> tuple[Place, ...]:
    """Return what is known of where films come from; `folders`: whether it may be told by their folders."""
    facts = [film.facts for film in films]
    named = {name for one in facts for name in one.named}
    found = [Place("source", [image.source for image in images])]
    found.append(Place("domain", [image.domain for image in images]))
    found += [
        Place(name, [one.named.get(name, "") for one in facts])
        for name in (*DEVICE.values(), *sorted(named - {*DEVICE.values()}))
    ]
    found.append(Place("file format", [one.format for one in facts]))
    found.append(Place("size in pixels", [f"{one.width} x {one.height}" for one in facts]))
    if folders:
        # One that is called as a class is how labels are given, and tells nothing.
        called = {name.casefold() for name in classes}
        names = [image.path.parent for image in images]
        values = ["" if one.name.casefold() in called else str(one) for one in names]
        found.append(Place("folder", values, grave=False))
    return tuple(found)


def _own_places(places: Sequence[Place], labels: Labels, classes: Sequence[str]) -> Iterator[Objection]:
    """Yield classes whose films come from places that other classes have not, and by what that is known."""
    for label, name in enumerate(classes):
        telling, shares, grave = [], [], False
        for place in places:
            share, own = own_share(place.values, labels == label)
            if share >= MANY:
                rest = f" and {len(own) - 1} more" if len(own) > 1 else ""
                telling.append(f"{place.kind} {own[0]}{rest}" if own[0] else f"no {place.kind}")
                shares.append(share)
                grave |= place.grave and share >= NEARLY_ALL
        if telling:
            yield Objection(
                f"{round(100 * max(shares))} % of the films of {name!r} come from where hardly any of others "
                f"do ({'; '.join(telling)}): the head can learn the place instead of the lungs",
                refuses=grave,
            )


def own_share(values: Sequence[str], mine: NDArray[np.bool_]) -> tuple[float, list[str]]:
    """Return which share of a class's films, where `mine`, have values that are its own, and these values.

    A value is its own with hardly a film of others where several were to be expected; the commonest is first.
    """
    found, member = np.unique(np.array(values, str), return_inverse=True)
    counts = np.bincount(member, minlength=len(found))
    of_class = np.bincount(member[mine], minlength=len(found))
    others = counts - of_class
    own = (counts * np.mean(~mine) >= LEAST_EXPECTED) & (others <= MOST_OF_OTHERS * counts)
    order = np.argsort(-of_class, kind="stable")
    return float(of_class[own].sum() / mine.sum()), [str(found[one]) for one in order if own[one]]


def _of_figures(worth: Worth, classes: int) -> Iterator[Objection]:
    """Yield what the figures say against the head."""
    head, facts, gain = worth.figures[HEAD], worth.figures[FACTS], worth.gains[PIXELS]
    chance = 1 / classes
    if head.interval[0] <= chance:
        yield Objection(
            f"the head is right in {percent(head.value, head.interval)}, which may be guessing "
            f"({percent(chance)}): these films do not tell these classes, or the labels are wrong",
            refuses=True,
        )
    told = (facts.value - chance) / (1 - chance)
    if told >= FACTS_TELL_ALL:
        yield Objection(
            f"facts of the files, without a look at a picture, tell the classes in {percent(facts.value)}: "
            "these come from different scanners or programs, and the head can learn that",
            refuses=True,
        )
    elif told >= FACTS_TELL and facts.interval[0] > chance:
        yield Objection(
            f"facts of the files tell the classes in {percent(facts.value, facts.interval)}, guessing in "
            f"{percent(chance)}: a part of the head's figure may be the scanner's"
        )
    if gain.interval[0] <= 0:
        yield Objection(
            "the head is not clearly better than it is on 20x20 pixels, which show but a lung's shade "
            f"({points(gain.value, gain.interval)} points): it may have learned exposure, position or a mark"
        )
    old = worth.gains.get(OLD_HEAD)
    if old is not None and old.interval[0] <= 0:
        yield Objection(
            f"the head is not clearly better than the old ({points(old.value, old.interval)} points): the "
            "model as it was may do as well"
        )

"""The alarm's reference, fitted on training films alone: axes, corners, noise, and a limit by cross-fitting.

The limit needs no strange hospital. The groups of the training films (patients, copies) are dealt into FOLDS;
in each fold a reference of the other films meets folders drawn from its own: mixtures of hospitals and
classes in any shares, and films of one hospital. Their strangeness is what that of a known folder may be.
`tolerance` is how far all films of a hospital in a fold are off, beyond what is expected: the root of the
mean square over hospitals and folds. What sampling does to so many films is in it: a large folder raises
fewer false alarms than a small one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import DataError
from xray_infer.model.alarm_reference import LEAST_FILMS, AlarmReference
from xray_infer.model.manifest_parts import LeftOutAccuracy

COMPONENTS: Final = 48
SHRINKAGE: Final = 0.1  # of the mean variance, added to every axis before it is whitened
LEAST_OF_CORNER: Final = 10  # films; fewer make no corner
LEAST_NOISE: Final = 1e-6  # of films that are all alike
FOLDS: Final = 4
FOLDERS: Final = 240  # drawn in each fold, of each kind and size
SIZES: Final = (LEAST_FILMS, 50, 100)
EVENNESS: Final = (0.3, 1.0, 3.0)  # of a Dirichlet distribution: the shares of corners in a mixed folder
RATES: Final = (0.05, 0.02, 0.01, 0.005)  # of false alarms, at which the limit is fitted

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class KnownFilms:
    """Training films: `features` [N, D], and of each its class, its hospital or domain, and its group.

    A hospital is "" where it is not known; films of a group (a patient, a copy) stay in one fold.
    """

    features: Floats
    classes: Sequence[str]
    hospitals: Sequence[str]
    groups: Sequence[str]

    def corner_names(self) -> NDArray[np.str_]:
        """Return the corner of each film."""
        pairs = zip(self.hospitals, self.classes, strict=True)
        return np.array([f"{hospital}, {label}" if hospital else label for hospital, label in pairs])

    def take(self, chosen: Indices) -> KnownFilms:
        """Return some of the films."""
        rest = ([values[index] for index in chosen] for values in (self.classes, self.hospitals, self.groups))
        return KnownFilms(self.features[chosen], *rest)


def fit_alarm(
    films: KnownFilms,
    *,
    accuracy: LeftOutAccuracy | None = None,
    components: int = COMPONENTS,
    folders: int = FOLDERS,
    seed: int = 0,
) -> AlarmReference:
    """Fit the reference and its limit. Raises DataError for too few films."""
    reference = _fit_corners(films, components)
    rng = np.random.default_rng(seed)
    fold_of = _deal(films.groups, rng)
    drawn: list[Floats] = []
    offsets: list[float] = []
    for fold in range(FOLDS):
        held = np.flatnonzero(fold_of == fold)
        known = _fit_corners(films.take(np.flatnonzero(fold_of != fold)), components)
        positions = known.positions(films.features[held]).astype(np.float64)
        kept = films.take(held)
        offsets += _offsets(known, positions, kept)
        drawn += _folders(known, positions, kept, folders, rng)
    tolerance = float(np.sqrt(np.mean(np.square(offsets)))) if offsets else 0.0
    base, slope = _fit_limit(drawn, tolerance)
    return replace(reference, tolerance=tolerance, base=base, slope=slope, accuracy=accuracy)


def extend_alarm(reference: AlarmReference, films: KnownFilms) -> AlarmReference:
    """Return a reference with corners for more films, in the axes and with the limit that it has.

    Raises DataError where no hospital has enough films of a class.
    """
    added = _corners_of(reference, films)
    return replace(
        reference,
        names=(*reference.names, *added.names),
        corners=np.concatenate([reference.corners, added.corners]),
        noise=np.concatenate([reference.noise, added.noise]),
        spread=np.concatenate([reference.spread, added.spread]),
        films=np.concatenate([reference.films, added.films]),
    )


def _fit_corners(films: KnownFilms, components: int) -> AlarmReference:
    """Fit all but the limit. Raises DataError."""
    names = films.corner_names()
    chosen = _counted(names)
    features = films.features[chosen].astype(np.float64)
    names = names[chosen]
    shares = 1 / np.unique(names, return_counts=True)[1]
    weights = shares[np.unique(names, return_inverse=True)[1]] / len(shares)
    mean = weights @ features
    centred = features - mean
    count = min(components, len(features) - len(shares) - 1, features.shape[1])
    if count < 1:
        raise DataError(f"{len(features)} films are too few to fit the alarm on")
    axes = np.linalg.eigh((centred * weights[:, None]).T @ centred)[1][:, ::-1][:, :count]
    basis = axes @ _whitening(centred @ axes, names)
    scale = np.maximum(np.abs(basis).max(axis=0), 1e-12) / 127
    rounded = np.round(basis / scale).astype(np.int8)
    offset = (mean @ rounded) * scale
    empty = np.zeros(0, np.float32)
    bare = AlarmReference(
        basis=rounded,
        scale=scale.astype(np.float32),
        offset=offset.astype(np.float32),
        corners=empty,
        noise=empty,
        spread=empty,
        films=empty,
        names=(),
    )
    return _corners_of(bare, films)


def _counted(names: NDArray[np.str_]) -> Indices:
    """Return the films whose corner has enough of them. Raises DataError for none."""
    _, place, counts = np.unique(names, return_inverse=True, return_counts=True)
    chosen = np.flatnonzero(counts[place] >= LEAST_OF_CORNER)
    if not len(chosen):
        raise DataError(f"the alarm needs {LEAST_OF_CORNER} films of a class from one hospital")
    return chosen


def _whitening(values: Floats, names: NDArray[np.str_]) -> Floats:
    """Return what gives positions [N, K] unit variance within corners, [K, K]."""
    within = np.mean([_covariance(values[names == name]) for name in np.unique(names)], axis=0)
    variances, axes = np.linalg.eigh(within)
    floor = max(SHRINKAGE * float(variances.mean()), 1e-12)
    return np.asarray(axes / np.sqrt(np.maximum(variances, 0) + floor))


def _corners_of(axes: AlarmReference, films: KnownFilms) -> AlarmReference:
    """Return the corners of films in the axes of a reference. Raises DataError."""
    names = films.corner_names()
    chosen = _counted(names)
    positions = axes.positions(films.features).astype(np.float64)
    found = sorted(set(names[chosen].tolist()))
    parts = [positions[names == name] for name in found]
    covariances = [_covariance(part) for part in parts]
    return replace(
        axes,
        names=tuple(found),
        corners=np.array([part.mean(axis=0) for part in parts], np.float32),
        noise=np.array([max(np.trace(one), LEAST_NOISE) for one in covariances], np.float32),
        spread=np.array([max(np.sqrt(2 * (one**2).sum()), LEAST_NOISE) for one in covariances], np.float32),
        films=np.array([len(part) for part in parts], np.float32),
    )


def _covariance(values: Floats) -> Floats:
    return np.atleast_2d(np.cov(values, rowvar=False))


def _deal(groups: Sequence[str], rng: np.random.Generator) -> Indices:
    """Return the fold of each film; films of a group share it. Raises DataError for fewer groups."""
    found, place = np.unique(np.array(groups), return_inverse=True)
    if len(found) < FOLDS:
        raise DataError(f"the alarm needs films of {FOLDS} groups (patients), found {len(found)}")
    return np.asarray(rng.permutation(len(found)) % FOLDS)[place]


def _by_hospital(films: KnownFilms) -> Iterator[Indices]:
    """Yield the films of each hospital that are enough for a folder."""
    names = np.array(films.hospitals)
    for name in np.unique(names):
        mine = np.flatnonzero(names == name)
        if len(mine) >= LEAST_FILMS:
            yield mine


def _offsets(known: AlarmReference, positions: Floats, films: KnownFilms) -> list[float]:
    """Return how far each hospital's films, all together, are off, beyond what is expected."""
    found = []
    for mine in _by_hospital(films):
        excess, _ = known.compare(positions[mine].mean(axis=0)[None], np.array([float(len(mine))]))
        found.append(float(excess[0]))
    return found


def _folders(
    known: AlarmReference, positions: Floats, films: KnownFilms, count: int, rng: np.random.Generator
) -> list[Floats]:
    """Return distance less what is expected, and unit, of folders drawn of each size, [2, number] each."""
    found: list[Floats] = []
    hospitals = list(_by_hospital(films))
    corners = films.corner_names()
    for size in SIZES:
        drawn = [mine for mine in hospitals if len(mine) >= size]
        folders = [
            rng.choice(mine, size, replace=False) for mine in drawn for _ in range(count // len(drawn))
        ]
        if len(films.groups) > size:
            folders += [mixed_folder(corners, size, rng) for _ in range(count)]
        if folders:
            means = positions[np.array(folders)].mean(axis=1)
            found.append(np.array(known.compare(means, np.full(len(means), float(size)))))
    return found


def mixed_folder(corners: NDArray[np.str_], size: int, rng: np.random.Generator) -> Indices:
    """Draw a folder of films without replacement, in random shares of their corners."""
    _, place, counts = np.unique(corners, return_inverse=True, return_counts=True)
    shares = rng.dirichlet(np.full(len(counts), rng.choice(EVENNESS))) + 1e-9
    # Efraimidis & Spirakis 2006: the largest of these keys are a weighted sample without replacement.
    keys = np.log(rng.random(len(corners))) * (counts / shares)[place]
    return np.argpartition(-keys, size - 1)[:size]


def _fit_limit(drawn: Sequence[Floats], tolerance: float) -> tuple[float, float]:
    """Return base and slope of the limit: a straight line through the quantiles, by log(1 / rate).

    Raises DataError where no folder could be drawn.
    """
    if not drawn:
        raise DataError(f"too few films to draw folders of {LEAST_FILMS} of them: no limit for the alarm")
    excess, unit = np.concatenate(drawn, axis=1)
    quantiles = np.quantile(excess / np.hypot(unit, tolerance), [1 - rate for rate in RATES])
    slope, base = np.polyfit(np.log([1 / rate for rate in RATES]), quantiles, 1)
    return float(base), float(max(slope, 0.0))

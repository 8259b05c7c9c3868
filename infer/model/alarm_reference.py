"""Whether films are, taken together, unlike those of the training hospitals: the alarm for a strange folder.

    position = features . basis - offset                                      float16 [K], of one film
    distance = least |mean of n positions - w . corners|^2 over all w >= 0 whose sum is 1
    expected = w . noise / n + w^2 . noise / films,  unit = w . spread / n + w^2 . spread / films
    strangeness = (distance - expected) / sqrt(unit^2 + tolerance^2)

The corners are the mean positions of each hospital's films of each class, so a mixture of known hospitals and
classes, in any shares, lies among them. Films of one corner have unit variance on average: `basis` whitens
(Mahalanobis distance). `noise` is a corner's variance, summed over its axes, `spread` the standard deviation
of the squared length of what has this covariance: both shrink with the number of films that are averaged.
`tolerance` is how far a part of a known hospital is off however many films it has. A known folder exceeds
`limit(rate)` in a share `rate` of cases; `alarm_fitting` fits all this on training films alone.

Sums of positions are exact, in whatever order they are made: float16 values are summed in float64.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from xray_infer.model.json_records import JsonError
from xray_infer.model.manifest_parts import Alarm, LeftOutAccuracy

Floats = NDArray[np.floating[Any]]

LEAST_FILMS: Final = 30  # fewer say too little of a folder
FALSE_ALARMS: Final = 0.015  # among folders of known hospitals
ITERATIONS: Final = 500
MOST_COMPONENTS: Final = 512
_FAR: Final = 1e6  # from any limit; it is to stay finite for any rate
_LARGEST: Final = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True, eq=False)
class AlarmReference:
    """What the alarm compares with; see the module.

    `basis`: int8 [D, K], in units of `scale`, float32 [K]; `offset`: float32 [K]; `corners`: float32 [J, K];
    `noise`, `spread`, `films`: float32 [J]; `names` of the corners, "hospital, class". `base` and `slope`
    make the limit. `accuracy` is how often the model is right in hospitals that were left out of its
    training, None where that was not measured.
    """

    basis: NDArray[np.int8]
    scale: NDArray[np.float32]
    offset: NDArray[np.float32]
    corners: NDArray[np.float32]
    noise: NDArray[np.float32]
    spread: NDArray[np.float32]
    films: NDArray[np.float32]
    names: tuple[str, ...]
    tolerance: float = 0.0
    base: float = 0.0
    slope: float = 0.0
    accuracy: LeftOutAccuracy | None = None

    @property
    def components(self) -> int:
        """The length of a position."""
        return len(self.scale)

    def positions(self, features: Floats) -> NDArray[np.float16]:
        """Return where films stand, float16 [N, K], by their features [N, D]."""
        found = (features.astype(np.float32) @ self.basis.astype(np.float32)) * self.scale - self.offset
        return np.asarray(np.clip(found, -_LARGEST, _LARGEST), np.float16)

    def limit(self, rate: float = FALSE_ALARMS) -> float:
        """Return the strangeness that a share `rate` of known folders exceeds."""
        return self.base + self.slope * math.log(1 / rate)

    def strangeness(self, films: Sequence[FilmSum]) -> NDArray[np.float64]:
        """Return how strange the films of each sum are, float64 [N]; each sum has one at least."""
        if not films:
            return np.zeros(0)
        means = np.stack([one.mean for one in films])
        return self.strangeness_of(means, np.array([one.count for one in films], float))

    def strangeness_of(self, means: Floats, counts: Floats) -> NDArray[np.float64]:
        """Return how strange folders are, float64 [N], by their means [N, K] and numbers of films [N]."""
        excess, unit = self.compare(means, counts)
        return np.asarray(excess / np.hypot(unit, self.tolerance))

    def compare(self, means: Floats, counts: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return distance less what is expected, and unit, of folders, float64 [N] each."""
        weights = nearest_mixtures(means, self.corners)
        rest = means - weights @ self.corners
        shares = weights / counts[:, None] + weights**2 / self.films
        return (rest**2).sum(axis=1) - shares @ self.noise, shares @ self.spread

    def to_record(self) -> Alarm:
        """Return it as a manifest holds it."""
        return Alarm(
            names=self.names,
            basis=_encoded(self.basis),
            **{name: _encoded(getattr(self, name)) for name in _VECTORS},
            tolerance=self.tolerance,
            base=self.base,
            slope=self.slope,
            accuracy=self.accuracy,
        )

    @classmethod
    def from_record(cls, record: Alarm) -> Self:
        """Return what a manifest holds. Raises JsonError for what no `to_record` returned."""
        vectors = {name: _decoded(getattr(record, name), "<f4", name) for name in _VECTORS}
        basis = _decoded(record.basis, "<i1", "basis")
        components, corners = len(vectors["scale"]), len(record.names)
        lengths = {"offset": components, "corners": corners * components}
        lengths |= dict.fromkeys(("noise", "spread", "films"), corners)
        wrong = [name for name, length in lengths.items() if len(vectors[name]) != length]
        if not (corners and 0 < components <= MOST_COMPONENTS) or len(basis) % components or not len(basis):
            wrong = [*wrong, "basis"]
        if wrong:
            raise JsonError(f"alarm.{wrong[0]} has a wrong length")
        if min(vectors[name].min() for name in ("noise", "spread", "films")) <= 0:
            raise JsonError("alarm.noise, alarm.spread and alarm.films are to be positive")
        vectors["corners"] = vectors["corners"].reshape(corners, components)
        if not max(map(abs, (record.tolerance, record.base, record.slope))) < _FAR:
            raise JsonError("alarm.tolerance, alarm.base and alarm.slope are to be numbers of a limit")
        return cls(
            basis=basis.reshape(-1, components),
            **vectors,
            names=record.names,
            tolerance=record.tolerance,
            base=record.base,
            slope=record.slope,
            accuracy=record.accuracy,
        )


_VECTORS: Final = ("scale", "offset", "corners", "noise", "spread", "films")


@dataclass(slots=True)
class FilmSum:
    """The number of some films and the sum of their positions, float64 [K]: constant memory, exact."""

    count: int = 0
    total: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean position."""
        return self.total / self.count

    def add(self, position: bytes) -> None:
        """Add one film by its position, float16 [K] as bytes."""
        self._add(np.frombuffer(position, "<f2").astype(np.float64), 1)

    def join(self, other: FilmSum) -> None:
        """Add other films."""
        if other.count:
            self._add(other.total, other.count)

    def _add(self, total: NDArray[np.float64], count: int) -> None:
        self.total = self.total + total if self.count else total.copy()
        self.count += count

    def to_json(self) -> list[Any]:
        """Return it for JSON, exactly."""
        return [self.count, _encoded(self.total)]

    @classmethod
    def from_json(cls, value: list[Any]) -> Self:
        """Return what `to_json` gave."""
        return cls(int(value[0]), np.frombuffer(base64.b64decode(value[1]), "<f8"))


def nearest_mixtures(points: Floats, corners: Floats) -> NDArray[np.float64]:
    """Return the weights [N, J] of the mixtures of corners [J, K] that are nearest to points [N, K].

    Accelerated projected gradient (Beck & Teboulle 2009) for a convex quadratic over the simplex.
    """
    gram = corners.astype(np.float64) @ corners.T
    wanted = points @ corners.T
    step = 1 / max(float(np.linalg.eigvalsh(gram)[-1]), 1e-12)
    weights = ahead = np.full((len(points), len(corners)), 1 / len(corners))
    momentum = 1.0
    for _ in range(ITERATIONS):
        moved = onto_simplex(ahead - step * (ahead @ gram - wanted))
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / following * (moved - weights)
        weights, momentum = moved, following
    return weights


def onto_simplex(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the nearest rows whose values are not negative and sum to 1 (Wang & Carreira-Perpinan 2013)."""
    falling = -np.sort(-rows, axis=1)
    excess = np.cumsum(falling, axis=1) - 1
    number = np.arange(1, rows.shape[1] + 1)
    last = (falling > excess / number).sum(axis=1) - 1
    shift = excess[np.arange(len(rows)), last] / (last + 1)
    return np.asarray(np.maximum(rows - shift[:, None], 0))


def _encoded(values: NDArray[Any]) -> str:
    little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode("ascii")


def _decoded(text: str, kind: str, name: str) -> NDArray[Any]:
    """Raises JsonError."""
    try:
        values = np.frombuffer(base64.b64decode(text, validate=True), kind)
    except ValueError as error:
        raise JsonError(f"alarm.{name} is damaged") from error
    if not np.isfinite(values).all():
        raise JsonError(f"alarm.{name} has values that are not finite")
    return values


def position_bytes(position: NDArray[np.float16]) -> bytes:
    """Return a film's position as a row keeps it; empty where it is no number, so that it does not count."""
    return position.astype("<f2").tobytes() if np.isfinite(position).all() else b""

"""What a head is worth on films that it was not fitted to, beside what needs no look at a lung.

All figures are balanced accuracies of the same films, cross-validated over the same folds; intervals of 95 %
and differences are by one bootstrap over groups, so differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.model.manifest_parts import Figure
from xray_infer.study.bootstrap import balanced_accuracy
from xray_infer.study.intervals import group_weights, percentile_interval, wilson_interval
from xray_infer.train.adapt.crossing import Crossed, cross
from xray_infer.train.adapt.film_reading import FilmFeatures
from xray_infer.train.adapt.regression import Floats, Labels

HEAD: Final = "this head"
PIXELS: Final = "the same head on 20x20 pixels"
FACTS: Final = "the same head on facts of the files"
OLD_HEAD: Final = "the old head, as it is"
BINS: Final = 8  # of a number, so that a linear classifier sees more than its rise
LEAST_OF_VALUE: Final = 3  # films with a value, for it to have a column


@dataclass(frozen=True, slots=True, eq=False)
class Worth:
    """`figures` by name, HEAD first; `gains` of the head over each of the others; its `recalls` by class."""

    figures: Mapping[str, Figure]
    gains: Mapping[str, Figure]
    recalls: tuple[float, ...]
    crossed: Crossed


def measure_worth(
    films: Sequence[FilmFeatures],
    labels: Labels,
    groups: Sequence[int],
    folds: NDArray[np.int64],
    *,
    old: Sequence[int] | None,
) -> Worth:
    """Cross-validate head and controls; `old` are the outputs of the old head, if it has the classes."""
    crossed = cross(np.stack([film.features for film in films]), labels, folds)
    scores = {HEAD: crossed.logits}
    if old is not None:
        scores[OLD_HEAD] = np.stack([film.probabilities for film in films])[:, list(old)].astype(np.float64)
    for name, make in CONTROLS.items():
        scores[name] = cross(make(films), labels, folds).logits
    weights = np.vstack([np.ones(len(labels)), group_weights([str(group) for group in groups])])
    drawn = {name: balanced_accuracy(weights, labels, one) for name, one in scores.items()}
    hits = crossed.logits.argmax(axis=1) == labels
    return Worth(
        {name: _share(values, len(set(groups))) for name, values in drawn.items()},
        {name: _figure(drawn[HEAD] - values) for name, values in drawn.items() if name != HEAD},
        tuple(float(hits[labels == label].mean()) for label in range(labels.max() + 1)),
        crossed,
    )


def _figure(values: Floats) -> Figure:
    """Return a figure from itself, first, and its resamples."""
    return Figure(float(values[0]), percentile_interval(values[1:]))


def _share(values: Floats, groups: int) -> Figure:
    """Return a share. Where no film is wrong, no resample is: its interval is Wilson's, of the groups."""
    return Figure(1.0, wilson_interval(groups, groups)) if values[0] == 1 else _figure(values)


def pixel_rows(films: Sequence[FilmFeatures]) -> Floats:
    """Return the films at 20 x 20 pixels, float64 [N, 400]."""
    return np.stack([film.pixels for film in films]).astype(np.float64)


def fact_rows(films: Sequence[FilmFeatures]) -> Floats:
    """Return the facts of the films' files, float64 [N, F]: a column for each value and bin of a size."""
    facts = [film.facts for film in films]
    columns = [np.array([one.named.get(name, "") for one in facts]) for name in sorted({*_names(films)})] + [
        np.array([one.format for one in facts])
    ]
    width, height = np.log2(np.maximum([(one.width, one.height) for one in facts], 1)).T
    for number in (width, height, width - height):
        edges = np.quantile(number, np.arange(1, BINS) / BINS)
        columns.append(np.searchsorted(edges, number, side="right"))
    made = [np.zeros(len(films))]
    for column in columns:
        values, counts = np.unique(column, return_counts=True)
        made += [column == value for value in values[counts >= LEAST_OF_VALUE]]
    return np.column_stack(made).astype(np.float64)


def _names(films: Sequence[FilmFeatures]) -> set[str]:
    return {name for film in films for name in film.facts.named}


CONTROLS: Final[dict[str, Callable[[Sequence[FilmFeatures]], Floats]]] = {
    PIXELS: pixel_rows,
    FACTS: fact_rows,
}

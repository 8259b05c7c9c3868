"""What a model's answer becomes while parts of the picture are removed in the order of a heat map.

Deletion and insertion (Petsiuk, Das and Saenko 2018) and ROAD (Rong et al. 2022) are the same experiment with
another fill and another order: *most relevant first* is deletion and MoRF; *least relevant first* is LeRF,
and read from its end it is insertion, which puts the most relevant parts into a picture that is all fill.

The picture is removed by squares of 8 pixels, 28 x 28 of them, in the order of the map enlarged to that.
Where a map has equal values, such as the zeros of what speaks for another class, smooth noise decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.benchmarks.explain.baselines import Map, random_map
from xray_infer.benchmarks.explain.road import impute
from xray_infer.images.preprocess import INPUT_SIDE
from xray_infer.outputs.heatmaps.fills import FILLS
from xray_infer.outputs.heatmaps.occlusion import RunModel, log_odds

CELLS: Final = 28
CELL: Final = INPUT_SIDE // CELLS

# Shares of the picture that are removed, most relevant first; least relevant first it is what is left.
SHARES: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
ROAD_SHARES: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
ROAD: Final = "road"
ORDERS: Final = ("morf", "lerf")

Image = NDArray[np.uint8]  # [224, 224]


@dataclass(frozen=True, slots=True)
class Curve:
    """The explained class's log-odds in nats, and whether it is still the first, at each share removed."""

    log_odds: tuple[float, ...]
    kept: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Steps:
    """One fill and one order: shares of the picture that are removed, growing."""

    fill: str
    order: str

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares removed, strictly between 0 and 1."""
        if self.fill == ROAD:
            return ROAD_SHARES
        return SHARES if self.order == "morf" else tuple(round(1 - one, 2) for one in reversed(SHARES))


ALL_STEPS: Final = tuple(Steps(fill, order) for fill in (*FILLS, ROAD) for order in ORDERS)


def rank(heat: Map, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the numbers of the 784 squares, the most relevant first."""
    noise = _enlarged(random_map(rng))
    return np.lexsort((noise.ravel(), -_enlarged(heat).ravel()))


def _enlarged(heat: Map) -> Map:
    how = cv2.INTER_AREA if heat.shape[0] > CELLS else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(heat, (CELLS, CELLS), interpolation=how), np.float32)


def removed_pixels(order: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Return which pixels go with the first `share` of the squares in `order`, bool [224, 224]."""
    cells = np.zeros(CELLS * CELLS, bool)
    cells[order[: round(share * len(order))]] = True
    return cells.reshape(CELLS, CELLS).repeat(CELL, axis=0).repeat(CELL, axis=1)


def removal_curves(
    run: RunModel, image: Image, heat: Map, label: int, *, rng: np.random.Generator
) -> dict[str, dict[str, Curve]]:
    """Return the curve of class `label` by fill (gray, blur, road) and order (morf, lerf)."""
    most_first = rank(heat, rng)
    fills = {name: fill(image) for name, fill in FILLS.items()}
    found: dict[str, dict[str, Curve]] = {}
    for steps in ALL_STEPS:
        order = most_first if steps.order == "morf" else most_first[::-1]
        pictures = []
        for share in steps.shares:
            removed = removed_pixels(order, share)
            if steps.fill == ROAD:
                pictures.append(impute(image, removed, rng))
            else:
                pictures.append(np.where(removed, fills[steps.fill], image))
        found.setdefault(steps.fill, {})[steps.order] = answer(run, pictures, label)
    return found


def answer(run: RunModel, pictures: Sequence[Image], label: int) -> Curve:
    """Return what the model says of pictures, for one class."""
    output = run(np.stack(pictures)[..., None])
    scores = log_odds(output)[:, label]
    kept = output.probabilities.argmax(axis=1) == label
    return Curve(tuple(round(float(one), 4) for one in scores), tuple(bool(one) for one in kept))


def area(steps: Steps, values: Sequence[float], *, whole: float, empty: float) -> float:
    """Return the area under a curve from nothing removed (`whole`) to all (`empty`), by trapezoids."""
    return float(np.trapezoid([whole, *values, empty], [0, *steps.shares, 1]))


def probability(log_odds: float | Sequence[float]) -> NDArray[np.float64]:
    """Return p of log p - log(1 - p)."""
    return np.asarray(1 / (1 + np.exp(-np.asarray(log_odds, np.float64))))


def faithfulness(
    curves: Mapping[str, Mapping[str, Curve]], *, whole: float, empty: Mapping[str, float]
) -> dict[str, float]:
    """Return one image's figures in probabilities, 0..1, by the name of their metric, see `METRICS`.

    `whole` and `empty`, by fill, are the log-odds of the picture and of the fill alone.
    """
    figures = {}
    for fill in FILLS:
        for order, name in zip(ORDERS, ("deletion", "insertion"), strict=True):
            ends = {"whole": float(probability(whole)), "empty": float(probability(empty[fill]))}
            values = probability(curves[fill][order].log_odds).tolist()
            figures[f"{name} {fill}"] = area(Steps(fill, order), values, **ends)
    for order in ORDERS:
        figures[f"ROAD {order}"] = float(probability(curves[ROAD][order].log_odds).mean())
    return figures


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of faithfulness: `title` for people, and whether more of it is better."""

    title: str
    higher_is_better: bool


METRICS: Final[Mapping[str, Metric]] = {
    "deletion gray": Metric("deletion, gray", higher_is_better=False),
    "deletion blur": Metric("deletion, blur", higher_is_better=False),
    "insertion gray": Metric("insertion, gray", higher_is_better=True),
    "insertion blur": Metric("insertion, blur", higher_is_better=True),
    "ROAD morf": Metric("ROAD, most relevant first", higher_is_better=False),
    "ROAD lerf": Metric("ROAD, least relevant first", higher_is_better=True),
}

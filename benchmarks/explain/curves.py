"""What a model's answer becomes while parts of the picture are removed in the order of a heat map.

Deletion and insertion (Petsiuk, Das and Saenko 2018) and ROAD (Rong et al. 2022) are the same experiment with
another fill and another order: *most relevant first* is deletion and MoRF; *least relevant first* is LeRF,
and read from its end it is insertion, which puts the most relevant parts into a picture that is all fill.

The picture is removed by squares of 8 pixels, 28 x 28 of them of an input of 224 pixels, in the order of the
map enlarged to that.
Where a map has equal values, such as the zeros of what speaks for another class, smooth noise decides.

ROAD fills by noisy linear imputation (Rong et al. 2022, section 4.2): every removed pixel is the weighted
mean of its eight neighbours, direct ones weighing 1/6 and diagonal ones 1/12, over those inside the picture,
plus a little noise. With each row multiplied by the sum of its weights the equations are a symmetric positive
definite system, a graph's Laplacian. It is solved by conjugate gradients that start from the solution at half
the size: 4 to 17 ms at 224 x 224 where a sparse factorisation took 8 to 230, and within a quarter of a gray
level of it, less than what rounding to integers costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.benchmarks.explain.simple_maps import Map, random_map
from xray_infer.outputs.heatmaps.occlusion import FILLS, RunModel, log_odds

CELL: Final = 8  # pixels of the model's input along each side of a square

# Shares of the picture that are removed, most relevant first; least relevant first it is what is left.
SHARES: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
ROAD_SHARES: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
ROAD: Final = "road"
ORDERS: Final = ("morf", "lerf")

GrayInput = NDArray[np.uint8]  # [side, side]


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


def rank(heat: Map, rng: np.random.Generator, *, side: int) -> NDArray[np.int64]:
    """Return the numbers of the squares of an input of this side, the most relevant first."""
    cells = side // CELL
    noise = _enlarged(random_map(rng), cells)
    return np.lexsort((noise.ravel(), -_enlarged(heat, cells).ravel()))


def _enlarged(heat: Map, cells: int) -> Map:
    how = cv2.INTER_AREA if heat.shape[0] > cells else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(heat, (cells, cells), interpolation=how), np.float32)


def removed_pixels(order: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Return which pixels go with the first `share` of the squares in `order`, bool [side, side]."""
    cells = math.isqrt(len(order))
    removed = np.zeros(len(order), bool)
    removed[order[: round(share * len(order))]] = True
    return removed.reshape(cells, cells).repeat(CELL, axis=0).repeat(CELL, axis=1)


def removal_curves(
    run: RunModel, image: GrayInput, heat: Map, label: int, *, rng: np.random.Generator
) -> dict[str, dict[str, Curve]]:
    """Return the curve of class `label` by fill (gray, blur, road) and order (morf, lerf)."""
    most_first = rank(heat, rng, side=len(image))
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


def answer(run: RunModel, pictures: Sequence[GrayInput], label: int) -> Curve:
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


WEIGHTS: Final = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]], np.float32) / 12
NOISE: Final = 2.55  # standard deviation in gray levels: 0.01 of the range, as in the authors' code
RESIDUAL: Final = 0.001  # largest of an equation, in gray levels; over a wide hole they add up
MOST_STEPS: Final = 500
SMALLEST: Final = 8  # pixels along a side at which no half size is tried any more

Plane = NDArray[np.float32]


def impute(
    image: NDArray[np.uint8], removed: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return uint8 [H, W] with the removed pixels imputed; something must be left."""
    smooth = solve(image.astype(np.float32), removed)
    noisy = smooth + removed * rng.normal(0, NOISE, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def solve(values: Plane, removed: NDArray[np.bool_]) -> Plane:
    """Return float32 [H, W]: `values` where they are left, elsewhere the solution of the equations."""
    if not removed.any():
        return values
    inside = removed.astype(np.float32)
    known = values * (1 - inside)
    degree = _neighbours(np.ones_like(values))

    def laplacian(plane: Plane) -> Plane:
        return (degree * plane - _neighbours(plane)) * inside

    found = _from_half(values, removed) * inside
    residual = _neighbours(known) * inside - laplacian(found)
    direction = residual.copy()
    size = float(np.vdot(residual, residual))
    for _ in range(MOST_STEPS):
        if float(np.abs(residual).max()) < RESIDUAL:
            break
        image = laplacian(direction)
        step = size / float(np.vdot(direction, image))
        found += step * direction
        residual -= step * image
        before, size = size, float(np.vdot(residual, residual))
        direction = residual + size / before * direction
    return known + found


def _neighbours(plane: Plane) -> Plane:
    """Return the weighted sum of each pixel's neighbours; outside the picture there is nothing."""
    return np.asarray(cv2.filter2D(plane, -1, WEIGHTS, borderType=cv2.BORDER_CONSTANT), np.float32)


def _from_half(values: Plane, removed: NDArray[np.bool_]) -> Plane:
    """Return a first guess everywhere: the solution at half the size, enlarged."""
    height, width = values.shape
    left = (~removed).astype(np.float32)
    if min(height, width) < 2 * SMALLEST or height % 2 or width % 2:
        return np.full_like(values, float((values * left).sum() / max(left.sum(), 1)))
    half = (width // 2, height // 2)
    share = cv2.resize(left, half, interpolation=cv2.INTER_AREA)
    total = cv2.resize(values * left, half, interpolation=cv2.INTER_AREA)
    none = share == 0
    coarse = np.divide(total, share, out=np.zeros_like(total), where=~none)
    return np.asarray(
        cv2.resize(solve(coarse, none), (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )

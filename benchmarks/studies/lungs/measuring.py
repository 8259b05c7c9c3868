"""Overlaps of found boxes with known ones, of films as they are and altered, and the time a picture takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.images.lungs import find_lungs
from xray_infer.train.lung_detector.marking import overlap

Gray = NDArray[np.uint8]
Edges = NDArray[np.float64]  # left, top, right, bottom, as shares of width and height


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Overlap (IoU) of the boxes found; `found` is of all films, the others of those with a known box."""

    films: int
    found: float
    mean: float
    p5: float
    below_half: float


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds a picture, of all pictures the shortest of the rounds: median, 5th and 95th percentile."""

    median_ms: float
    p5_ms: float
    p95_ms: float


def measure(films: Iterable[tuple[Gray, Edges | None]]) -> Overlaps:
    """Look for the lungs of every film."""
    found, overlaps = [], []
    for gray, known in films:
        box = find_lungs(gray)
        found.append(box is not None)
        if box is not None and known is not None:
            height, width = gray.shape
            edges = np.array([box.left / width, box.top / height, box.right / width, box.bottom / height])
            overlaps.append(float(overlap(edges[None], known[None])[0]))
    values = np.array(overlaps or [np.nan])
    return Overlaps(
        len(found),
        float(np.mean(found)),
        float(values.mean()),
        float(np.percentile(values, 5)),
        float((values < 0.5).mean()),
    )


def mirrored(gray: Gray, known: Edges) -> tuple[Gray, Edges]:
    """Left and right exchanged."""
    return np.ascontiguousarray(gray[:, ::-1]), np.array([1 - known[2], known[1], 1 - known[0], known[3]])


def shifted(gray: Gray, known: Edges) -> tuple[Gray, Edges]:
    """Moved to the right and down by a tenth, black behind."""
    moved = np.zeros_like(gray)
    down, right = (edge // 10 for edge in gray.shape)
    moved[down:, right:] = gray[: gray.shape[0] - down, : gray.shape[1] - right]
    by = np.array([right / gray.shape[1], down / gray.shape[0]])
    return moved, np.clip(known + np.tile(by, 2), 0, 1)


def _through(levels: NDArray[np.float64]) -> Callable[[Gray, Edges], tuple[Gray, Edges]]:
    table = levels.clip(0, 255).astype(np.uint8)
    return lambda gray, known: (table[gray], known)


_RAMP: Final = np.arange(256) / 255
ALTERED: Final[Mapping[str, Callable[[Gray, Edges], tuple[Gray, Edges]]]] = {
    "as they are": lambda gray, known: (gray, known),
    "mirrored": mirrored,
    "shifted by a tenth": shifted,
    "too dark (gamma 2.5)": _through(255 * _RAMP**2.5),
    "too bright (gamma 0.4)": _through(255 * _RAMP**0.4),
    "a quarter of the contrast": _through(96 + 64 * _RAMP),
    "a third of the levels clipped": _through(255 * (1.5 * _RAMP - 0.25)),
}


def times(pictures: Sequence[Gray], *, rounds: int) -> Times:
    """Time `find_lungs` on decoded pictures, one after another."""
    find_lungs(pictures[0])
    shortest = np.full(len(pictures), np.inf)
    for _ in range(rounds):
        for number, gray in enumerate(pictures):
            started = time.perf_counter()
            find_lungs(gray)
            shortest[number] = min(shortest[number], 1000 * (time.perf_counter() - started))
    low, middle, high = np.percentile(shortest, [5, 50, 95])
    return Times(float(middle), float(low), float(high))

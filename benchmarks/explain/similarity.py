"""How alike two heat maps of one class are, by rank, by value and by structure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.benchmarks.explain.baselines import Map

CELLS: Final = 14  # maps are compared at this side
WINDOW: Final = 7  # of the structural similarity, in such cells
STABILISERS: Final = (0.01**2, 0.03**2)  # of maps in 0..1, as in the paper


def spearman(first: Map, second: Map) -> float:
    """Return the rank correlation, equal values sharing their mean rank; 0 where a map is flat."""
    return pearson(_ranks(first), _ranks(second))


def pearson(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Return the correlation; 0 where a map is flat."""
    one, other = (np.asarray(each, np.float64) - np.mean(each, dtype=np.float64) for each in (first, second))
    norm = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / norm if norm > 0 else 0.0


def ssim(first: Map, second: Map) -> float:
    """Return the structural similarity (Wang et al. 2004) of maps over their maxima, in 7 x 7 windows."""
    one, other = (each / max(float(each.max()), np.finfo(np.float32).tiny) for each in (first, second))
    mean_one, mean_other = _mean(one), _mean(other)
    spread_one, spread_other = _mean(one**2) - mean_one**2, _mean(other**2) - mean_other**2
    joint = _mean(one * other) - mean_one * mean_other
    light, contrast = STABILISERS
    found = (2 * mean_one * mean_other + light) * (2 * joint + contrast)
    found /= (mean_one**2 + mean_other**2 + light) * (spread_one + spread_other + contrast)
    return float(found.mean())


SIMILARITIES: Final[Mapping[str, Callable[[Map, Map], float]]] = {
    "Spearman": spearman,
    "Pearson": pearson,
    "SSIM": ssim,
}


def compare(first: Map, second: Map) -> dict[str, float]:
    """Return every figure of SIMILARITIES of two maps of any size, compared at 14 x 14."""
    one, other = _at_one_size(first), _at_one_size(second)
    return {name: round(measure(one, other), 4) for name, measure in SIMILARITIES.items()}


def _at_one_size(heat: Map) -> Map:
    how = cv2.INTER_AREA if heat.shape[0] > CELLS else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(heat, (CELLS, CELLS), interpolation=how), np.float32)


def _mean(plane: Map) -> NDArray[np.float64]:
    blurred = cv2.blur(plane.astype(np.float64), (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, np.float64)


def _ranks(heat: Map) -> NDArray[np.float64]:
    """Return each cell's rank; equal ones share their mean."""
    _, inverse, counts = np.unique(heat, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse.reshape(heat.shape)] + 0.5

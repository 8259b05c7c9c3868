"""The temperature that divides logits before the softmax (Guo et al. 2017): fitted, or applied afterwards."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.study.metrics import softmax

TEMPERATURES: Final = (0.05, 20.0)
ITERATIONS: Final = 60  # golden section: the bracket shrinks by 0.618 each time


def at_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return softmax(logits / temperature) from softmax(logits), float32 `[N, C]`."""
    if temperature == 1.0:
        return probabilities
    scaled: NDArray[np.float64] = np.power(probabilities.astype(np.float64), 1 / temperature)
    return np.asarray(scaled / scaled.sum(axis=-1, keepdims=True), dtype=np.float32)


def fit_temperature(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    weights: NDArray[np.floating] | None = None,
) -> float:
    """Return T > 0 that minimises the negative log-likelihood of softmax(logits / T).

    `logits [N, C]`, `labels [N]`, `weights [N]` of the images, all alike by default. The likelihood has one
    maximum in log T; it is found by golden section.
    """

    def loss(log_temperature: float) -> float:
        probabilities = softmax(logits, np.exp(log_temperature))
        likelihoods = np.log(probabilities[np.arange(len(labels)), labels] + 1e-30)
        return -float(np.average(likelihoods, weights=weights))

    ratio = (np.sqrt(5) - 1) / 2
    low, high = np.log(TEMPERATURES)
    for _ in range(ITERATIONS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(np.exp((low + high) / 2))

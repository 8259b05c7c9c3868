"""The temperature, fitted on validation data once a network is trained (Guo et al. 2017)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.study.metrics import softmax

TEMPERATURES: Final = (0.05, 20.0)
ITERATIONS: Final = 60  # golden section: the bracket shrinks by 0.618 each time

Floats = NDArray[np.floating]


def fit_temperature(logits: Floats, labels: NDArray[np.integer]) -> float:
    """Return T > 0 that minimises the negative log-likelihood of softmax(logits / T).

    `logits [N, 3]`, `labels [N]`. The likelihood has one maximum in log T; it is found by golden section.
    """

    def loss(log_temperature: float) -> float:
        probabilities = softmax(logits, np.exp(log_temperature))
        return -float(np.log(probabilities[np.arange(len(labels)), labels] + 1e-30).mean())

    ratio = (np.sqrt(5) - 1) / 2
    low, high = np.log(TEMPERATURES)
    for _ in range(ITERATIONS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(np.exp((low + high) / 2))

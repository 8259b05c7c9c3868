"""Fitted on validation data once a network is trained: temperature and the out-of-distribution score.

Temperature scaling: Guo et al. 2017. The score is the Mahalanobis distance of the pooled features, as Lee
et al. 2018 but with one mean for all classes, in the space of the leading principal components, joined
with the norm of what these leave over (as Wang et al. 2022's ViM does):

    z = (features - mean) . basis / deviation       [COMPONENTS]
    score = (|z|^2 + |rest|^2 / rest_variance) / (COMPONENTS + 1)

Near 1 for images like those of training; the limits are percentiles of validation images.
`METHOD.ood.npz` holds the arrays, METHOD.json the limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.train.metrics import softmax

COMPONENTS: Final = 64
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


@dataclass(frozen=True, slots=True, eq=False)
class Familiarity:
    """How far an image is from the training images, by its pooled features. All float32.

    `mean [K]`, `basis [K, COMPONENTS]` (orthonormal columns), `deviation [COMPONENTS]`, `rest_variance`.
    """

    mean: NDArray[np.float32]
    basis: NDArray[np.float32]
    deviation: NDArray[np.float32]
    rest_variance: float

    def score(self, features: Floats) -> NDArray[np.float64]:
        """Return the score `[N]` of pooled features `[N, K]`."""
        centred = features.astype(np.float64) - self.mean
        along = centred @ self.basis
        # Never below zero: the basis is orthonormal, but only to float32's precision.
        rest = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        distance = ((along / self.deviation) ** 2).sum(axis=1) + rest / self.rest_variance
        return distance / (len(self.deviation) + 1)


def fit_familiarity(features: Floats) -> Familiarity:
    """Fit on pooled features `[N, K]` of training images."""
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    count = min(COMPONENTS, *centred.shape)
    # Eigenvectors of the covariance: the images are not held a second time, however many there are.
    variances, axes = np.linalg.eigh(centred.T @ centred / len(values))
    largest = np.argsort(variances)[::-1][:count]
    basis = axes[:, largest]
    rest = (centred**2).sum(axis=1) - ((centred @ basis) ** 2).sum(axis=1)
    return Familiarity(
        mean=mean.astype(np.float32),
        basis=basis.astype(np.float32),
        deviation=np.sqrt(np.maximum(variances[largest], 1e-12)).astype(np.float32),
        rest_variance=max(float(rest.mean()), 1e-12),
    )


def thresholds(scores: Floats) -> dict[str, float]:
    """Return the scores below which 95 % and 99 % of validation images lie."""
    return {f"ood_score_p{share}": float(np.percentile(scores, share)) for share in (95, 99)}

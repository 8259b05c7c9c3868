"""How far an image is from the training images, by features that the network computes anyway.

    z = (features - mean) . basis                                       [K]
    along = sum of z_i^2 / variance_i / K,  rest = (|features - mean|^2 - |z|^2) / rest_variance
    score = (along + rest) / 2

The Mahalanobis distance of Lee et al. 2018, with one mean for all classes, in the space of the leading
principal components, joined with the norm of what these leave over (as Wang et al. 2022's ViM does). An
average training image scores 1. As files compute it, all in float32:

    score = z^2 . weights + |features - mean|^2 * rest_weight

The features come from the middle of the network, inside the last transition but one (in DenseNet121: 512
channels; 6 x 6 of an input of 96 pixels), where a network knows textures and shapes but not yet its classes.
Each channel is averaged over the upper and over the lower half: a chest upside down is none, a mirrored one
is. The columns in the middle count twice: a chest has its spine and heart there, half a chest has not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ModelError

MIDDLE: Final = 2  # transitions, counted from the last
COMPONENTS: Final = 128
# Of all variance, what one component and what the rest have at least: float32 could not tell less from none.
LEAST_OF_COMPONENT: Final = 1e-6
LEAST_OF_REST: Final = 1e-3
LEAST_VARIANCE: Final = 1e-12  # of all features together, for those that never vary

Floats = NDArray[np.floating]
# One image, uint8 [side, side, 1], to its features, float32 [D].
Features = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Familiarity:
    """What a file's score is computed from; see the module.

    `mean` float32 [D], `basis` float32 [D, K], orthonormal columns, `weights` float32 [K], `rest_weight`.
    """

    mean: NDArray[np.float32]
    basis: NDArray[np.float32]
    weights: NDArray[np.float32]
    rest_weight: float

    def score(self, features: Floats) -> NDArray[np.float64]:
        """Return the scores [N] of features [N, D]."""
        centred = features.astype(np.float64) - self.mean
        squares = (centred @ self.basis) ** 2
        return np.asarray(squares @ self.weights + (centred**2).sum(axis=1) * self.rest_weight)


def fit_familiarity(features: Floats, *, components: int = COMPONENTS) -> Familiarity:
    """Fit on features [N, D] of training images; takes fewer components where N or D is not larger."""
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    count = max(1, min(components, len(values) - 1, values.shape[1] - 1))
    # Eigenvectors of the covariance: the images are not held a second time, however many there are.
    variances, axes = np.linalg.eigh(centred.T @ centred / len(values))
    largest = np.argsort(variances)[::-1][:count]
    total = max(float(variances.sum()), LEAST_VARIANCE)
    variance = np.maximum(variances[largest], LEAST_OF_COMPONENT * total)
    rest_variance = max(total - float(variances[largest].sum()), LEAST_OF_REST * total)
    return Familiarity(
        mean=mean.astype(np.float32),
        basis=axes[:, largest].astype(np.float32),
        weights=((1 / (count * variance) - 1 / rest_variance) / 2).astype(np.float32),
        rest_weight=float(np.float32(0.5 / rest_variance)),
    )


class Scorer(Protocol):
    """One exported file, to which outputs can be added; nothing else in its graph changes.

    `layer` says where its features are taken.
    """

    layer: str

    def open_features(self) -> Features:
        """Open a session, for one thread, that computes features as the file does."""
        ...

    def with_score(self, familiarity: Familiarity) -> bytes:
        """Return the file without its manifest, with the output `ood_score` float32 [N]."""
        ...


@dataclass(frozen=True, slots=True)
class PoolingWindows:
    """Two by two windows, `rows` x `columns` pixels, `down` and `across` apart; left and right are averaged.

    They cover height and width; of the rows, the middle one of an odd height is in two windows, of the
    columns the one or two in the middle.
    """

    rows: int
    columns: int
    down: int
    across: int


def pooling_windows(height: int, width: int) -> PoolingWindows:
    """Return the windows for features of a size. Raises ModelError for one that is too small."""
    if height < 2 or width < 3:
        raise ModelError(f"the features of this graph are {height} x {width} pixels: too few for halves")
    columns = width // 2 + 1
    return PoolingWindows((height + 1) // 2, columns, height // 2, width - columns)

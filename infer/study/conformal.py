"""The limit of a score that images like those measured seldom exceed, by split conformal prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Limit:
    """A score that images of the same kind exceed in `expected` of cases, 0 to 1, on average."""

    value: float
    expected: float


def set_limit(scores: NDArray[np.floating], *, false_rejection: float) -> Limit:
    """Return the lowest of validation `scores` [N] that new images exceed in at most `false_rejection`.

    The quantile of split conformal prediction (Vovk et al. 2005): of N + 1 images each is as likely to be the
    highest, so the k-th highest score is exceeded by a new image with probability k / (N + 1). Too few images
    for the rate give their highest score, and `expected` says what that comes to.
    """
    rank = max(1, math.floor(false_rejection * (len(scores) + 1)))
    return Limit(float(np.sort(scores)[-rank]), rank / (len(scores) + 1))

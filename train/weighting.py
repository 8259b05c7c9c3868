"""How much each training image counts, so that neither classes nor hospitals outvote the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xray_infer.study.domains import FULL_VOICE


def domain_weights(labels: NDArray[np.integer], domains: Sequence[str]) -> NDArray[np.float32]:
    """Return a weight an image, float32 [N] of mean 1, for labels int [N] and as many names of domains.

    All classes weigh alike, and within a class all domains. A domain with fewer than FULL_VOICE images of the
    class weighs in proportion, and so does a class that has no more: a handful of films must not outvote
    hundreds. Images without a domain are taken as one.
    """
    names = np.asarray(domains, dtype=object)
    weights = np.zeros(len(labels))
    for label in np.unique(labels):
        cells = [np.flatnonzero((labels == label) & (names == name)) for name in sorted(set(domains))]
        voices = [min(1.0, len(rows) / FULL_VOICE) for rows in cells]
        for rows, voice in zip(cells, voices, strict=True):
            weights[rows] = voice / max(1.0, sum(voices)) / max(1, len(rows))
    return np.asarray(weights / weights.mean(), np.float32)

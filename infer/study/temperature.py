"""Temperature scaling of probabilities that are known and logits that are not (Guo et al. 2017)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def at_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return softmax(logits / temperature) from softmax(logits), float32 `[N, C]`."""
    if temperature == 1.0:
        return probabilities
    scaled: NDArray[np.float64] = np.power(probabilities.astype(np.float64), 1 / temperature)
    return np.asarray(scaled / scaled.sum(axis=-1, keepdims=True), dtype=np.float32)

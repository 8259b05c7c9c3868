"""Maps that know nothing of the model: what any method has to beat."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.images.preprocess import INPUT_SIDE

BLOB_SIGMA: Final = 56.0  # pixels of the model's input: a quarter of its side
BLOB_CELLS: Final = 28
NOISE_CELLS: Final = 7  # along each side, as Grad-CAM has

Map = NDArray[np.float32]  # [h, w] >= 0


def centre_blob() -> Map:
    """Return a Gaussian in the middle of the picture, float32 [28, 28]."""
    middle = (np.arange(BLOB_CELLS) - (BLOB_CELLS - 1) / 2) * INPUT_SIDE / BLOB_CELLS
    line = np.exp(-((middle / BLOB_SIGMA) ** 2) / 2)
    return np.outer(line, line).astype(np.float32)


def random_map(rng: np.random.Generator) -> Map:
    """Return a map of independent cells, float32 [7, 7] in 0..1; drawn smoothly, as every map is."""
    return rng.random((NOISE_CELLS, NOISE_CELLS), dtype=np.float32)

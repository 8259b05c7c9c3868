"""Maps that know nothing of the model, and which part of a map's heat is in the border or the lungs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import DataError
from xray_infer.images.preprocess import WHOLE, Area

BLOB_CELLS: Final = 28
BLOB_SIGMA: Final = BLOB_CELLS / 4
NOISE_CELLS: Final = 7  # along each side, as Grad-CAM has

Map = NDArray[np.float32]  # [h, w] >= 0


def centre_blob() -> Map:
    """Return a Gaussian in the middle of the picture, float32 [28, 28]."""
    middle = np.arange(BLOB_CELLS) - (BLOB_CELLS - 1) / 2
    line = np.exp(-((middle / BLOB_SIGMA) ** 2) / 2)
    return np.outer(line, line).astype(np.float32)


def random_map(rng: np.random.Generator) -> Map:
    """Return a map of independent cells, float32 [7, 7] in 0..1; drawn smoothly, as every map is."""
    return rng.random((NOISE_CELLS, NOISE_CELLS), dtype=np.float32)


def border_ring(side: int) -> NDArray[np.bool_]:
    """Return the pixels within a seventh of `side` of the input's edge, bool [side, side].

    At 224 pixels these are the outermost cells of Grad-CAM.
    """
    width = side // 7
    ring = np.ones((side, side), bool)
    ring[width:-width, width:-width] = False
    return ring


def share_inside(heat: Map, region: NDArray[np.bool_]) -> float | None:
    """Return the share of a map's heat in a region, bool [side, side]; None for a map without heat."""
    fine = cv2.resize(heat, region.shape, interpolation=cv2.INTER_LINEAR)
    total = float(fine.sum())
    return float(fine[region].sum()) / total if total > 0 else None


def lung_mask(folder: Path, name: str, side: int, area: Area = WHOLE) -> NDArray[np.bool_]:
    """Read the mask of an image's `area`: bool [side, side]. Raises DataError.

    The file, FOLDER/NAME.png, is of the whole image, white on black, and of any size.
    """
    path = folder / f"{Path(name).stem}.png"
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    if mask is None:
        raise DataError(f"{path}: no lung mask that can be read; every image needs one, white on black")
    fine = cv2.resize(mask[area.of(*mask.shape[:2])], (side, side), interpolation=cv2.INTER_AREA)
    found = np.asarray(fine > 127)
    if not found.any():
        raise DataError(f"{path}: the lung mask is empty")
    return found

"""Where a map's heat is: in the picture's border ring, and in the lung fields where masks are given."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.benchmarks.explain.baselines import Map
from xray_infer.errors import DataError
from xray_infer.images.preprocess import INPUT_SIDE

RING: Final = INPUT_SIDE // 7  # pixels of the model's input: the outermost cells of Grad-CAM


def border_ring() -> NDArray[np.bool_]:
    """Return the pixels within 32 of the picture's edge, bool [224, 224]."""
    ring = np.ones((INPUT_SIDE, INPUT_SIDE), bool)
    ring[RING:-RING, RING:-RING] = False
    return ring


def share_inside(heat: Map, region: NDArray[np.bool_]) -> float | None:
    """Return the share of a map's heat in a region, bool [224, 224]; None for a map without heat."""
    fine = cv2.resize(heat, (INPUT_SIDE, INPUT_SIDE), interpolation=cv2.INTER_LINEAR)
    total = float(fine.sum())
    return float(fine[region].sum()) / total if total > 0 else None


def lung_mask(folder: Path, name: str) -> NDArray[np.bool_]:
    """Read an image's mask, FOLDER/NAME.png, white on black, any size: bool [224, 224]. Raises DataError."""
    path = folder / f"{Path(name).stem}.png"
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    if mask is None:
        raise DataError(f"{path}: no lung mask that can be read; every image needs one, white on black")
    fine = cv2.resize(mask, (INPUT_SIDE, INPUT_SIDE), interpolation=cv2.INTER_AREA)
    found = np.asarray(fine > 127)
    if not found.any():
        raise DataError(f"{path}: the lung mask is empty")
    return found

"""Grad-CAM of shifted pictures on a finer grid, as Augmented Grad-CAM (Morbidelli et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.images.preprocess import INPUT_SIDE
from xray_infer.outputs.heatmaps.methods import grad_cam
from xray_infer.outputs.heatmaps.occlusion import RunModel

CELLS: Final = 7  # of the model's map along each side
CELL: Final = INPUT_SIDE // CELLS
SIZE: Final = (INPUT_SIDE, INPUT_SIDE)


@dataclass(frozen=True, slots=True)
class Shifted:
    """The mean over `steps` x `steps` shifts, together one cell of the model's map, each shifted back."""

    steps: int

    @property
    def passes(self) -> int:
        """Forward passes an image."""
        return self.steps**2

    def explain(self, run: RunModel, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the maps of all classes, float32 [7 * steps, 7 * steps, 3] >= 0, of uint8 [224, 224, 1].

        In units of the class's logit. What a shift lays bare is filled with the edge's pixels.
        """
        wide = cv2.copyMakeBorder(image[..., 0], CELL, CELL, CELL, CELL, cv2.BORDER_REPLICATE)
        apart = CELL / self.steps
        shifts = [round((step + 0.5) * apart - CELL / 2) for step in range(self.steps)]
        total = np.zeros((*SIZE, 3), np.float32)
        for down, right in product(shifts, shifts):
            top, left = CELL + down, CELL + right
            view = np.ascontiguousarray(wide[top : top + INPUT_SIDE, left : left + INPUT_SIDE])
            fine = cv2.resize(
                grad_cam(run(view[None, ..., None]).cam[0]), SIZE, interpolation=cv2.INTER_LINEAR
            )
            back = np.array([[1, 0, right], [0, 1, down]], np.float32)
            total += cv2.warpAffine(fine, back, SIZE, borderMode=cv2.BORDER_REPLICATE)
        side = (CELLS * self.steps, CELLS * self.steps)
        return np.asarray(cv2.resize(total / self.passes, side, interpolation=cv2.INTER_AREA), np.float32)

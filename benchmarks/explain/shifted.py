"""Grad-CAM of shifted pictures on a finer grid, as Augmented Grad-CAM (Morbidelli et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.heatmaps.methods import grad_cam
from xray_infer.heatmaps.occlusion import Run
from xray_infer.preprocess import INPUT_SIDE


@dataclass(frozen=True, slots=True)
class Shifted:
    """The mean over `steps` x `steps` shifts, together one cell of the model's map, each shifted back."""

    steps: int

    @property
    def passes(self) -> int:
        """Forward passes an image."""
        return self.steps**2

    def explain(self, run: Run, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the maps of all classes, float32 [7 * steps, 7 * steps, 3] >= 0, of uint8 [224, 224, 1].

        What a shift lays bare is filled by the edge's pixels; a cell's value goes to all of its pixels.
        """
        total: NDArray[np.float32] | None = None
        for down in range(self.steps):
            for right in range(self.steps):
                cam = None
                padded = cv2.copyMakeBorder(image[..., 0], 32, 32, 32, 32, cv2.BORDER_REPLICATE)
                cell = 32
                apart = cell // self.steps
                offset = (
                    down * apart - cell // 2 + apart // 2,
                    right * apart - cell // 2 + apart // 2,
                )
                top, left = cell + offset[0], cell + offset[1]
                view = padded[top : top + INPUT_SIDE, left : left + INPUT_SIDE]
                cam = grad_cam(run(np.ascontiguousarray(view)[None, ..., None]).cam[0])
                fine = cv2.resize(cam, (INPUT_SIDE, INPUT_SIDE), interpolation=cv2.INTER_LINEAR)
                matrix = np.float32([[1, 0, offset[1]], [0, 1, offset[0]]])
                back = cv2.warpAffine(fine, matrix, (INPUT_SIDE, INPUT_SIDE), borderMode=cv2.BORDER_REPLICATE)
                total = back if total is None else total + back
        side = 7 * self.steps
        mean = cv2.resize(total / self.passes, (side, side), interpolation=cv2.INTER_AREA)
        return np.asarray(mean, np.float32)

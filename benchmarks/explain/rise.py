"""RISE (Petsiuk, Das and Saenko 2018): random smooth masks, weighted by the score that they leave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.images.preprocess import INPUT_SIDE
from xray_infer.outputs.heatmaps.fills import FILLS
from xray_infer.outputs.heatmaps.occlusion import AT_ONCE, ClassScore, RunModel, log_odds

CELLS = 28  # of the map along each side


@dataclass(frozen=True, slots=True)
class Rise:
    """`masks` random masks of `grid` x `grid` cells, each kept with probability `keep`, from one seed.

    As in the paper a mask is enlarged bilinearly and shifted by less than a cell. Scores are centred: a mask
    that leaves an average score says nothing, so that a map has a zero.
    """

    masks: int
    grid: int
    fill: str
    keep: float = 0.5
    score: ClassScore = log_odds
    seed: int = 0

    @property
    def passes(self) -> int:
        """Forward passes an image."""
        return self.masks

    def explain(self, run: RunModel, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the maps of all classes, float32 [28, 28, 3] >= 0, in nats, of uint8 [224, 224, 1]."""
        scores, masks = [], []
        filled = FILLS[self.fill](image[..., 0]).astype(np.float32)
        for some in self._masks():
            kept = some * image[..., 0] + (1 - some) * filled
            scores.append(self.score(run(np.rint(kept).astype(np.uint8)[..., None])))
            masks.extend(cv2.resize(one, (CELLS, CELLS), interpolation=cv2.INTER_AREA) for one in some)
        centred = np.concatenate(scores)
        centred -= centred.mean(axis=0)
        weighted = np.einsum("nhw,nc->hwc", np.stack(masks) - self.keep, centred)
        spread = self.masks * self.keep * (1 - self.keep)
        return np.maximum(weighted / spread, 0).astype(np.float32)

    def _masks(self) -> Iterator[NDArray[np.float32]]:
        """Yield masks in batches, float32 [N, 224, 224] in 0..1."""
        rng = np.random.default_rng(self.seed)
        cell = -(-INPUT_SIDE // self.grid)
        side = (self.grid + 1) * cell
        for first in range(0, self.masks, AT_ONCE):
            batch = []
            for _ in range(min(AT_ONCE, self.masks - first)):
                coarse = (rng.random((self.grid + 1, self.grid + 1)) < self.keep).astype(np.float32)
                down, right = rng.integers(0, cell, 2)
                smooth = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)
                batch.append(smooth[down : down + INPUT_SIDE, right : right + INPUT_SIDE])
            yield np.stack(batch)

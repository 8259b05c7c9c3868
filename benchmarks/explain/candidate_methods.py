"""Methods that are measured: those that are offered, and others by the name of their parameters.

A name takes parameters after colons: `occlusion:48:16:gray` is a window of 48 pixels, 16 apart, filled with
gray; `rise:400:7:blur` 400 masks of 7 x 7 cells; `shifted:4` 4 x 4 shifts. `:logit` at the end takes the
logit for the score instead of the log-odds.

Not offered are RISE, and Grad-CAM of shifted pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import DataError
from xray_infer.outputs.heatmaps.methods import METHODS, Method, grad_cam
from xray_infer.outputs.heatmaps.occlusion import (
    AT_ONCE,
    FILLS,
    ClassScore,
    Occlusion,
    RunModel,
    log_odds,
    logits,
)

CAM_CELL: Final = 32  # pixels of the model's input along each side of a cell of the model's map


@dataclass(frozen=True, slots=True)
class Shifted:
    """Grad-CAM on a finer grid, as Augmented Grad-CAM (Morbidelli et al. 2020).

    The mean over `steps` x `steps` shifts, together one cell of the model's map, each shifted back.
    """

    steps: int

    def passes(self, side: int) -> int:
        """Return the number of forward passes that an image takes, whatever its side."""
        return self.steps**2

    def explain(self, run: RunModel, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the maps of all classes of uint8 [side, side, 1]: float32 [h, h, C] >= 0.

        h is `steps` times the side of the model's own map. In units of the class's logit. What a shift lays
        bare is filled with the edge's pixels.
        """
        side = len(image)
        size, cells = (side, side), side // CAM_CELL
        sides = (CAM_CELL, CAM_CELL, CAM_CELL, CAM_CELL)
        wide = np.asarray(cv2.copyMakeBorder(image[..., 0], *sides, cv2.BORDER_REPLICATE), np.uint8)
        apart = CAM_CELL / self.steps
        shifts = [round((step + 0.5) * apart - CAM_CELL / 2) for step in range(self.steps)]
        total: float | NDArray[np.float32] = 0.0
        for down, right in product(shifts, shifts):
            top, left = CAM_CELL + down, CAM_CELL + right
            view = np.ascontiguousarray(wide[top : top + side, left : left + side])
            fine = cv2.resize(
                grad_cam(run(view[None, ..., None]).cam[0]), size, interpolation=cv2.INTER_LINEAR
            )
            back = np.array([[1, 0, right], [0, 1, down]], np.float32)
            total = total + cv2.warpAffine(fine, back, size, borderMode=cv2.BORDER_REPLICATE)
        fine_cells = (cells * self.steps, cells * self.steps)
        mean = np.asarray(total / self.passes(side), np.float32)
        # One class at a time: OpenCV averages areas of at most four channels, unless whole pixels fit in.
        planes = [np.ascontiguousarray(mean[..., one]) for one in range(mean.shape[-1])]
        small = [cv2.resize(one, fine_cells, interpolation=cv2.INTER_AREA) for one in planes]
        return np.asarray(np.stack(small, axis=-1), np.float32)


RISE_CELLS = 28  # of the map along each side


@dataclass(frozen=True, slots=True)
class Rise:
    """RISE (Petsiuk, Das and Saenko 2018): random smooth masks, weighted by the score that they leave.

    `masks` random masks of `grid` x `grid` cells, each kept with probability `keep`, from one seed.

    As in the paper a mask is enlarged bilinearly and shifted by less than a cell. Scores are centred: a mask
    that leaves an average score says nothing, so that a map has a zero.
    """

    masks: int
    grid: int
    fill: str
    keep: float = 0.5
    score: ClassScore = log_odds
    seed: int = 0

    def passes(self, side: int) -> int:
        """Return the number of forward passes that an image takes, whatever its side."""
        return self.masks

    def explain(self, run: RunModel, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the maps of all classes, float32 [28, 28, C] >= 0, in nats, of uint8 [side, side, 1]."""
        scores: list[NDArray[np.float64]] = []
        masks: list[NDArray[np.float32]] = []
        filled = FILLS[self.fill](image[..., 0]).astype(np.float32)
        for some in self._masks(len(image)):
            kept = some * image[..., 0] + (1 - some) * filled
            scores.append(self.score(run(np.rint(kept).astype(np.uint8)[..., None])))
            masks.extend(
                np.asarray(
                    cv2.resize(one, (RISE_CELLS, RISE_CELLS), interpolation=cv2.INTER_AREA), np.float32
                )
                for one in some
            )
        centred = np.concatenate(scores)
        centred -= centred.mean(axis=0)
        weighted: NDArray[np.float64] = np.einsum("nhw,nc->hwc", np.stack(masks) - self.keep, centred)
        spread = self.masks * self.keep * (1 - self.keep)
        return np.maximum(weighted / spread, 0).astype(np.float32)

    def _masks(self, side: int) -> Iterator[NDArray[np.float32]]:
        """Yield masks in batches, float32 [N, side, side] in 0..1."""
        rng = np.random.default_rng(self.seed)
        cell = -(-side // self.grid)
        wide = (self.grid + 1) * cell
        for first in range(0, self.masks, AT_ONCE):
            batch = []
            for _ in range(min(AT_ONCE, self.masks - first)):
                coarse = (rng.random((self.grid + 1, self.grid + 1)) < self.keep).astype(np.float32)
                down, right = rng.integers(0, cell, 2)
                smooth = cv2.resize(coarse, (wide, wide), interpolation=cv2.INTER_LINEAR)
                batch.append(smooth[down : down + side, right : right + side])
            yield np.stack(batch)


SCORES: Final[Mapping[str, ClassScore]] = {"log-odds": log_odds, "logit": logits}


def _occlusion(window: str, stride: str, fill: str, score: str = "log-odds") -> Occlusion:
    return Occlusion(int(window), int(stride), fill, SCORES[score])


def _rise(masks: str, grid: str, fill: str, score: str = "log-odds") -> Rise:
    return Rise(int(masks), int(grid), fill, score=SCORES[score])


def _shifted(steps: str) -> Shifted:
    return Shifted(int(steps))


FACTORIES: Final[Mapping[str, Callable[..., Occlusion | Rise | Shifted]]] = {
    "occlusion": _occlusion,
    "rise": _rise,
    "shifted": _shifted,
}


def find_method(name: str) -> Method:
    """Return the method of a name. Raises DataError."""
    if name in METHODS:
        return METHODS[name]
    kind, *parameters = name.split(":")
    try:
        candidate = FACTORIES[kind](*parameters)
        if getattr(candidate, "fill", "gray") not in FILLS:
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        names = ", ".join((*METHODS, "occlusion:WINDOW:STRIDE:FILL", "rise:MASKS:GRID:FILL", "shifted:STEPS"))
        raise DataError(f"no method {name!r}; there are {names}; fills are {', '.join(FILLS)}") from error
    return Method(
        name,
        lambda classified: candidate.explain(classified.run, classified.input),
        unit="log-odds" if getattr(candidate, "score", logits) is log_odds else "logit",
        passes=candidate.passes,
    )

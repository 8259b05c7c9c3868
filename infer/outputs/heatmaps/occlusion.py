"""Occlusion (Zeiler and Fergus 2014, section 4.2): what the score loses when a part is covered.

A square window goes over the model's input; under it stands one of FILLS. It needs forward passes and
nothing else, so every format and runtime gives it.

The score is the class's log-odds, log p - log(1 - p), in nats, and not its logit: a softmax answers by the
differences of logits, and covering a part moves all three together, which changes no answer. Log-odds do not
saturate as the probability does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.model.runtimes import ModelOutput

AT_ONCE: Final = 32  # covered pictures in memory, 50 KB each or less
BLUR_SIGMA: Final = 16.0  # pixels of the model's input: ribs and vessels go, the chest's outline stays

# What takes the place of a covered part of the model's input, uint8 [H, W].
Fill = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def mean_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture's own mean gray level everywhere, uint8 [H, W], of a picture uint8 [H, W]."""
    return np.full_like(image, round(float(image.mean())))


def blurred(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture behind a Gaussian of 16 pixels, uint8 [H, W], of a picture uint8 [H, W]."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), BLUR_SIGMA), np.uint8)


FILLS: Final[Mapping[str, Fill]] = {"gray": mean_gray, "blur": blurred}

RunModel = Callable[[NDArray[np.uint8]], ModelOutput]  # uint8 [N, side, side, 1], any N >= 1
ClassScore = Callable[[ModelOutput], NDArray[np.float64]]  # one number an image and class, [N, C]


def log_odds(output: ModelOutput) -> NDArray[np.float64]:
    """Return log p - log(1 - p) of every class in nats, [N, C], finite also where p rounds to 0 or 1."""
    given = np.maximum(output.probabilities.astype(np.float64), np.finfo(np.float32).tiny)
    others = given.sum(axis=1, keepdims=True) - given
    odds: NDArray[np.float64] = np.log(given) - np.log(np.maximum(others, np.finfo(np.float32).tiny))
    return odds


def logits(output: ModelOutput) -> NDArray[np.float64]:
    """Return every class's logit but for its bias, which no difference holds, [N, C]."""
    means: NDArray[np.float64] = output.cam.astype(np.float64).mean(axis=(1, 2))
    return means


@dataclass(frozen=True, slots=True)
class Occlusion:
    """Windows of `window` pixels, `stride` apart, both of the model's input; neither hangs over the edge.

    `stride` divides `window` and the model's side. `fill` is a name in FILLS. Deterministic.
    """

    window: int
    stride: int
    fill: str
    score: ClassScore = log_odds

    def passes(self, side: int) -> int:
        """Return the number of forward passes that an image takes."""
        return len(self._starts(side)) ** 2 + 1

    def _starts(self, side: int) -> range:
        return range(0, side - self.window + 1, self.stride)

    def explain(self, run: RunModel, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the maps of all classes of uint8 [side, side, 1]: float32 [h, h, C] >= 0, h = side / stride.

        In units of the score, nats for log-odds. A cell's value is the mean loss of the score over the
        windows that cover it, 0 where it is a gain.
        """
        return np.maximum(self.losses(run, image), 0)

    def losses(self, run: RunModel, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the same with its sign: below 0 where covering is a gain."""
        side = len(image)
        cells, wide, starts = side // self.stride, self.window // self.stride, len(self._starts(side))
        whole = self.score(run(image[None]))[0]
        losses = np.concatenate([whole - self.score(run(batch)) for batch in self._covered(image)])
        total = np.zeros((cells, cells, losses.shape[1]))
        count = np.zeros((cells, cells, 1))
        for number, loss in enumerate(losses):
            row, column = divmod(number, starts)
            total[row : row + wide, column : column + wide] += loss
            count[row : row + wide, column : column + wide] += 1
        mean: NDArray[np.float32] = (total / count).astype(np.float32)
        return mean

    def _covered(self, image: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        """Yield batches of covered pictures, row by row of windows."""
        filled = FILLS[self.fill](image[..., 0])[..., None]
        starts = self._starts(len(image))
        places = [(row, column) for row in starts for column in starts]
        for first in range(0, len(places), AT_ONCE):
            some = places[first : first + AT_ONCE]
            batch = np.repeat(image[None], len(some), axis=0)
            for covered, (row, column) in zip(batch, some, strict=True):
                part = np.s_[row : row + self.window, column : column + self.window]
                covered[part] = filled[part]
            yield batch

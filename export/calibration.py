"""Which images calibrate and which judge: balanced over the classes, seeded, never of the same split."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from xray_infer.classes import CLASS_NAMES
from xray_infer.datasets import Dataset, LabelledImage, read_input
from xray_infer.errors import DataError


@dataclass(frozen=True, slots=True)
class ImageStream:
    """Images that are decoded one at a time, each time they are iterated over: uint8 [224, 224, 1]."""

    images: tuple[LabelledImage, ...]

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return map(read_input, self.images)

    def __len__(self) -> int:
        return len(self.images)


def calibration_images(dataset: Dataset, *, count: int, seed: int) -> ImageStream:
    """Choose images that set the ranges of a quantised model: from the training split alone."""
    return ImageStream(balanced_sample(dataset.split("train"), count=count, seed=seed))


def gate_images(dataset: Dataset, *, count: int, seed: int) -> ImageStream:
    """Choose images that an exported file is judged by, which took no part in making it: val and test."""
    held_out = dataset.split("val") + dataset.split("test")
    if not held_out:
        raise DataError("the data has no images in the splits val and test to check the export with")
    return ImageStream(balanced_sample(held_out, count=count, seed=seed))


def balanced_sample(images: Sequence[LabelledImage], *, count: int, seed: int) -> tuple[LabelledImage, ...]:
    """Draw up to `count` images, one class after the other, until a class and then all are used up."""
    decks = []
    for label in range(len(CLASS_NAMES)):
        deck = [image for image in images if image.label == label]
        random.Random(f"{seed}-{label}").shuffle(deck)
        decks.append(deck)
    dealt = [image for row in zip_longest(*decks) for image in row if image is not None]
    return tuple(dealt[:count])

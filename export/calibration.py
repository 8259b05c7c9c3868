"""Which images calibrate, which choose and which judge: balanced, seeded, and each from a split of its own.

Ranges are set by training images, the recipe's choices are made on validation images, and the gate judges
by test images, so that no image that took part in making a file decides whether it is good.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import DataError, SourceError
from xray_infer.images.preprocess import STUDY, Preprocessing
from xray_infer.model.manifest_parts import Training
from xray_infer.run.sources.folder import local_source
from xray_infer.study.datasets import (
    Dataset,
    LabelledImage,
    file_digest,
    read_images,
    read_input,
    split_images,
)

CALIBRATION_SPLIT: Final = "train"
CHOICE_SPLIT: Final = "val"
GATE_SPLIT: Final = "test"


@dataclass(frozen=True, slots=True)
class ImageStream:
    """Images that are decoded one at a time, each time they are iterated over: uint8 [side, side, 1]."""

    images: tuple[LabelledImage, ...]
    preprocessing: Preprocessing = STUDY

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (read_input(image, self.preprocessing) for image in self.images)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The images' classes, int64 [N]."""
        return np.array([image.label for image in self.images], np.int64)

    @property
    def digest(self) -> str:
        """SHA-256 over the files' digests, whatever their order."""
        return hashlib.sha256("\n".join(sorted(image.digest for image in self.images)).encode()).hexdigest()


def check_same_data(dataset: Dataset, training: Training, *, data: Path, model: Path) -> None:
    """Raise DataError for other splits: they would calibrate on test images or judge by training images."""
    if dataset.digest != training.data_sha256:
        raise DataError(
            f"{data}: not the data that {model} was trained on "
            f"(digest {dataset.digest[:12]}, training record {(training.data_sha256 or 'none')[:12]})"
        )


def draw(
    dataset: Dataset,
    split: str,
    *,
    count: int,
    seed: int,
    preprocessing: Preprocessing = STUDY,
) -> ImageStream:
    """Draw up to `count` images of a split. Raises DataError when it has none."""
    images = split_images(dataset, split, use="which the export needs")
    return ImageStream(balanced_sample(images, count=count, seed=seed), preprocessing)


def draw_from(
    path: Path,
    *,
    classes: Sequence[str],
    count: int,
    seed: int,
    barred: Iterable[ImageStream],
    preprocessing: Preprocessing = STUDY,
) -> ImageStream:
    """Draw up to `count` images of other data: a manifest, a class-per-folder tree or any folder of images.

    A folder with a folder of one of the model's `classes` is a tree. Splits do not matter there. Raises
    DataError for data that cannot be read, of other classes, or that holds an image of `barred`, which is to
    choose or to judge.
    """
    if (
        (path.exists() and not path.is_dir())
        or (path / "manifest.csv").exists()
        or any((path / name).is_dir() for name in classes)
    ):
        images = read_images(path, classes=classes).images
    else:
        try:
            found = [item.path for item in local_source(path)]
            images = tuple(LabelledImage(one, 0, file_digest(one)) for one in found)
        except (OSError, SourceError) as error:
            raise DataError(f"{error}; calibrate with a folder of images or a manifest") from error
    held_out = {image.digest for stream in barred for image in stream.images}
    known = next((image.path for image in images if image.digest in held_out), None)
    if known is not None:
        raise DataError(f"{known}: is a validation or test image of the model's data; calibrate with others")
    return ImageStream(balanced_sample(images, count=count, seed=seed), preprocessing)


def balanced_sample(images: Sequence[LabelledImage], *, count: int, seed: int) -> tuple[LabelledImage, ...]:
    """Draw up to `count` images, one class after the other, and in each class one source after the other."""
    decks = []
    for label in sorted({image.label for image in images}):
        of_class = [image for image in images if image.label == label]
        of_source = []
        for source in sorted({image.source for image in of_class}):
            deck = [image for image in of_class if image.source == source]
            random.Random(f"{seed}-{label}-{source}").shuffle(deck)
            of_source.append(deck)
        decks.append(_deal(of_source))
    return tuple(_deal(decks)[:count])


def _deal(decks: Sequence[Sequence[LabelledImage]]) -> list[LabelledImage]:
    """Take one from each deck in turn until all are used up."""
    return [image for row in zip_longest(*decks) for image in row if image is not None]

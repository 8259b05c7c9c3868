"""What every row answers to an image set, and to its borders and centres alone."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.benchmarks.contenders import Contender, open_contender
from xray_infer.benchmarks.records.schema import Answers, ImageSet
from xray_infer.benchmarks.records.store import Parts
from xray_infer.benchmarks.rows import Row
from xray_infer.errors import DataError
from xray_infer.model.processors import default_workers
from xray_infer.study.datasets import LabelledImage, read_dataset, read_images, read_input
from xray_infer.terminal import Report
from xray_infer.train.inputs import keep_region

TEST, EXTERNAL = "test", "external"
WHOLE: Final = "all"
CONTROLS: Final = ("border", "centre")
MOST_SECONDS: Final = 120.0  # that a control may take; int8x16 on a CPU takes over a second an image


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """An image set with its decoded inputs, uint8 [N, 224, 224, 1], and the files that they came from."""

    set: ImageSet
    inputs: NDArray[np.uint8]
    files: tuple[Path, ...]
    data_digest: str


def read_test_images(data: Path) -> Images:
    """Decode the test split of a data set. Raises DataError."""
    dataset = read_dataset(data)
    chosen = dataset.split(TEST)
    if not chosen:
        raise DataError(f"{data}: the test split is empty")
    return _decoded(TEST, chosen, dataset.digest)


def read_external_images(data: Path) -> Images:
    """Decode all labelled images of a folder or manifest from elsewhere, whatever their split."""
    dataset = read_images(data)
    if not dataset.images:
        raise DataError(f"{data}: no labelled images in it; it needs a folder a class, or a manifest")
    return _decoded(EXTERNAL, dataset.images, dataset.digest)


def _decoded(name: str, images: Sequence[LabelledImage], data_digest: str) -> Images:
    with ThreadPoolExecutor(default_workers()) as pool:
        inputs = np.stack(list(pool.map(read_input, images)))
    labels = [int(image.label) for image in images]
    digest = hashlib.sha256(inputs.tobytes() + bytes(labels)).hexdigest()
    described = ImageSet(
        name=name,
        digest=digest,
        images=[image.path.name for image in images],
        labels=labels,
        groups=[image.group for image in images],
        sources=[image.source for image in images],
    )
    return Images(described, inputs, tuple(image.path for image in images), data_digest)


def answer_rows(
    rows: Sequence[Row], sets: Sequence[Images], parts: Parts, report: Report, *, controls: bool = True
) -> list[Answers]:
    """Let each row classify each set, and the test set's borders and centres too.

    What `parts` holds already is not asked again. A control that would take a row longer than MOST_SECONDS
    is left out, with a line that says so.
    """
    found = []
    for row in rows:
        wanted = [(images, WHOLE) for images in sets]
        if controls:
            wanted += [(images, region) for images in sets if images.set.name == TEST for region in CONTROLS]
        asked = _Asked(row, report)
        for images, region in wanted:
            name = f"answers/{row.key.name}/{images.set.name}/{region}"
            if not parts.has(name) and region != WHOLE and asked.too_slow(images):
                report(f"{row.key.name}: too slow for the control {region!r}, which is left out")
                continue
            found.append(parts.get(name, Answers, partial(asked.answer, images, region)))
    return found


class _Asked:
    """One row, opened when it is first asked."""

    def __init__(self, row: Row, report: Report) -> None:
        self._row, self._report = row, report
        self._contender: Contender | None = None

    def _open(self) -> Contender:
        if self._contender is None:
            self._report(f"accuracy: {self._row.key.name}")
            self._contender = open_contender(self._row)
        return self._contender

    def too_slow(self, images: Images) -> bool:
        """Tell by two images whether all would take longer than MOST_SECONDS."""
        contender, some = self._open(), images.inputs[: 2 * default_workers()]
        contender.predict_many(some[:1])
        started = time.perf_counter()
        contender.predict_many(some)
        return (time.perf_counter() - started) / len(some) * len(images.inputs) > MOST_SECONDS

    def answer(self, images: Images, region: str) -> Answers:
        """Classify a set of which a region is kept."""
        inputs = images.inputs if region == WHOLE else keep_region(images.inputs, region)
        probabilities = self._open().predict_many(inputs).astype(float)
        return Answers(self._row.key, images.set.name, region, probabilities.tolist())

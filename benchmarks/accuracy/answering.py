"""What every row answers to an image set, and to its borders and centres alone.

A row is a trained Keras model, or an exported file in a runtime. Where the Keras model itself is not there,
its answers are those that `xray-export` stored beside its files.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from xray_infer.benchmarks.model_rows import KERAS, ModelRow, reference_of
from xray_infer.benchmarks.results_file import PartStore
from xray_infer.benchmarks.results_schema import ImageSet, ModelFile, RowAnswers, RowKey
from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError, extra_for
from xray_infer.host import default_workers
from xray_infer.images.preprocess import STUDY, Preprocessing
from xray_infer.model.runtimes import Session, find_model
from xray_infer.study.datasets import (
    Dataset,
    LabelledImage,
    file_digest,
    read_dataset,
    read_images,
    read_input,
    split_images,
)
from xray_infer.study.reference import SUFFIX, input_digest, load_reference
from xray_infer.study.temperature import at_temperature
from xray_infer.terminal import Report
from xray_infer.train.inputs import keep_region

TEST, EXTERNAL = "test", "external"
WHOLE: Final = "all"
CONTROLS: Final = ("border", "centre")
MOST_SECONDS: Final = 120.0  # that a control may take; int8x16 on a CPU takes over a second an image


@dataclass(frozen=True, slots=True, eq=False)
class InputSet:
    """An image set, and what models are given of it. Its digest is of the study's inputs, whoever answers."""

    set: ImageSet
    images: tuple[LabelledImage, ...]
    data_digest: str
    _made: dict[Preprocessing, NDArray[np.uint8]] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """The images' own files."""
        return tuple(image.path for image in self.images)

    def inputs(self, preprocessing: Preprocessing) -> NDArray[np.uint8]:
        """Return what models of this preprocessing are given, uint8 [N, side, side, 1]. Raises DataError."""
        if preprocessing not in self._made:
            self._made[preprocessing] = _decoded(self.images, preprocessing)
        return self._made[preprocessing]


def read_test_images(data: Path, classes: Sequence[str]) -> InputSet:
    """Decode the test split of a data set of these classes. Raises DataError."""
    dataset = read_dataset(data, classes=classes)
    chosen = split_images(dataset, TEST, use="which the benchmark measures")
    return _described(TEST, replace(dataset, images=chosen), dataset.digest)


def read_external_images(data: Path, classes: Sequence[str]) -> InputSet:
    """Decode all labelled images of a folder or manifest from elsewhere, whatever their split.

    They are of these classes, or of some of them.
    """
    dataset = read_images(data, classes=classes)
    if not dataset.images:
        raise DataError(f"{data}: no labelled images in it; it needs a folder a class, or a manifest")
    return _described(EXTERNAL, dataset, dataset.digest)


def _decoded(images: Sequence[LabelledImage], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    with ThreadPoolExecutor(default_workers()) as pool:
        return np.stack(list(pool.map(partial(read_input, preprocessing=preprocessing), images)))


def _described(name: str, dataset: Dataset, data_digest: str) -> InputSet:
    images = dataset.images
    inputs = _decoded(images, STUDY)
    labels = [int(image.label) for image in images]
    # Runs on other classes are of other images; the study's digest is what it was when there were no others.
    named = b"" if dataset.classes == CLASS_NAMES else "\n".join(dataset.classes).encode()
    digest = hashlib.sha256(inputs.tobytes() + bytes(labels) + named).hexdigest()
    described = ImageSet(
        name=name,
        digest=digest,
        images=[image.path.name for image in images],
        labels=labels,
        groups=[image.group for image in images],
        sources=[image.source for image in images],
        domains=[image.domain for image in images],
    )
    return InputSet(described, images, data_digest, {STUDY: inputs})


def answer_rows(
    rows: Sequence[ModelRow],
    sets: Sequence[InputSet],
    parts: PartStore,
    report: Report,
    *,
    controls: bool = True,
) -> list[RowAnswers]:
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
            found.append(parts.get(name, RowAnswers, partial(asked.answer, images, region)))
    return found


class _Asked:
    """One row, opened when it is first asked."""

    def __init__(self, row: ModelRow, report: Report) -> None:
        self._row, self._report = row, report
        self._contender: Contender | None = None

    def _open(self) -> Contender:
        if self._contender is None:
            self._report(f"accuracy: {self._row.key.name}")
            self._contender = open_contender(self._row)
        return self._contender

    def too_slow(self, images: InputSet) -> bool:
        """Tell by two images whether all would take longer than MOST_SECONDS."""
        contender, some = self._open(), self._inputs(images)[: 2 * default_workers()]
        contender.predict_many(some[:1])
        started = time.perf_counter()
        contender.predict_many(some)
        return (time.perf_counter() - started) / len(some) * len(images.images) > MOST_SECONDS

    def _inputs(self, images: InputSet) -> NDArray[np.uint8]:
        return images.inputs(self._row.model.preprocessing)

    def answer(self, images: InputSet, region: str) -> RowAnswers:
        """Classify a set of which a region is kept."""
        inputs = self._inputs(images)
        if region != WHOLE:
            inputs = keep_region(inputs, region)
        probabilities = self._open().predict_many(inputs).astype(float)
        return RowAnswers(self._row.key, images.set.name, region, probabilities.tolist())


def stored_answers(
    rows: Sequence[ModelRow], images: InputSet, report: Report
) -> Iterator[tuple[ModelFile, RowAnswers]]:
    """Yield a method's stored answers as a Keras row, for each method without a .keras file among the rows.

    They count only where they are of all these images. The row has answers and no file: its size is 0.
    """
    keys = [row.key for row in rows]
    asked: set[str] = set()
    for row in rows:
        path = row.path.with_name(f"{row.key.method}{SUFFIX}")
        if row.key.method in asked or reference_of(row.key, keys) is not None or not path.exists():
            continue
        asked.add(row.key.method)
        stored = load_reference(path)
        place = {digest: index for index, digest in enumerate(stored.input_digests)}
        wanted = [place.get(input_digest(image)) for image in images.inputs(row.model.preprocessing)]
        if None in wanted:
            report(f"{path}: holds no answers to some of these images, so nothing is compared with them")
            continue
        key = RowKey(row.key.method, KERAS, "fp32", KERAS)
        answers = stored.probabilities[[index for index in wanted if index is not None]].astype(float)
        model = replace(row.model, row=key, file=path.name, sha256=file_digest(path), size_bytes=0)
        yield model, RowAnswers(key, images.set.name, WHOLE, answers.tolist())


KERAS_BATCH: Final = 32


class Contender(Protocol):
    """A row that is open."""

    def predict_many(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Classify uint8 [N, side, side, 1] the fast way of its kind; return float32 [N, C]."""
        ...


class KerasContender:
    """A .keras file, used as its documentation says: `model.predict`, in batches of 32.

    Its probabilities are those at the temperature of the files exported from it, or of its training record.
    """

    def __init__(self, row: ModelRow) -> None:
        with extra_for("benchmarking a .keras file", "train"):
            import keras
        self._temperature = row.model.temperature
        self._model: Any = keras.saving.load_model(row.path, compile=False)

    def predict_many(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See Contender."""
        probabilities = self._model.predict(images, batch_size=KERAS_BATCH, verbose=0)
        return at_temperature(np.asarray(probabilities), self._temperature)


class ExportedContender:
    """An exported file, as in the folder command: one single-threaded session a processor."""

    def __init__(self, row: ModelRow) -> None:
        self._sessions = find_model(row.path).open_many(default_workers(), runtime=row.key.runtime)

    def predict_many(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See Contender."""
        idle = list(self._sessions)
        own = threading.local()

        def adopt_session() -> None:
            own.session = idle.pop()

        def classify(image: NDArray[np.uint8]) -> NDArray[np.float32]:
            session: Session = own.session
            probabilities: NDArray[np.float32] = session.run(image[None]).probabilities[0]
            return probabilities

        with ThreadPoolExecutor(len(idle), initializer=adopt_session) as pool:
            return np.stack(list(pool.map(classify, images)))


def open_contender(row: ModelRow) -> Contender:
    """Open a row to be asked. Raises ModelError, MissingExtraError."""
    return KerasContender(row) if row.key.format == KERAS else ExportedContender(row)

"""What is compared: trained Keras models and the files exported from them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from xray_infer.datasets import read_dataset, read_input
from xray_infer.errors import DataError, MissingExtraError, extra_for
from xray_infer.manifest import METHODS
from xray_infer.processors import default_workers
from xray_infer.runtimes import SUFFIXES, Model, Session, find_model
from xray_infer.temperature import at_temperature
from xray_infer.terminal import Report
from xray_infer.train.data.yardsticks import Yardstick, yardsticks

KERAS_BATCH: Final = 32


class Contender(Protocol):
    """One row of the table. `method`, `format`, `recipe` and `runtime` name it; `path` is its file,
    `data_digest` what it was trained on, with the split (empty when unknown)."""

    method: str
    format: str
    recipe: str
    runtime: str
    path: Path
    data_digest: str

    def predict_one(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Classify one image, uint8 [224, 224, 1], with all processors; return float32 [3]."""
        ...

    def predict_many(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Classify uint8 [N, 224, 224, 1] the fast way of this kind; return float32 [N, 3]."""
        ...


class KerasContender:
    """A .keras file, used as its documentation says: `model.predict`, batches of 32 where there are many.

    Its probabilities are those at the temperature of its training record, as an exported file's are.
    """

    format = "keras"
    recipe = "fp32"
    runtime = "keras"

    def __init__(self, path: Path) -> None:
        with extra_for("benchmarking a .keras file", "train"):
            import keras
        self.path, self.method = path, path.stem
        record = path.with_suffix(".json")
        training = json.loads(record.read_text()) if record.exists() else {}
        self.data_digest = training.get("data_sha256", "")
        self._temperature = training.get("temperature", 1.0)
        self._model: Any = keras.saving.load_model(path, compile=False)

    def predict_one(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See Contender."""
        return at_temperature(np.asarray(self._model.predict(image[None], verbose=0)), self._temperature)[0]

    def predict_many(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See Contender."""
        probabilities = self._model.predict(images, batch_size=KERAS_BATCH, verbose=0)
        return at_temperature(np.asarray(probabilities), self._temperature)


class ExportedContender:
    """An exported file in a runtime that reads it: one session of all threads for one image, and as in
    the folder command one single-threaded session a processor for many."""

    def __init__(self, model: Model, runtime: str) -> None:
        self.path, self.format, self.runtime = model.path, model.format, runtime
        workers = default_workers()
        self._single = model.open(threads=workers, runtime=runtime)
        self._sessions = model.open_many(workers, runtime=runtime)
        self.method = self._single.manifest.method
        self.recipe = self._single.manifest.recipe
        self.data_digest = str(self._single.manifest.training.get("data_sha256", ""))

    def predict_one(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See Contender."""
        return self._single.run(image[None]).probabilities[0]

    def predict_many(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See Contender."""
        idle = list(self._sessions)
        own = threading.local()

        def adopt_session() -> None:
            own.session = idle.pop()

        def classify(image: NDArray[np.uint8]) -> NDArray[np.float32]:
            session: Session = own.session
            return session.run(image[None]).probabilities[0]

        with ThreadPoolExecutor(len(idle), initializer=adopt_session) as pool:
            return np.stack(list(pool.map(classify, images)))


def open_contenders(places: Iterable[Path]) -> list[Contender]:
    """Open every .keras, .onnx and .tflite model among files and folders, methods and formats in order.

    An exported file takes part in its default runtime and in every other one that is installed. Raises
    DataError when there is no file, ModelError for one that cannot be used.
    """
    files = [path for place in places for path in _model_files(place)]
    contenders = [one for path in files for one in _contenders(path)]
    if not contenders:
        raise DataError("no .keras, .onnx or .tflite models there; give --models a folder that has some")
    formats = ("keras", *SUFFIXES.values())
    return sorted(contenders, key=lambda one: (one.method, formats.index(one.format), one.recipe))


def _contenders(path: Path) -> Iterator[Contender]:
    if path.suffix == ".keras":
        yield KerasContender(path)
        return
    model = find_model(path)
    default, *others = model.runtimes()
    for runtime in (default, *(one for one in others if one.installed())):
        yield ExportedContender(model, runtime.name)


def _model_files(place: Path) -> Sequence[Path]:
    if not place.is_dir():
        return [place]
    trained = [place / f"{method}.keras" for method in METHODS]
    exported = [path for path in sorted(place.iterdir()) if path.suffix in SUFFIXES]
    return [*(path for path in trained if path.exists()), *exported]


@dataclass(frozen=True, slots=True)
class TestSet:
    """Decoded test images, uint8 [N, 224, 224, 1], their labels, int64 [N], and the data set's digest."""

    __test__ = False  # not for pytest

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    data_digest: str


def read_test_set(data: Path) -> TestSet:
    """Decode the test split of a data set. Raises DataError."""
    dataset = read_dataset(data)
    chosen = dataset.split("test")
    if not chosen:
        raise DataError(f"{data}: the test split is empty")
    with ThreadPoolExecutor(default_workers()) as pool:
        images = np.stack(list(pool.map(read_input, chosen)))
    labels = np.array([image.label for image in chosen], dtype=np.int64)
    return TestSet(images, labels, dataset.digest)


def measure_yardsticks(data: Path, *, report: Report) -> tuple[Yardstick, ...]:
    """Measure what guesses without lungs reach; none, and a line that says why, where that cannot be done."""
    try:
        return yardsticks(read_dataset(data), report=report)
    except (DataError, MissingExtraError) as error:
        report(f"no yardsticks: {error}")
        return ()

"""Rows that answer: a trained Keras model, or an exported file in a runtime."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from xray_infer.benchmarks.rows import KERAS, Row
from xray_infer.errors import extra_for
from xray_infer.model.processors import default_workers
from xray_infer.model.runtimes import Session, find_model
from xray_infer.study.temperature import at_temperature

KERAS_BATCH: Final = 32


class Contender(Protocol):
    """A row that is open."""

    def predict_many(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Classify uint8 [N, 224, 224, 1] the fast way of its kind; return float32 [N, 3]."""
        ...


class KerasContender:
    """A .keras file, used as its documentation says: `model.predict`, in batches of 32.

    Its probabilities are those at the temperature of its training record, as an exported file's are.
    """

    def __init__(self, row: Row) -> None:
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

    def __init__(self, row: Row) -> None:
        self._sessions = find_model(row.path).open_many(default_workers(), runtime=row.key.runtime)

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


def open_contender(row: Row) -> Contender:
    """Open a row to be asked. Raises ModelError, MissingExtraError."""
    return KerasContender(row) if row.key.format == KERAS else ExportedContender(row)

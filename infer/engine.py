"""Items to rows: each worker reads, decodes and classifies with a session of its own.

N workers with one single-threaded session each beat one session of N threads, and one worker's decoding
overlaps with another's inference: OpenCV and the runtimes release the GIL. Rows come out in the order of
the items; at most `IN_FLIGHT` batches a worker are in memory, whatever the number of items.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.decode import decode
from xray_infer.errors import ImageError
from xray_infer.limits import DEFAULT_LIMITS
from xray_infer.preprocess import to_input
from xray_infer.results import ERROR, OK, Row
from xray_infer.runtimes import Model, Session
from xray_infer.sources import Item

IN_FLIGHT: Final = 4

# Called in a worker thread with the item, its gray pixels, its row and its CAM, float32 [7, 7, 3].
OnClassified = Callable[[Item, NDArray[np.uint8], Row, NDArray[np.float32]], None]


def default_workers() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def classify(
    items: Iterable[Item],
    model: Model,
    *,
    workers: int | None = None,
    batch_size: int = 1,
    runtime: str | None = None,
    on_classified: OnClassified | None = None,
) -> Iterator[Row]:
    """Open the model, in the runtime of this name or its default, and return an iterator of one row per
    item, in order.

    A file that cannot be read or decoded becomes an `error` row and costs nothing else. Raises what
    `Model.open` raises, before the first item is taken; any other exception is a bug and ends the run.
    """
    opened = [
        _Worker(session, model.digest, batch_size, on_classified)
        for session in model.open_many(workers or default_workers(), runtime=runtime)
    ]
    return _in_order(_batched(items, batch_size), opened)


def _in_order(batches: Iterable[Sequence[Item]], workers: list[_Worker]) -> Iterator[Row]:
    """Hand batches to the workers and yield their rows in the order of the batches."""
    most = IN_FLIGHT * len(workers)
    own = threading.local()

    def adopt_worker() -> None:
        own.worker = workers.pop()

    def work(batch: Sequence[Item]) -> list[Row]:
        worker: _Worker = own.worker
        return worker.classify_batch(batch)

    with ThreadPoolExecutor(len(workers), "classify", adopt_worker) as pool:
        pending: deque[Future[list[Row]]] = deque()
        try:
            for batch in batches:
                pending.append(pool.submit(work, batch))
                if len(pending) == most:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _batched(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """itertools.batched, which Python 3.11 lacks."""
    iterator = iter(items)
    while batch := tuple(itertools.islice(iterator, size)):
        yield batch


class _Worker:
    """One session and what it needs to turn a batch of items into rows."""

    def __init__(
        self, session: Session, digest: str, batch_size: int, on_classified: OnClassified | None
    ) -> None:
        self._session, self._digest = session, digest
        self._batch_size, self._on_classified = batch_size, on_classified

    def classify_batch(self, batch: Sequence[Item]) -> list[Row]:
        """Return one row per item."""
        pictures = [self._read(item) for item in batch]
        inputs = [to_input(picture) for picture in pictures if not isinstance(picture, ImageError)]
        if inputs:
            # One fixed shape for all batches: ONNX Runtime's arena grows with every new one.
            padding = [inputs[-1]] * (self._batch_size - len(inputs))
            output = self._session.run(np.stack(inputs + padding))
        rows = []
        position = 0
        for item, picture in zip(batch, pictures, strict=True):
            if isinstance(picture, ImageError):
                rows.append(self._row(item, ERROR, reason=str(picture)))
                continue
            probabilities = tuple(float(value) for value in output.probabilities[position])
            if np.isfinite(probabilities).all():
                rows.append(self._row(item, OK, probabilities=probabilities))
                if self._on_classified:
                    self._on_classified(item, picture, rows[-1], output.cam[position])
            else:
                rows.append(self._row(item, ERROR, reason="the model gave no finite probabilities"))
            position += 1
        return rows

    def _read(self, item: Item) -> NDArray[np.uint8] | ImageError:
        try:
            return decode(item.read(DEFAULT_LIMITS))
        except ImageError as error:
            return error

    def _row(
        self, item: Item, status: str, *, probabilities: tuple[float, ...] = (), reason: str = ""
    ) -> Row:
        session = self._session
        return Row(
            item.name, status, session.manifest.name, self._digest, session.runtime, probabilities, reason
        )

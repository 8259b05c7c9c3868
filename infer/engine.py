"""Items to rows: each worker reads, decodes and classifies with a session of its own.

N workers with one single-threaded session each beat one session of N threads, and one worker's decoding
overlaps with another's inference: OpenCV and the runtimes release the GIL. Rows come out in the order of
the items; at most `IN_FLIGHT` batches a worker are in memory, whatever the number of items.
"""

from __future__ import annotations

import itertools
import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray
from xray_infer.decode import decode
from xray_infer.errors import ImageError
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
    on_classified: OnClassified | None = None,
) -> Iterator[Row]:
    """Yield one row per item, in order.

    A file that cannot be read or decoded becomes an `error` row and costs nothing else. Raises what
    `Model.open` raises; any other exception is a bug and ends the run.
    """
    workers = workers or default_workers()
    # Opened here, so that a bad model ends the run before it begins.
    sessions = [model.open() for _ in range(workers)]
    mine = threading.local()

    def adopt_session() -> None:
        mine.session = sessions.pop()

    def work(batch: Sequence[Item]) -> list[Row]:
        return _classify_batch(batch, mine.session, model.digest, batch_size, on_classified)

    with ThreadPoolExecutor(workers, "classify", adopt_session) as pool:
        try:
            pending: deque[Future[list[Row]]] = deque()
            for batch in _batched(items, batch_size):
                pending.append(pool.submit(work, batch))
                if len(pending) >= IN_FLIGHT * workers:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _batched(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """itertools.batched, which Python 3.11 lacks."""
    iterator = iter(items)
    while batch := tuple(itertools.islice(iterator, size)):
        yield batch


def read_item(item: Item) -> bytes:
    """Read one item's bytes. Raises ImageError when it is not a readable regular file."""
    try:
        # A FIFO or a device would block the run for ever.
        if not stat.S_ISREG(os.stat(item.path).st_mode):
            raise ImageError("not a regular file")
        return item.path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be opened: {error.strerror}") from error


def _classify_batch(
    batch: Sequence[Item],
    session: Session,
    digest: str,
    batch_size: int,
    on_classified: OnClassified | None,
) -> list[Row]:
    name = session.manifest.name
    decoded: list[NDArray[np.uint8] | ImageError] = []
    for item in batch:
        try:
            decoded.append(decode(read_item(item)))
        except ImageError as error:
            decoded.append(error)
    inputs = [to_input(pixels) for pixels in decoded if not isinstance(pixels, ImageError)]
    if inputs:
        # One fixed shape: ONNX Runtime's arena grows with every new one.
        padding = [inputs[-1]] * (batch_size - len(inputs))
        output = session.run(np.stack(inputs + padding))
    rows = []
    position = 0
    for item, pixels in zip(batch, decoded, strict=True):
        if isinstance(pixels, ImageError):
            rows.append(Row(item.name, ERROR, name, digest, reason=str(pixels)))
            continue
        probabilities = tuple(float(value) for value in output.probabilities[position])
        row = Row(item.name, OK, name, digest, probabilities)
        if not np.isfinite(probabilities).all():
            row = Row(item.name, ERROR, name, digest, reason="the model gave no finite probabilities")
        elif on_classified:
            on_classified(item, pixels, row, output.cam[position])
        rows.append(row)
        position += 1
    return rows

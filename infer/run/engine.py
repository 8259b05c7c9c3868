"""Items to rows: each worker reads, decodes and classifies with a session of its own.

N workers with one single-threaded session each beat one session of N threads, and one worker's decoding
overlaps with another's inference: OpenCV and the runtimes release the GIL. Rows come out in the order of
the tasks; at most `IN_FLIGHT` batches a worker are in memory, whatever the number of tasks.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ImageError, ModelError, ReadError, RejectedError
from xray_infer.host import default_workers
from xray_infer.images.decode import Prepare, Prepared, prepare
from xray_infer.images.isolation import IsolatedPrepare
from xray_infer.model.alarm_reference import position_bytes
from xray_infer.model.runtimes import Model, ModelOutput, Session
from xray_infer.run.artifact import Artifact
from xray_infer.run.results import ERROR, OK, REJECTED, Classified, Row
from xray_infer.run.settings import EngineOptions, row_maker
from xray_infer.run.sources import Item

IN_FLIGHT: Final = 4
STAGES: Final = ("read", "decode", "infer", "draw")
MOST_KNOWN: Final = 256  # known rows that may wait behind one batch


@dataclass(frozen=True, slots=True)
class Task:
    """One item to classify, or one whose row is `known` and only keeps its place in the order."""

    item: Item
    stamp: str = ""
    known: Row | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A task's row.

    `cam` is float32 [h, w, C] where the row is ok and new. `final` is False where another run may give
    another row: the input could not be read.
    """

    task: Task
    row: Row
    cam: NDArray[np.float32] | None = None
    final: bool = True


OnClassified = Callable[[Classified], None]  # called in a worker's thread, several at a time


class StageSeconds:
    """Seconds that the workers spent in each stage, all of them together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = dict.fromkeys(STAGES, 0.0)

    def add(self, stage: str, seconds: float) -> None:
        """Count seconds of one of STAGES, from any thread."""
        with self._lock:
            self._seconds[stage] += seconds

    def totals(self) -> dict[str, float]:
        """Return the seconds so far by stage."""
        with self._lock:
            return dict(self._seconds)


class Engine(AbstractContextManager["Engine", None]):
    """An opened model with its workers; a context manager. Raises what `Model.open` raises.

    `runtime` is a name in `RUNTIMES`, by default the first that reads the file.
    """

    def __init__(
        self,
        model: Model,
        options: EngineOptions = EngineOptions(),  # noqa: B008  frozen
        *,
        runtime: str | None = None,
        on_classified: OnClassified | None = None,
    ) -> None:
        self.options = options
        self.workers = options.workers or default_workers()
        self.seconds = StageSeconds()
        sessions = model.open_many(
            self.workers, threads=options.threads, runtime=runtime, device=options.device
        )
        self.manifest = sessions[0].manifest
        self.alarm = self.manifest.alarm_reference
        self.maker = row_maker(self.manifest, model.digest, sessions[0].runtime, options)
        self._open = ExitStack()
        self._free = deque(self._worker(session, on_classified) for session in sessions)
        self._own = threading.local()
        self._pool = ThreadPoolExecutor(self.workers, "classify", self._adopt_worker)

    def _worker(self, session: Session, on_classified: OnClassified | None) -> _Worker:
        limits, keep_pixels = self.options.limits, on_classified is not None
        preprocessing = self.manifest.preprocessing

        def here(data: bytes) -> Prepared:
            return prepare(data, preprocessing, limits=limits, keep_pixels=keep_pixels)

        chosen: Prepare = here
        if self.options.isolate_s is not None:
            chosen = self._open.enter_context(
                IsolatedPrepare(
                    preprocessing, limits=limits, seconds=self.options.isolate_s, keep_pixels=keep_pixels
                )
            )
        return _Worker(session, chosen, self, on_classified)

    def _adopt_worker(self) -> None:
        self._own.worker = self._free.popleft()

    def _work(self, batch: Sequence[Task]) -> list[Outcome]:
        worker: _Worker = self._own.worker
        return worker.classify(batch)

    def run(self, tasks: Iterable[Task | None]) -> Iterator[Outcome]:
        """Yield each task's row, in order.

        A file that cannot be read or decoded becomes an `error` row and costs nothing else; any other
        exception is a bug and ends the run. None among the tasks says that the next may take a while:
        what is in flight is finished and yielded first.
        """
        most = IN_FLIGHT * self.workers
        pending: deque[Future[list[Outcome]]] = deque()
        try:
            for group in _grouped(tasks, self.options.batch_size):
                if group and group[0].known:
                    pending.append(_done([Outcome(task, task.known) for task in group if task.known]))
                elif group:
                    pending.append(self._pool.submit(self._work, group))
                while pending and (len(pending) >= most or not group):
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def __exit__(self, *error: object) -> None:
        """Close it, however the block ends."""
        self.close()

    def close(self) -> None:
        """End the workers, after what they are at."""
        self._pool.shutdown(cancel_futures=True)
        self._open.close()


def make_all(artifacts: Sequence[Artifact]) -> OnClassified | None:
    """Return what makes all artifacts of an image that was judged; None where there are none."""

    def make(classified: Classified) -> None:
        for artifact in artifacts:
            if classified.row.status == OK or artifact.for_rejected:
                artifact.make(classified)

    return make if artifacts else None


def classify(
    items: Iterable[Item],
    model: Model,
    options: EngineOptions = EngineOptions(),  # noqa: B008  frozen
    *,
    runtime: str | None = None,
) -> Iterator[Row]:
    """Yield one row per item, in order; see `Engine`."""
    with Engine(model, options, runtime=runtime) as engine:
        for outcome in engine.run(Task(item) for item in items):
            yield outcome.row


def _done(outcomes: list[Outcome]) -> Future[list[Outcome]]:
    future: Future[list[Outcome]] = Future()
    future.set_result(outcomes)
    return future


def _grouped(tasks: Iterable[Task | None], batch_size: int) -> Iterator[list[Task]]:
    """Divide tasks into batches of new ones and runs of known ones; an empty list where a None stood."""
    group: list[Task] = []
    for task in tasks:
        if group and (task is None or (task.known is None) != (group[0].known is None)):
            yield group
            group = []
        if task is None:
            yield []
            continue
        group.append(task)
        if len(group) == (batch_size if task.known is None else MOST_KNOWN):
            yield group
            group = []
    if group:
        yield group


class _Worker:
    """One session and what it needs to turn a batch of tasks into rows."""

    def __init__(
        self, session: Session, prepare: Prepare, engine: Engine, on_classified: OnClassified | None
    ) -> None:
        self._session, self._prepare = session, prepare
        self._batch_size, self._limits = engine.options.batch_size, engine.options.limits
        self._maker, self._seconds, self._alarm = engine.maker, engine.seconds, engine.alarm
        self._on_classified = on_classified

    def classify(self, batch: Sequence[Task]) -> list[Outcome]:
        """Return one row per task."""
        pictures = [self._picture(task.item) for task in batch]
        inputs = [picture.input for _, picture in pictures if isinstance(picture, Prepared)]
        if inputs:
            started = time.perf_counter()
            output = self._run(np.stack(inputs))
            places = self._places(output)
            self._seconds.add("infer", time.perf_counter() - started)
        outcomes = []
        position = 0
        for task, (data, picture) in zip(batch, pictures, strict=True):
            if isinstance(picture, ImageError):
                status = REJECTED if isinstance(picture, RejectedError) else ERROR
                row = self._maker.failed(task.item.name, status, str(picture))
                outcomes.append(Outcome(task, row, final=not isinstance(picture, ReadError)))
                continue
            score = None if output.ood_score is None else output.ood_score[position]
            row = self._maker.judged(task.item.name, output.probabilities[position], score, picture.area)
            if row.status == OK and places is not None:
                row = replace(row, position=position_bytes(places[position]), station=picture.station)
            cam = output.cam[position]
            if self._on_classified and row.status != ERROR and picture.pixels is not None:
                started = time.perf_counter()
                self._on_classified(
                    Classified(task.item, data, picture.pixels, picture.input, row, cam, self._run)
                )
                self._seconds.add("draw", time.perf_counter() - started)
            outcomes.append(Outcome(task, row, cam if row.probabilities else None))
            position += 1
        return outcomes

    def _places(self, output: ModelOutput) -> NDArray[np.float16] | None:
        """Return where films stand, for the alarm; None for a file that does not say. Raises ModelError."""
        if self._alarm is None or output.features is None:
            return None
        if output.features.shape[1] != len(self._alarm.basis):
            raise ModelError(
                f"{self._maker.model}: its alarm is of features of another length; export it again"
            )
        return self._alarm.positions(output.features)

    def _run(self, inputs: NDArray[np.uint8]) -> ModelOutput:
        """Classify any number of inputs in batches of one fixed shape.

        ONNX Runtime's arena grows with every new shape, so the last batch is filled up.
        """
        size, count = self._batch_size, len(inputs)
        missing = -count % size
        if missing:
            inputs = np.concatenate([inputs, np.repeat(inputs[-1:], missing, axis=0)])
        parts = [self._session.run(inputs[start : start + size]) for start in range(0, len(inputs), size)]
        if len(parts) == 1:
            return parts[0].first(count) if missing else parts[0]
        names = self._session.manifest.output_names
        return ModelOutput.join(names, [[getattr(part, one) for one in names] for part in parts]).first(count)

    def _picture(self, item: Item) -> tuple[bytes, Prepared | ImageError]:
        """Return the file's bytes, kept only for what is made beside the rows, and what came of them."""
        started = time.perf_counter()
        try:
            data = item.read(self._limits)
            read = time.perf_counter()
            self._seconds.add("read", read - started)
            started = read
            picture = self._prepare(data)
            self._seconds.add("decode", time.perf_counter() - started)
            return data if self._on_classified else b"", picture
        except ImageError as error:
            return b"", error

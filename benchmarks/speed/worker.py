"""One fresh process of one row: `python -m xray_infer.benchmarks.speed.worker REQUEST.json RESULT.json`.

Order: open the file, answer the first image, warm up, SingleStream (one session of all threads, one image
after the other), then Offline (one session a processor, or Keras's own batches), memory, and last the speed
of the machine itself. Every query takes the next of the real inputs into fresh memory, outside the timing.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from xray_infer.benchmarks.machine import EnergyMeter
from xray_infer.benchmarks.processes import high_water_mb
from xray_infer.benchmarks.results_schema import Burst, ProcessRun, RowKey
from xray_infer.benchmarks.speed.presets import OFFLINE, SINGLE, Effort
from xray_infer.host import default_workers

KERAS_BATCH: Final = 32  # Keras's own default
PRODUCT_SECONDS: Final = 0.15
Inputs = NDArray[np.uint8]
Classify = Callable[[Inputs], object]  # classifies uint8 [N, side, side, 1]


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """What the process is to do. `inputs` is a .npy of uint8 [N, side, side, 1]; `started` the parent's
    `time.monotonic()` just before the process began, which is the same clock here."""

    row: RowKey
    path: str
    inputs: str
    scenarios: tuple[str, ...]
    effort: Effort
    batch: int
    round: int
    turn: int
    baseline: bool
    started: float


class InputFile:
    """Yields one input after the other, round and round, each read anew: no tensor is used twice in a row."""

    def __init__(self, path: str) -> None:
        array = np.load(path, mmap_mode="r")
        self._path, self._start, self.count = path, array.offset, len(array)
        self._shape = array.shape[1:]
        self._bytes = int(np.prod(self._shape))
        self._next = 0

    def take(self, count: int) -> Inputs:
        """Return the next inputs, uint8 [count, side, side, 1]."""
        return np.concatenate([self._one() for _ in range(count)])

    def _one(self) -> Inputs:
        place = self._start + self._bytes * (self._next % self.count)
        self._next += 1
        return np.fromfile(self._path, np.uint8, self._bytes, offset=place).reshape(1, *self._shape)


def open_row(path: Path, runtime: str, *, threads: int, count: int) -> Sequence[Classify]:
    """Open a model file as `count` functions that classify side by side, each with so many threads."""
    if runtime == "keras":
        import keras

        model: Any = keras.saving.load_model(path, compile=False)
        return [lambda images: model.predict(images, batch_size=KERAS_BATCH, verbose=0)]
    from xray_infer.model.runtimes import find_model

    return [one.run for one in find_model(path).open_many(count, threads=threads, runtime=runtime)]


def single_stream(answer: Classify, inputs: InputFile, effort: Effort) -> list[float]:
    """Classify one image after the other, and return the milliseconds of each."""
    taken: list[float] = []
    started = time.perf_counter()
    while True:
        spent = time.perf_counter() - started
        enough = spent >= effort.seconds and len(taken) >= effort.queries
        if taken and (enough or spent >= effort.most_seconds):
            return taken
        image = inputs.take(1)
        before = time.perf_counter()
        answer(image)
        taken.append(1000 * (time.perf_counter() - before))


def offline(answers: Sequence[Classify], inputs: InputFile, effort: Effort, batch: int) -> Iterator[Burst]:
    """Classify as many as possible side by side; each burst is about a quarter of the time asked for."""
    lock = threading.Lock()
    pool = ThreadPoolExecutor(len(answers))
    spent, images = 0.0, 0
    while True:
        started = time.perf_counter()
        until = started + effort.seconds / 4

        def work(answer: Classify, until: float = until) -> int:
            done = 0
            while not done or time.perf_counter() < until:
                with lock:
                    some = inputs.take(batch)
                answer(some)
                done += len(some)
            return done

        done = sum(pool.map(work, answers))
        seconds = time.perf_counter() - started
        spent, images = spent + seconds, images + done
        yield Burst(batch, done, seconds)
        if (spent >= effort.seconds and images >= effort.queries) or spent >= effort.most_seconds:
            pool.shutdown()
            return


def machine_speed() -> float:
    """Return what numpy's float32 matrix product reaches now, 10**9 multiply-accumulates a second."""
    side = 512
    left = np.random.default_rng(0).random((side, side), np.float32)
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < PRODUCT_SECONDS:
        left @ left
        done += 1
    return done * side**3 / 1e9 / (time.perf_counter() - started)


def measure(request: WorkerRequest) -> ProcessRun:
    """Do all that the request asks for."""
    inputs, workers = InputFile(request.inputs), default_workers()
    path, runtime = Path(request.path), request.row.runtime
    opened = time.perf_counter()
    (answer,) = open_row(path, runtime, threads=workers, count=1)
    load_s = time.perf_counter() - opened
    answer(inputs.take(1))
    first_result_s = time.monotonic() - request.started
    latencies: list[float] = []
    if SINGLE in request.scenarios:
        for _ in range(request.effort.warm_up):
            answer(inputs.take(1))
        latencies = single_stream(answer, inputs, request.effort)
    peak_mb = high_water_mb(os.getpid()) or None
    bursts: list[Burst] = []
    joules: float | None = None
    if OFFLINE in request.scenarios:
        answers: Sequence[Classify] = [answer]
        if runtime != "keras":
            del answer
            answers = open_row(path, runtime, threads=1, count=workers)
        for one in answers:
            one(inputs.take(request.batch))
        meter = EnergyMeter()
        bursts = list(offline(answers, inputs, request.effort, request.batch))
        joules = meter.joules()
    return ProcessRun(
        row=request.row,
        round=request.round,
        turn=request.turn,
        baseline=request.baseline,
        load_s=load_s,
        first_result_s=first_result_s,
        single_stream_ms=latencies,
        offline=bursts,
        peak_mb=peak_mb,
        energy_j=joules,
        energy_images=sum(burst.images for burst in bursts),
        product_gmac_s=machine_speed(),
        context_switches=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
    )


def main(request: str, result: str) -> None:
    """Read the request, measure, and write the result."""
    asked = msgspec.json.decode(Path(request).read_bytes(), type=WorkerRequest)
    Path(result).write_text(json.dumps(asdict(measure(asked))), encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(*sys.argv[1:])

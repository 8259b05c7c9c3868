"""A run from a source to its results: what every run has, whether its rows go into a file or into shards.

`file_job` makes one file, `shards.shard_job` makes shards, `watching` follows a folder. Ctrl-C and SIGTERM
are a request: what is in flight is finished; a second Ctrl-C stops at once.
"""

from __future__ import annotations

import itertools
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Final

from xray_infer.model.manifest import ModelManifest
from xray_infer.model.runtimes import Model
from xray_infer.run.alarm import judge
from xray_infer.run.progress import Progress, Summary
from xray_infer.run.record import RunStatistics
from xray_infer.run.settings import EngineOptions
from xray_infer.run.sources import Item, Source

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether the run is to end early."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def requested(self) -> bool:
        """True once a signal came, or `request` was called."""
        return self._event.is_set()

    def request(self) -> None:
        """Ask for the end."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait for so long, or until the end is asked for; return whether it is."""
        return self._event.wait(seconds)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Yield a `Stop` that the first signal sets; the next one raises KeyboardInterrupt.

    Outside the main thread, where Python takes no signals, nothing sets it.
    """
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.request()  # and no more: what prints here might interrupt a print

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    # A signal that is ignored stays so: a shell starts commands in the background like that.
    wanted = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in wanted}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True, slots=True)
class RunInputs:
    """What every run needs, wherever its rows go. `items` are those of `source`, the first already listed."""

    source: Source
    items: Iterator[Item]
    model: Model
    runtime: str | None
    engine_options: EngineOptions


@dataclass(slots=True, kw_only=True)
class Job(ABC):
    """The parts and the state of one run.

    `source` is what `items` comes from. Of the rows in `summary`, `reused` are from an earlier run.
    """

    source: Source
    items: Iterable[Item]
    stop: Stop
    progress: Progress
    summary: Summary
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    reused: int = 0
    finished: bool = False

    @abstractmethod
    def resume_line(self) -> str:
        """Say what an unfinished run has kept, and how to go on; empty where there is nothing."""

    @abstractmethod
    def result_lines(self) -> Iterator[str]:
        """Yield where the results of a finished run are."""

    @abstractmethod
    def manifest(self) -> ModelManifest:
        """Return what the model says of itself."""

    def artifact_lines(self) -> Iterator[str]:
        """Yield what is to be said of the files beside the rows."""
        return iter(())

    def closing_lines(self) -> Iterator[str]:
        """Yield what a person wants to know in the end."""
        if self.source.skipped:
            yield f"{self.source.skipped:,} other files were skipped"
        if self.reused:
            yield f"{self.reused:,} rows are from an earlier run"
        yield from self.artifact_lines()
        seconds = (datetime.now(UTC) - self.started).total_seconds()
        alarm = judge(self.summary.films, self.manifest().alarm_reference).sentence
        yield from self.summary.lines(seconds=seconds, reused=self.reused, alarm=alarm)

    def statistics(
        self, *, workers: int, stage_s: Mapping[str, float], beside: Mapping[str, Any]
    ) -> RunStatistics:
        """Return how the run went so far; see `RunStatistics` for what is added."""
        return RunStatistics(
            started=self.started,
            ended=datetime.now(UTC),
            finished=self.finished,
            reused=self.reused,
            skipped=self.source.skipped,
            workers=workers,
            stage_s=stage_s,
            beside=beside,
        )


def listed(source: Source) -> Iterator[Item]:
    """Return the source's items, after a look at the first. Raises SourceError at once when there is none."""
    items = iter(source)
    return itertools.chain([next(items)], items)

"""The threads that list the films of a worklist and classify them; a new worklist stops the one before it.

A thread lists each worklist, and one more thread classifies. Both answer by signals, which Qt delivers in the
interface thread, with the worklist's number. `FilmQueue` decides the order: the film in view comes first.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, Signal

from xray_infer.classifier import Classifier
from xray_infer.errors import XrayError
from xray_infer.images.limits import DEFAULT_LIMITS
from xray_infer.run.settings import EngineOptions
from xray_infer.run.sources import Item
from xray_infer.run.sources.several import RenamedItem, open_sources
from xray_infer.run.sources.tar_archive import HeldItem
from xray_infer.viewer.threads import WorkerThread, fault_message
from xray_infer.viewer.words import COMPRESSED_ARCHIVE

LISTED_AT_ONCE: Final = 100  # films that are found before the window hears of them


@dataclass(frozen=True, slots=True)
class ClassifierSettings:
    """The model that classifies, its runtime and the engine's options; see `Classifier`."""

    model: str | Path | None
    runtime: str
    options: EngineOptions


class FilmQueue:
    """The films of one worklist, each taken once: the film in view first, then the others in their order.

    One thread adds films, one takes them, and one prioritises.
    """

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._taken = bytearray()  # 1 for each film that was taken
        self._next = 0
        self._first: int | None = None  # the place of the film that goes before all others
        self._complete = False
        self._stopped = False
        self._changed = threading.Condition()

    def add(self, items: Iterable[Item]) -> None:
        """Put films at the end."""
        with self._changed:
            self._items.extend(items)
            self._taken.extend(bytes(len(self._items) - len(self._taken)))
            self._changed.notify()

    def complete(self) -> None:
        """Say that no more films come."""
        with self._changed:
            self._complete = True
            self._changed.notify()

    def prioritise(self, place: int) -> None:
        """Put one film before all others; the last call counts."""
        with self._changed:
            self._first = place

    def stop(self) -> None:
        """End the iteration; films that are not taken yet are never taken."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def __iter__(self) -> Iterator[tuple[int, Item] | None]:
        """Yield each film once, with its place in the list; None before a wait for more films."""
        while True:
            with self._changed:
                place = self._take()
            if place is None:
                yield None
                with self._changed:
                    self._changed.wait_for(self._has_news)
                    place = self._take()
            if place is None:
                return
            yield place, self._items[place]

    def _has_news(self) -> bool:
        return self._stopped or self._complete or self._next < len(self._items)

    def _take(self) -> int | None:
        """Take the next film and return its place, None if there is none now; the lock is held."""
        if self._stopped:
            return None
        place, self._first = self._first, None
        if place is None or place >= len(self._taken) or self._taken[place]:
            while self._next < len(self._taken) and self._taken[self._next]:
                self._next += 1
            place = self._next
        if place >= len(self._taken):
            return None
        self._taken[place] = 1
        return place


@dataclass(frozen=True, slots=True)
class Worklist:
    """What the user opened: its number, the paths, and the films that are found in them."""

    number: int
    paths: Sequence[str]
    films: FilmQueue = field(default_factory=FilmQueue)


class Lister(QObject):
    """Lists worklists, each in a thread of its own: one that hangs does not hold up the next."""

    listed = Signal(int, list)  # a worklist's number; items
    complete = Signal(int, int, str)  # its number, the number of other files, why there are no films
    failed = Signal(str)  # see `WorkerThread`

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._threads: list[threading.Thread] = []

    def submit(self, worklist: Worklist) -> None:
        """List this worklist now."""
        self._threads = [one for one in self._threads if one.is_alive()]
        self._threads.append(threading.Thread(target=self._list, args=(worklist,), name="list", daemon=True))
        self._threads[-1].start()

    def wait(self, milliseconds: int) -> bool:
        """Wait until all worklists are listed or stopped, at most so long; return whether they are."""
        until = time.monotonic() + milliseconds / 1000
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _list(self, worklist: Worklist) -> None:
        skipped, problem = 0, ""
        try:
            source = open_sources(worklist.paths, limits=DEFAULT_LIMITS)
            items = iter(source)
            while (some := list(islice(items, LISTED_AT_ONCE))) and not worklist.films.stopped:
                kept = [item for item in some if not _holds_content(item)]
                if len(kept) < len(some):
                    problem = COMPRESSED_ARCHIVE
                if kept:
                    self.listed.emit(worklist.number, kept)  # before an answer to one of them can arrive
                    worklist.films.add(kept)
                elif len(worklist.paths) == 1:
                    break
            skipped = source.skipped
        except XrayError as error:
            problem = str(error)
        except Exception as error:
            self.failed.emit(fault_message(error))
        worklist.films.complete()
        self.complete.emit(worklist.number, skipped, problem)


def _holds_content(item: Item) -> bool:
    """Tell whether an item keeps its bytes: the items of a whole archive would fill the memory."""
    return isinstance(item.item if isinstance(item, RenamedItem) else item, HeldItem)


class ClassifierThread(WorkerThread):
    """Classifies films with one model, one worklist after the other, until `end`.

    `failed` says why the model cannot be used.
    """

    ready = Signal(object)  # the Classifier's manifest and rules
    classified = Signal(int, int, object)  # a worklist's number, a film's place, its Prediction
    complete = Signal(int)  # the number of a worklist whose films are all classified

    def __init__(self, settings: ClassifierSettings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._worklists: queue.SimpleQueue[Worklist | None] = queue.SimpleQueue()

    def submit(self, worklist: Worklist) -> None:
        """Classify this worklist next."""
        self._worklists.put(worklist)

    def end(self) -> None:
        """End the thread, once the worklist that it is at has stopped."""
        self._worklists.put(None)

    def work(self) -> None:
        """See `WorkerThread.work`."""
        settings = self._settings
        with Classifier(settings.model, settings.runtime, options=settings.options) as classifier:
            self.ready.emit((classifier.manifest, classifier.rules))
            while (worklist := self._worklists.get()) is not None:
                if not worklist.films.stopped:
                    self._classify(worklist, classifier)

    def _classify(self, worklist: Worklist, classifier: Classifier) -> None:
        places: deque[int] = deque()
        predictions = classifier.predict_many(_noted(worklist.films, places.append))
        for prediction in predictions:
            if worklist.films.stopped:
                break
            self.classified.emit(worklist.number, places.popleft(), prediction)
        else:
            self.complete.emit(worklist.number)


def _noted(films: FilmQueue, note: Callable[[int], None]) -> Iterator[Item | None]:
    """Yield the films, and note each one's place; None where the next may take a while."""
    for entry in films:
        if entry is None:
            yield None
        else:
            note(entry[0])
            yield entry[1]

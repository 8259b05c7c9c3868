"""What lists the films, and what judges them, in threads of their own; a new opening stops the one before it.

Both answer by signals, which Qt delivers in the interface thread.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
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
from xray_infer.viewer.threads import Thread, fault
from xray_infer.viewer.turns import Turns

AT_ONCE: Final = 100  # films that are listed before the window hears of them
COMPRESSED: Final = (
    "a compressed tar archive cannot be looked at, as all its images would have to stay in memory; unpack it "
    "first, or classify it with xray-infer"
)


@dataclass(frozen=True, slots=True)
class Opening:
    """What a person opened: its number, the paths, and its films as they are found."""

    number: int
    paths: Sequence[str]
    films: Turns = field(default_factory=Turns)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which model judges, and by what rules; see `Classifier`."""

    model: str | Path | None
    runtime: str
    options: EngineOptions


class Lister(QObject):
    """Lists what was opened, each opening in a thread of its own: one that hangs holds up no other."""

    listed = Signal(int, list)  # an opening's number; items
    complete = Signal(int, int, str)  # its number, other files that were skipped, why there are none
    broken = Signal(str)  # see `Thread`

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._threads: list[threading.Thread] = []

    def take(self, opening: Opening) -> None:
        """List this one."""
        self._threads = [one for one in self._threads if one.is_alive()]
        self._threads.append(threading.Thread(target=self._list, args=(opening,), name="list", daemon=True))
        self._threads[-1].start()

    def wait(self, milliseconds: int) -> bool:
        """Wait for so long until all openings are listed or have stopped; return whether they are."""
        until = time.monotonic() + milliseconds / 1000
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _list(self, opening: Opening) -> None:
        skipped, problem = 0, ""
        try:
            source = open_sources(opening.paths, limits=DEFAULT_LIMITS)
            items = iter(source)
            while (some := list(islice(items, AT_ONCE))) and not opening.films.stopped:
                kept = [item for item in some if not _holds_content(item)]
                if len(kept) < len(some):
                    problem = COMPRESSED
                if kept:
                    self.listed.emit(opening.number, kept)  # before the judge can tell of one
                    opening.films.add(kept)
                elif len(opening.paths) == 1:
                    break
            skipped = source.skipped
        except XrayError as error:
            problem = str(error)
        except Exception as error:
            self.broken.emit(fault(error))
        opening.films.complete()
        self.complete.emit(opening.number, skipped, problem)


def _holds_content(item: Item) -> bool:
    """Tell whether an item keeps its bytes: all that a window knows of would fill the memory."""
    return isinstance(item.item if isinstance(item, RenamedItem) else item, HeldItem)


class Judge(Thread):
    """Classifies films with one model, one opening after the other, until `end`.

    A model that cannot be used is told by `broken`.
    """

    ready = Signal(object)  # the Classifier's manifest and rules
    judged = Signal(int, int, object)  # an opening's number, a film's place, its Prediction
    done = Signal(int)

    def __init__(self, wanted: Wanted, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wanted = wanted
        self._openings: queue.SimpleQueue[Opening | None] = queue.SimpleQueue()

    def take(self, opening: Opening) -> None:
        """Judge this one next."""
        self._openings.put(opening)

    def end(self) -> None:
        """End, once what is being judged has stopped."""
        self._openings.put(None)

    def work(self) -> None:
        """See `Thread.work`."""
        wanted = self._wanted
        with Classifier(wanted.model, wanted.runtime, options=wanted.options) as classifier:
            self.ready.emit((classifier.manifest, classifier.rules))
            while (opening := self._openings.get()) is not None:
                if not opening.films.stopped:
                    self._judge(opening, classifier)

    def _judge(self, opening: Opening, classifier: Classifier) -> None:
        places: deque[int] = deque()
        predictions = classifier.predict_many(_noted(opening.films, places.append))
        for prediction in predictions:
            if opening.films.stopped:
                break
            self.judged.emit(opening.number, places.popleft(), prediction)
        else:
            self.done.emit(opening.number)


def _noted(films: Turns, note: Callable[[int], None]) -> Iterator[Item | None]:
    """Yield the films, and note each one's place; None where the next may take a while."""
    for entry in films:
        if entry is None:
            yield None
        else:
            note(entry[0])
            yield entry[1]

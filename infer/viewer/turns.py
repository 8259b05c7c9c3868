"""Which film is judged next: the one that is looked at, then the others in their order."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from xray_infer.run.sources import Item


class Turns:
    """The films of one opening. One thread adds, one takes, one says what it wants first."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._taken = bytearray()  # one a film
        self._next = 0
        self._wanted: int | None = None
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
        """Say that there are no more."""
        with self._changed:
            self._complete = True
            self._changed.notify()

    def want(self, place: int) -> None:
        """Ask for one film before all others; the last that is asked for counts."""
        with self._changed:
            self._wanted = place

    def stop(self) -> None:
        """End the iteration: what is not taken yet stays."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def __iter__(self) -> Iterator[tuple[int, Item] | None]:
        """Yield each film with its place, once; None before a wait for more of them."""
        while True:
            with self._changed:
                place = self._place()
            if place is None:
                yield None
                with self._changed:
                    self._changed.wait_for(self._has_news)
                    place = self._place()
            if place is None:
                return
            yield place, self._items[place]

    def _has_news(self) -> bool:
        return self._stopped or self._complete or self._next < len(self._items)

    def _place(self) -> int | None:
        """Take the next film, None if there is none now; the lock is held."""
        if self._stopped:
            return None
        wanted, self._wanted = self._wanted, None
        if wanted is None or wanted >= len(self._taken) or self._taken[wanted]:
            while self._next < len(self._taken) and self._taken[self._next]:
                self._next += 1
            wanted = self._next
        if wanted >= len(self._taken):
            return None
        self._taken[wanted] = 1
        return wanted

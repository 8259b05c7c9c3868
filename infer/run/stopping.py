"""Ctrl-C and SIGTERM as a request: what is in flight is finished; a second Ctrl-C stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

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

"""Waiting for another thread, for no longer than a fault would deserve."""

import time
from collections.abc import Callable

PATIENCE_S = 30


def until(condition: Callable[[], object]) -> None:
    """Wait until it holds, for no longer than a fault would deserve."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)

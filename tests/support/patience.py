"""Waiting for another thread, for no longer than a fault would deserve."""

import time

PATIENCE_S = 30


def until(condition) -> None:
    """Wait until it holds, for no longer than a fault would deserve."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)

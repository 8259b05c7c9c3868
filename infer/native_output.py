"""What C libraries print of a damaged file, kept from the user's screen: the row's reason says it better."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hide_native_output() -> Iterator[None]:
    """Send what is written to descriptor 2 nowhere, while `sys.stderr` still reaches the user.

    libjpeg and libpng print to the descriptor and offer OpenCV's callers no switch; a hundred thousand
    damaged files would bury every message. It holds for the whole process, so it belongs to a command and
    not to a library, and it also hides what a library says as it crashes: leave it out when debugging.
    """
    shown = sys.stderr
    kept = os.dup(2)
    try:
        if _is_descriptor_2(shown):
            shown.flush()
            sys.stderr = open(  # noqa: SIM115  # closed below, by way of `kept`
                kept, "w", encoding=shown.encoding, errors=shown.errors, buffering=1, closefd=False
            )
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)
        yield
    finally:
        if sys.stderr is not shown:
            sys.stderr.flush()
            sys.stderr = shown
        os.dup2(kept, 2)
        os.close(kept)


def _is_descriptor_2(stream: object) -> bool:
    """Tell whether a stream writes to descriptor 2; a test's or a notebook's may write to memory."""
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined, no-any-return]
    except (AttributeError, OSError):
        return False

"""Decoding in a process of its own: a file that crashes or hangs its decoder costs its own row alone.

The child is started as a plain command, not by multiprocessing: that would import the caller's main script
again in every child, which a script without a `__main__` guard does not survive, and would keep a process
more for its bookkeeping. Nothing is inherited but a pipe each way.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from io import RawIOBase
from types import TracebackType
from typing import Final, Self, cast

import numpy as np

from xray_infer.closing import Closing
from xray_infer.errors import ImageError, XrayError
from xray_infer.isolation.protocol import (
    ANSWER,
    BUG,
    FAILURES,
    MAX_TEXT,
    PREPARED,
    READY,
    REQUEST,
    read_exactly,
    write_all,
)
from xray_infer.limits import DEFAULT_DECODE_SECONDS, DEFAULT_LIMITS, Limits
from xray_infer.prepare import Prepared
from xray_infer.preprocess import INPUT_SHAPE

# Time for the child to load its libraries: 0.3 s on a desktop, more from an SD card.
START_SECONDS: Final = 120.0

_PREPARE: Final = "xray_infer.prepare:prepare"
# The search path goes along, so that the child finds what its parent found; -P keeps out what lies in the
# current folder, which may be the very folder of hostile files.
_BOOT: Final = (
    "import json, sys; settings = json.loads(sys.argv[1]); sys.path[:] = settings.pop('path'); "
    "from xray_infer.isolation.child import main; main(**settings)"
)


class IsolatedPrepare(Closing):
    """`xray_infer.prepare.prepare` in a child process: the same answers and the same errors, see `Prepare`.

    Raises ImageError also when the child crashes, and when it takes longer than `seconds`, upon which it
    is killed; the next call starts a new one. An exception in the child that is no ImageError is a bug and
    comes out as RuntimeError with the child's traceback. Raises XrayError when no child can be started.

    The child starts at the first call, ignores Ctrl-C, and ends with its parent, however that ends. Its
    memory is bounded, see `xray_infer.isolation.child`. One instance serves one thread at a time; close it,
    or use it as a context manager. `prepare` names the function that the child calls, "module:function".
    """

    def __init__(
        self,
        *,
        limits: Limits = DEFAULT_LIMITS,
        seconds: float = DEFAULT_DECODE_SECONDS,
        keep_pixels: bool = False,
        prepare: str = _PREPARE,
    ) -> None:
        self._limits, self._seconds = limits, seconds
        self._settings = {
            "limits": asdict(limits),
            "seconds": seconds,
            "keep_pixels": keep_pixels,
            "prepare": prepare,
        }
        self._most_pixels = limits.max_pixels if keep_pixels else 0
        self._child: _Child | None = None

    def __call__(self, data: bytes) -> Prepared:
        """Prepare one image. Raises ImageError."""
        if self._child is None:
            self._child = _Child(self._settings)
        try:
            answer = self._child.ask(data, seconds=self._seconds, most_pixels=self._most_pixels)
        except BaseException:
            self.close()  # an answer that is still on its way must not be taken for the next file's
            raise
        if self._child.expired:
            self.close()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """End the child, if there is one; the next call starts another."""
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """One process and its two pipes."""

    def __init__(self, settings: dict[str, object]) -> None:
        """Start it and wait until it is ready. Raises XrayError when it cannot be started."""
        command = [sys.executable, "-P", "-c", _BOOT, json.dumps({**settings, "path": sys.path})]
        try:
            # A process group of its own: Ctrl-C in a terminal is for the parent alone.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                process_group=0 if os.name == "posix" else None,
            )
        except OSError as error:
            raise XrayError(f"cannot start a process to decode in: {error.strerror}") from error
        self._requests = cast(RawIOBase, self._process.stdin)
        self._answers = cast(RawIOBase, self._process.stdout)
        self.expired = False
        try:
            with _Deadline(self._process, START_SECONDS):
                kind, *_ = ANSWER.unpack(read_exactly(self._answers, ANSWER.size))
        except EOFError:
            kind = None
        except BaseException:
            self.end()
            raise
        if kind != READY:
            raise XrayError(f"the process to decode in does not start: {self._how_it_ended()}")

    def ask(self, data: bytes, *, seconds: float, most_pixels: int) -> Prepared | Exception:
        """Send one file and return its answer; or the exception that the child sent.

        Raises ImageError when the child dies, does not answer within `seconds`, or answers nonsense: it
        is of no more use then. It is neither when the answer came and `expired` is true.
        """
        deadline = _Deadline(self._process, seconds)
        try:
            with deadline:
                write_all(self._requests, REQUEST.pack(len(data)))
                write_all(self._requests, data)
                return self._read_answer(most_pixels)
        except (OSError, EOFError) as error:
            if deadline.expired:
                raise ImageError(f"decoding took longer than {seconds:g} s") from error
            raise ImageError(f"the decoder crashed: {self._how_it_ended()}") from error
        finally:
            self.expired = deadline.expired

    def _read_answer(self, most_pixels: int) -> Prepared | Exception:
        kind, first, second = ANSWER.unpack(read_exactly(self._answers, ANSWER.size))
        if kind == PREPARED and first * second <= most_pixels and bool(first * second) == bool(most_pixels):
            model_input = np.frombuffer(read_exactly(self._answers, int(np.prod(INPUT_SHAPE))), np.uint8)
            pixels = None
            if most_pixels:
                pixels = np.frombuffer(read_exactly(self._answers, first * second), np.uint8)
                pixels = pixels.reshape(first, second)
            return Prepared(model_input.reshape(INPUT_SHAPE), pixels)
        if kind in (BUG, *FAILURES) and first == 0 and second <= MAX_TEXT:
            text = read_exactly(self._answers, second).decode("utf-8", "replace")
            if kind == BUG:
                return RuntimeError(f"a bug, in the process that decodes:\n{text}")
            return FAILURES[kind](text)
        raise ImageError("the decoder crashed: its process answered nonsense")

    def _how_it_ended(self) -> str:
        """Wait for the end of a process that has closed its pipe, and say how it came."""
        try:
            status = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            status = None
        self.end()
        if status is None:
            return "it closed its pipe"
        if status >= 0:
            return f"it ended with status {status}"
        if -status == signal.SIGKILL:
            return "SIGKILL, perhaps for want of memory"
        return next((one.name for one in signal.Signals if one == -status), f"signal {-status}")

    def end(self) -> None:
        """Kill the process, unless it has ended, and free what it held."""
        self._process.kill()
        self._process.wait()
        self._requests.close()
        self._answers.close()


class _Deadline:
    """A context: a process that is not done after `seconds` is killed, which ends every wait for its pipes.

    Works alike where pipes cannot be waited for with a time limit (Windows), and for writing, too.
    """

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self._process = process
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self.expired = False

    def _expire(self) -> None:
        self.expired = True
        self._process.kill()

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._timer.join()  # from here on `expired` does not change

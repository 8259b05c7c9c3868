"""The process that decodes, as its parent sees it: started, asked, waited for so long, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from io import RawIOBase
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

from xray_infer.errors import ImageError, XrayError
from xray_infer.images.isolation.protocol import (
    ANSWER,
    BUG,
    FAILURES,
    MAX_TEXT,
    READY,
    REQUEST,
    read_exactly,
    write_all,
)

# Time for the child to load its libraries: 0.3 s on a desktop, more from an SD card.
START_SECONDS: Final = 120.0

# The search path goes along, so that the child finds what its parent found; -P keeps out what lies in the
# current folder, which may be the very folder of hostile files.
_BOOT: Final = (
    "import json, sys; settings = json.loads(sys.argv[1]); sys.path[:] = settings.pop('path'); "
    "from xray_infer.images.isolation.child import main; main(**settings)"
)

Answer = TypeVar("Answer")
# The kind of an answer, its two numbers, and the stream with the rest, to what was asked for; None where that
# is no possible answer.
Read = Callable[[int, int, int, RawIOBase], Answer | None]


class Child:
    """One process and its two pipes."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Start it. Raises XrayError when it cannot be started."""
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

    def wait_until_ready(self) -> None:
        """Wait until it has loaded its libraries. Raises XrayError when it does not come so far."""
        try:
            with _Deadline(self._process, START_SECONDS):
                kind, *_ = ANSWER.unpack(read_exactly(self._answers, ANSWER.size))
        except EOFError:
            kind = None
        if kind != READY:
            raise XrayError(f"the process to decode in does not start: {self._how_it_ended()}")

    def ask(
        self, data: bytes, read: Read[Answer], *, seconds: float, side: int | None = None
    ) -> Answer | Exception:
        """Send one file and return its answer; or the exception that the child sent.

        Raises ImageError when the child dies, does not answer within `seconds`, or answers nonsense: it
        is of no more use then. It is neither when the answer came and `expired` is true.
        """
        deadline = _Deadline(self._process, seconds)
        try:
            with deadline:
                write_all(self._requests, REQUEST.pack(len(data), -1 if side is None else side))
                write_all(self._requests, data)
                return self._read_answer(read)
        except (OSError, EOFError) as error:
            if deadline.expired:
                raise ImageError(f"decoding took longer than {seconds:g} s") from error
            raise ImageError(f"the decoder crashed: {self._how_it_ended()}") from error
        finally:
            self.expired = deadline.expired

    def _read_answer(self, read: Read[Answer]) -> Answer | Exception:
        kind, first, second = ANSWER.unpack(read_exactly(self._answers, ANSWER.size))
        if kind in (BUG, *FAILURES) and first == 0 and second <= MAX_TEXT:
            text = read_exactly(self._answers, second).decode("utf-8", "replace")
            if kind == BUG:
                return RuntimeError(f"a bug, in the process that decodes:\n{text}")
            return FAILURES[kind](text)
        answer = read(kind, first, second, self._answers)
        if answer is None:
            raise ImageError("the decoder crashed: its process answered nonsense")
        return answer

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

    def kill(self) -> None:
        """Kill the process, from any thread: whoever waits for its answer sees its end."""
        self._process.kill()

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

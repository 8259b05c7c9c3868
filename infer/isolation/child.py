"""The process that decodes: answers its parent's requests one by one, and expects the worst of every file.

- What a library prints goes nowhere: descriptors 1 and 2 are the null device, the pipes have others.
- It ends at once with its parent: a thread waits for the pipe's end also while a file is being decoded.
  Should a decoder hold the interpreter's lock for ever, the system's alarm clock ends the process.
- Its address space is bounded on Linux (RLIMIT_AS): what it has after loading its libraries, and
  the least of `BYTES_PER_PIXEL` for each pixel of `max_pixels` with twice `max_file_bytes` and
  `HEADROOM`, and the memory of the machine. What goes beyond is an ImageError, or a crash in a library
  that does not look. When the machine's memory runs out all the same, Linux ends this process first.
- A crash leaves no core file.
"""

from __future__ import annotations

import importlib
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final

import cv2

from xray_infer.errors import ImageError
from xray_infer.isolation.protocol import (
    ANSWER,
    BUG,
    PREPARED,
    READY,
    REQUEST,
    failure,
    read_exactly,
    text_answer,
    write_all,
)
from xray_infer.limits import Limits
from xray_infer.prepare import Prepared, out_of_memory

# The dearest kind, 16-bit RGBA, holds 8 bytes a pixel as decoded and 4 as reduced, beside smaller ones.
BYTES_PER_PIXEL: Final = 24
# For threads, for libraries that are loaded late, for codecs' own tables.
HEADROOM: Final = 512 << 20

# The alarm clock rings so long after the parent would have killed this process, had it not died.
_GRACE_SECONDS: Final = 2.0


def main(*, limits: dict[str, float], seconds: float, keep_pixels: bool, prepare: str) -> None:
    """Serve until the parent closes the pipe. `prepare` is the function's name, "module:function"."""
    _ignore_interrupts()
    requests, answers = _take_pipes()
    bounds = Limits(**limits)  # type: ignore[arg-type]  # made from a Limits by the parent
    module, _, name = prepare.partition(":")
    function = getattr(importlib.import_module(module), name)
    cv2.setNumThreads(1)  # the parent's workers are the parallelism
    _bound_memory(bounds)
    _silence(2)
    write_all(answers, ANSWER.pack(READY, 0, 0))
    files: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, files), daemon=True).start()
    while True:
        data = files.get()
        _set_alarm(seconds + _GRACE_SECONDS)
        answer = _answer(lambda: function(data, limits=bounds, keep_pixels=keep_pixels))  # noqa: B023
        _set_alarm(0)
        write_all(answers, answer)


def _answer(prepare: Callable[[], Prepared]) -> bytes:
    try:
        done = prepare()
        height, width = (0, 0) if done.pixels is None else done.pixels.shape
        parts = [ANSWER.pack(PREPARED, height, width), done.input.tobytes()]
        if done.pixels is not None:
            parts.append(done.pixels.tobytes())
        return b"".join(parts)
    except ImageError as error:
        return failure(error)
    except MemoryError:  # by the copies above
        return failure(out_of_memory())
    except Exception:
        return text_answer(BUG, traceback.format_exc())


def _receive(requests: FileIO, files: queue.SimpleQueue[bytes]) -> None:
    """Take requests; end the process at once when the pipe ends, whatever it is doing."""
    try:
        while True:
            (length,) = REQUEST.unpack(read_exactly(requests, REQUEST.size))
            files.put(bytes(read_exactly(requests, length)))
    finally:
        os._exit(0)


def _take_pipes() -> tuple[FileIO, FileIO]:
    """Move the pipes away from descriptors 0 and 1, where decoders might read and print."""
    requests, answers = FileIO(os.dup(0), "r"), FileIO(os.dup(1), "w")
    _silence(0)
    _silence(1)
    return requests, answers


def _silence(descriptor: int) -> None:
    """Put the null device in a descriptor's place."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    os.close(null)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _set_alarm(seconds: float) -> None:
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _bound_memory(limits: Limits) -> None:
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return  # macOS takes a limit of the address space and does not keep to it
    with suppress(OSError):  # a container may close it
        Path("/proc/self/oom_score_adj").write_text("1000")
    page = os.sysconf("SC_PAGE_SIZE")
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * page
    asked = BYTES_PER_PIXEL * limits.max_pixels + 2 * limits.max_file_bytes + HEADROOM
    most = in_use + min(asked, os.sysconf("SC_PHYS_PAGES") * page)
    earlier = [one for one in resource.getrlimit(resource.RLIMIT_AS) if one != resource.RLIM_INFINITY]
    most = min([most, *earlier])
    resource.setrlimit(resource.RLIMIT_AS, (most, most))

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
from dataclasses import astuple
from io import FileIO
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ImageError
from xray_infer.images.decode import Prepared, out_of_memory
from xray_infer.images.gray import Picture
from xray_infer.images.isolation.protocol import (
    ANSWER,
    AREA,
    BUG,
    NO_AREA,
    PICTURE,
    PREPARED,
    READY,
    REQUEST,
    SCALE,
    STATION,
    failure,
    read_exactly,
    text_answer,
    write_all,
)
from xray_infer.images.limits import Limits
from xray_infer.images.preprocess import Preprocessing

# The dearest kind, 16-bit RGBA, holds 8 bytes a pixel as decoded and 4 as reduced, beside smaller ones: 18 in
# all at 200 megapixels, its file with it. Gray of 16 bits at full depth takes 4 (PNG) to 8 (DICOM).
BYTES_PER_PIXEL: Final = 24
# For threads, for libraries that are loaded late, for codecs' own tables.
HEADROOM: Final = 512 << 20

# The alarm clock rings so long after the parent would have killed this process, had it not died.
_GRACE_SECONDS: Final = 2.0


def main(*, limits: dict[str, float], seconds: float, function: str, given: dict[str, Any]) -> None:
    """Serve until the parent closes the pipe.

    `function` is the name of what takes a file's bytes, "module:function", `given` more arguments of it.
    """
    _ignore_interrupts()
    requests, answers = _take_pipes()
    bounds = Limits(**limits)  # type: ignore[arg-type]  # made from a Limits by the parent
    module, _, name = function.partition(":")
    called = getattr(importlib.import_module(module), name)
    if "preprocessing" in given:
        given = {**given, "preprocessing": Preprocessing(**given["preprocessing"])}
    cv2.setNumThreads(1)  # the parent's workers are the parallelism
    _bound_memory(bounds)
    _silence(2)
    write_all(answers, ANSWER.pack(READY, 0, 0))
    files: queue.SimpleQueue[tuple[bytes, int]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, files), daemon=True).start()

    def serve(data: bytes, side: int) -> None:
        """Answer one request; nothing of it stays in memory."""
        asked = given if side < 0 else {**given, "side": side}
        _set_alarm(seconds + _GRACE_SECONDS)
        parts = _answer(lambda: called(data, limits=bounds, **asked))
        _set_alarm(0)
        for part in parts:  # not joined: a large picture would be in memory twice
            write_all(answers, part)

    while True:
        serve(*files.get())


def _answer(prepare: Callable[[], Prepared | Picture]) -> list[bytes | memoryview]:
    """Return the parts of an answer, to be written one after the other."""
    try:
        done = prepare()
        if isinstance(done, Picture):
            kind = next(kind for kind, depth in PICTURE.items() if depth == done.values.dtype)
            head = ANSWER.pack(kind, *done.values.shape) + SCALE.pack(
                done.black, done.white, done.zero, done.unit
            )
            return [head, _bytes(done.values)]
        shape = (0, 0) if done.pixels is None else done.pixels.shape
        kept = [] if done.pixels is None else [_bytes(done.pixels)]
        area = NO_AREA if done.area is None else astuple(done.area)
        station = done.station.encode("utf-8", "backslashreplace")
        head = ANSWER.pack(PREPARED, *shape) + AREA.pack(*area) + STATION.pack(len(station)) + station
        return [head, _bytes(done.input), *kept]
    except ImageError as error:
        return [failure(error)]
    except MemoryError:  # by the copies above
        return [failure(out_of_memory())]
    except Exception:
        return [text_answer(BUG, traceback.format_exc())]


def _bytes(pixels: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(pixels).data


def _receive(requests: FileIO, files: queue.SimpleQueue[tuple[bytes, int]]) -> None:
    """Take requests; end the process at once when the pipe ends, whatever it is doing."""
    try:
        while True:
            length, side = REQUEST.unpack(read_exactly(requests, REQUEST.size))
            files.put((bytes(read_exactly(requests, length)), side))
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

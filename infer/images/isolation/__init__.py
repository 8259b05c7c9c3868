"""Decoding in a process of its own: a file that crashes or hangs its decoder costs its own row alone.

The child is started as a plain command, not by multiprocessing: that would import the caller's main script
again in every child, which a script without a `__main__` guard does not survive, and would keep a process
more for its bookkeeping. Nothing is inherited but a pipe each way.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict
from io import RawIOBase
from typing import Any, Final, Self

import numpy as np

from xray_infer.errors import ImageError, XrayError, one_line
from xray_infer.images.decode import Prepared
from xray_infer.images.gray import Picture
from xray_infer.images.isolation.parent import Answer, Child, Read
from xray_infer.images.isolation.protocol import (
    AREA,
    NO_AREA,
    PICTURE,
    PREPARED,
    SCALE,
    STATION,
    read_exactly,
)
from xray_infer.images.limits import DEFAULT_DECODE_SECONDS, DEFAULT_LIMITS, MOST_STATION, Limits
from xray_infer.images.preprocess import Area, Preprocessing

_PREPARE: Final = "xray_infer.images.decode:prepare"
_READ_PICTURE: Final = "xray_infer.images.decode:read_picture"


class _Isolated:
    """A function in a child process: the same answers and the same errors.

    Raises ImageError also when the child crashes, and when it takes longer than `seconds`, upon which it
    is killed; the next call starts a new one. An exception in the child that is no ImageError is a bug and
    comes out as RuntimeError with the child's traceback. Raises XrayError when no child can be started.

    The child starts at the first call, ignores Ctrl-C, and ends with its parent, however that ends. Its
    memory is bounded, see `xray_infer.images.isolation.child`. One instance serves one thread at a time;
    close it, or use it as a context manager. `close` and `stop` may be called from any thread: a call that
    waits in another raises ImageError at once.
    """

    def __init__(self, function: str, given: Mapping[str, Any], limits: Limits, seconds: float) -> None:
        self._limits, self._seconds = limits, seconds
        self._settings = {
            "limits": asdict(limits),
            "seconds": seconds,
            "function": function,
            "given": dict(given),
        }
        self._lock = threading.RLock()  # of what follows; never held while a child is waited for
        self._child: Child | None = None
        self._asking = False
        self._closed = 0  # so often
        self._stopped = False

    def _ask(self, data: bytes, read: Read[Answer], side: int | None = None) -> Answer:
        """Return what the function makes of a file. Raises ImageError."""
        closed = self._closed
        spent = True  # an answer that is still on its way must not be taken for the next file's
        try:
            self._asking = True
            child = self._started(closed)
            answer = child.ask(data, read, seconds=self._seconds, side=side)
            spent = child.expired
        except XrayError as error:
            if self._closed != closed:  # which is why it died
                raise _stopped() from error
            raise
        finally:
            with self._lock:
                self._asking = False
                if spent or self._closed != closed:
                    self._end()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _started(self, closed: int) -> Child:
        """Return a child that is ready. Raises ImageError once it was closed more often than `closed`."""
        with self._lock:
            if self._stopped or self._closed != closed:
                raise _stopped()
            if self._child is not None:
                return self._child
            child = self._child = Child(self._settings)
        child.wait_until_ready()
        return child

    def stop(self) -> None:
        """Close it for ever: every later call raises ImageError."""
        self._stopped = True
        self.close()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it, however the block ends."""
        self.close()

    def close(self) -> None:
        """End the child, if there is one; the next call starts another."""
        with self._lock:
            self._closed += 1
            if not self._asking:
                self._end()
            elif self._child is not None:
                self._child.kill()  # the call that waits for it frees what it held

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


def _stopped() -> ImageError:
    return ImageError("decoding was stopped")


class IsolatedPrepare(_Isolated):
    """`xray_infer.images.decode.prepare` in a child process, see `_Isolated` and `Prepare`.

    `prepare` names the function that the child calls, "module:function".
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        *,
        limits: Limits = DEFAULT_LIMITS,
        seconds: float = DEFAULT_DECODE_SECONDS,
        keep_pixels: bool = False,
        prepare: str = _PREPARE,
    ) -> None:
        given = {"preprocessing": asdict(preprocessing), "keep_pixels": keep_pixels}
        super().__init__(prepare, given, limits, seconds)
        self._shape = preprocessing.shape
        self._most_pixels = limits.max_pixels if keep_pixels else 0

    def __call__(self, data: bytes) -> Prepared:
        """Prepare one image. Raises ImageError."""
        return self._ask(data, self._read)

    def _read(self, kind: int, height: int, width: int, stream: RawIOBase) -> Prepared | None:
        size, kept = height * width, self._most_pixels > 0
        if kind != PREPARED or size > self._most_pixels or (size > 0) != kept:
            return None
        edges = AREA.unpack(read_exactly(stream, AREA.size))
        left, top, right, bottom = edges
        if edges != NO_AREA and not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            return None
        (length,) = STATION.unpack(read_exactly(stream, STATION.size))
        if length > 4 * MOST_STATION:
            return None
        station = one_line(read_exactly(stream, length).decode("utf-8", "replace"), longest=MOST_STATION)
        model_input = np.frombuffer(read_exactly(stream, int(np.prod(self._shape))), np.uint8)
        pixels = None
        if kept:
            pixels = np.frombuffer(read_exactly(stream, size), np.uint8).reshape(height, width)
        area = None if edges == NO_AREA else Area(*edges)
        return Prepared(model_input.reshape(self._shape), area, pixels, station)


class IsolatedPicture(_Isolated):
    """`xray_infer.images.decode.read_picture` in a child process, see `_Isolated`.

    `function` names what the child calls, "module:function".
    """

    def __init__(
        self,
        *,
        limits: Limits = DEFAULT_LIMITS,
        seconds: float = DEFAULT_DECODE_SECONDS,
        function: str = _READ_PICTURE,
    ) -> None:
        super().__init__(function, {}, limits, seconds)

    def __call__(self, data: bytes, *, side: int = 0) -> Picture:
        """Decode one image to be looked at; `side` as in `read_picture`. Raises ImageError."""
        return self._ask(data, self._read, side)

    def _read(self, kind: int, height: int, width: int, stream: RawIOBase) -> Picture | None:
        if kind not in PICTURE or not 0 < height * width <= self._limits.max_pixels:
            return None
        depth = PICTURE[kind]
        scale = black, white, _, unit = SCALE.unpack(read_exactly(stream, SCALE.size))
        if not (np.isfinite(scale).all() and black < white and unit):
            return None
        values = np.frombuffer(read_exactly(stream, height * width * depth.itemsize), depth)
        return Picture(values.reshape(height, width), *scale)

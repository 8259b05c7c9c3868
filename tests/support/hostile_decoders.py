"""Stands in for decoders that hostile files exploit: the "image" says what is to go wrong.

Called in the child process of `IsolatedPrepare` as "hostile_decoders:obey", of `IsolatedPicture` as
"hostile_decoders:obey_picture"; real images are prepared, or read.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable

import numpy as np

from xray_infer.errors import ImageError, ReadError, RejectedError
from xray_infer.images.decode import Prepared, prepare, read_picture
from xray_infer.images.gray import Picture
from xray_infer.images.isolation.protocol import ANSWER, AREA, BUG, PICTURE, PREPARED, SCALE
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.images.preprocess import Preprocessing

KINDS = {depth.itemsize: kind for kind, depth in PICTURE.items()}  # by bytes a value


class OddError(RejectedError):
    """A class that the protocol does not know."""


def obey(data: bytes, *, preprocessing: Preprocessing, limits: Limits, keep_pixels: bool) -> Prepared:
    order = ORDERS.get(data)
    if order is not None:
        order()
    return prepare(data, preprocessing, limits=limits, keep_pixels=keep_pixels)


def obey_picture(data: bytes, *, limits: Limits, side: int) -> Picture:
    order = ORDERS.get(data)
    if order is not None:
        order()
    return read_picture(data, limits=limits, side=side)


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _killed_for_memory() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _overrun() -> None:
    ctypes.string_at(0)


def _hang() -> None:
    time.sleep(1000)


def _hang_with_lock() -> None:
    ctypes.PyDLL(None).sleep(1000)  # unlike CDLL, this keeps the interpreter's lock


def _exit() -> None:
    sys.exit(3)


def _ask_for_a_terabyte() -> None:
    np.ones(1 << 40, np.uint8)


def _eat_address_space() -> None:
    eaten = [np.empty(64 << 20, np.uint8) for _ in range(100_000)]
    raise AssertionError(len(eaten))


def _print() -> None:
    for descriptor in (0, 1, 2):
        os.write(descriptor, b"rubbish\n" * 1000)
    print("rubbish", flush=True)
    print("rubbish", file=sys.stderr, flush=True)
    assert os.read(0, 1) == b""
    raise ImageError("printed")


def _raise(error: Exception) -> None:
    raise error


def _write_picture(
    height: int, width: int, *, bytes_each: int = 2, ends: tuple[float, float] = (0, 1), unit: float = 1.0
) -> None:
    _write_everywhere(
        ANSWER.pack(KINDS[bytes_each], height, width) + SCALE.pack(*ends, 0.0, unit) + b"part of it"
    )


def _write_area(*edges: float) -> None:
    """Answer an input of `edges`, left, top, right and bottom."""
    _write_everywhere(ANSWER.pack(PREPARED, 0, 0) + AREA.pack(*edges) + b"part of it")


def _write_everywhere(answer: bytes) -> None:
    """Take the pipe over, as injected code would."""
    for descriptor in range(3, 16):
        try:
            os.write(descriptor, answer)
        except OSError:
            continue
    time.sleep(1000)


ORDERS: dict[bytes, Callable[[], object]] = {
    b"crash": _crash,
    b"overrun": _overrun,
    b"killed": _killed_for_memory,
    b"hang": _hang,
    b"hang with lock": _hang_with_lock,
    b"exit": _exit,
    b"terabyte": _ask_for_a_terabyte,
    b"eat": _eat_address_space,
    b"print": _print,
    b"bug": lambda: _raise(ValueError("a bug of ours")),
    b"image error": lambda: _raise(ImageError('odd text: é, \udce9, \n, "')),
    b"read error": lambda: _raise(ReadError("gone")),
    b"rejected": lambda: _raise(RejectedError("a photograph")),
    b"odd": lambda: _raise(OddError("a subclass")),
    b"pid": lambda: _raise(ImageError(str(os.getpid()))),
    b"modules": lambda: _raise(ImageError(" ".join(sys.modules))),
    b"nonsense": lambda: _write_everywhere(b"\xff" * ANSWER.size),
    b"giant": lambda: _write_everywhere(ANSWER.pack(PREPARED, 0xFFFFFFFF, 0xFFFFFFFF)),
    b"unwanted pixels": lambda: _write_everywhere(ANSWER.pack(PREPARED, 100, 100)),
    b"long text": lambda: _write_everywhere(ANSWER.pack(BUG, 0, 0xFFFFFFFF)),
    b"area without a width": lambda: _write_area(0.5, 0, 0.5, 1),
    b"area turned round": lambda: _write_area(0, 0.75, 1, 0.25),
    b"area beside the picture": lambda: _write_area(-0.25, 0, 0.5, 1),
    b"area below the picture": lambda: _write_area(0, 0, 1, 1.25),
    b"area of no number": lambda: _write_area(0, float("nan"), 1, 1),
    b"area without end": lambda: _write_area(0, 0, float("inf"), 1),
    b"giant picture": lambda: _write_picture(0xFFFFFFFF, 0xFFFFFFFF),
    b"picture over the limit": lambda: _write_picture(1, DEFAULT_LIMITS.max_pixels + 1),
    b"flat picture over the limit": lambda: _write_picture(2, DEFAULT_LIMITS.max_pixels, bytes_each=1),
    b"empty picture": lambda: _write_picture(0, 9),
    b"picture without a scale": lambda: _write_picture(3, 3, ends=(5.0, 5.0)),
    b"picture turned round": lambda: _write_picture(3, 3, ends=(5.0, 4.0)),
    b"picture of no number": lambda: _write_picture(3, 3, ends=(0.0, float("nan"))),
    b"picture without a unit": lambda: _write_picture(3, 3, unit=0.0),
    b"picture without end": lambda: _write_picture(3, 3, ends=(0.0, float("inf"))),
    b"half a picture": lambda: _write_picture(100, 100),
    b"half an answer": lambda: _write_everywhere(ANSWER.pack(PREPARED, 0, 0) + b"half"),
}

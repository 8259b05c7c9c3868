"""What the two processes say to each other: bytes of a fixed shape, never a pickle.

A decoder taken over by a hostile file could write anything into its pipe. The parent therefore reads only
three integers, checks them against the limits, and then so many bytes of pixels or of text.

    request   <Qi  length of the image file, and the side that `read_picture` is to keep, -1 where it is not
                   for `read_picture`; then the file
    answer    <BII kind, and two numbers             then what the kind says
                   PREPARED      height and width of the kept pixels, 0 and 0 for none; the area, <dddd, or
                                 NO_AREA; the length of the station's name, <H, and the name in UTF-8; the
                                 model's input, then the pixels, one byte each
                   a PICTURE     height and width; black, white, zero and unit, <dddd; the values, of one
                                 or two bytes each, in the machine's byte order
                   READY         0, 0: the process has loaded its libraries (once, before any request)
                   a failure     0, length of the text; the text in UTF-8
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from io import RawIOBase
from typing import Any, Final

import numpy as np

from xray_infer.errors import ImageError, ReadError, RejectedError

REQUEST: Final = struct.Struct("<Qi")
ANSWER: Final = struct.Struct("<BII")
SCALE: Final = struct.Struct("<dddd")
AREA: Final = struct.Struct("<dddd")  # left, top, right and bottom
STATION: Final = struct.Struct("<H")
NO_AREA: Final = (0.0, 0.0, 0.0, 0.0)  # the whole picture

READY: Final = 0
PREPARED: Final = 1
BUG: Final = 2  # any exception but an ImageError; the text is its traceback
FAILURES: Final[dict[int, type[ImageError]]] = {3: ImageError, 4: ReadError, 5: RejectedError}
PICTURE: Final[Mapping[int, np.dtype[Any]]] = {6: np.dtype(np.uint8), 7: np.dtype(np.uint16)}

MAX_TEXT: Final = 1 << 16


def write_all(stream: RawIOBase, data: bytes | memoryview) -> None:
    """Write every byte to an unbuffered stream. Raises OSError when the other side is gone."""
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[stream.write(rest) :]


def read_exactly(stream: RawIOBase, size: int) -> bytearray:
    """Read `size` bytes from an unbuffered stream. Raises EOFError when it ends before."""
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        count = stream.readinto(rest)
        if not count:
            raise EOFError
        rest = rest[count:]
    return data


def failure(error: ImageError) -> bytes:
    """Return the answer that carries an ImageError: its class, or the nearest that is known, and its text."""
    kinds = {kind: number for number, kind in FAILURES.items()}
    return text_answer(next(kinds[kind] for kind in type(error).__mro__ if kind in kinds), str(error))


def text_answer(kind: int, text: str) -> bytes:
    """Return an answer that carries a text; of a very long one the end, where a traceback says what it is."""
    encoded = text.encode("utf-8", "backslashreplace")[-MAX_TEXT:]
    return ANSWER.pack(kind, 0, len(encoded)) + encoded

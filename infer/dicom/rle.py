"""The bounds of an RLE frame (PS3.5 annex G), which pydicom unpacks to whatever length its runs say.

Two bytes can stand for 128, so that a frame that says nothing of its size can be 64 times as large as it.
"""

from __future__ import annotations

import struct
from typing import Final

from xray_infer.errors import ImageError

_HEADER: Final = "<16I"  # the number of segments, where each begins
_PADDING: Final = 1024


def check_runs(frame: bytes, plane: int) -> None:
    """Raise ImageError for a frame with a segment that unpacks to less than a plane of bytes, or far more."""
    try:
        count, *starts = struct.unpack_from(_HEADER, frame)
    except struct.error as error:
        raise ImageError("truncated DICOM: its RLE header is cut short") from error
    if not 1 <= count <= len(starts):
        raise ImageError(f"damaged DICOM: {count} RLE segments")
    starts = starts[:count]
    for start, end in zip(starts, [*starts[1:], len(frame)], strict=True):
        length = unpacked_length(frame[start:end], at_most=2 * plane + _PADDING)
        if length < plane:
            raise ImageError("truncated DICOM: an RLE segment is shorter than its plane")
        if length > 2 * plane + _PADDING:
            raise ImageError("damaged DICOM: an RLE segment unpacks to far more than its plane")


def unpacked_length(segment: bytes, *, at_most: int) -> int:
    """Return the length that a segment unpacks to, without unpacking it; no further than `at_most`."""
    position, length, end = 0, 0, len(segment)
    while position < end and length <= at_most:
        control = segment[position]
        if control < 128:  # that many bytes and one more, as they are
            length += min(control + 1, end - position - 1)
            position += control + 2
        elif control > 128:  # the next byte, so often
            length += 257 - control if position + 1 < end else 0
            position += 2
        else:
            position += 1
    return length

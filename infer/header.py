"""What an image file says before its pixels are decoded: format, size, whether it is complete.

Formats are told by content, not by suffix: a new one is a file in `xray_infer.formats` and a line here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

from xray_infer.errors import ImageError
from xray_infer.formats import Header, tiff
from xray_infer.formats.bmp import read_bmp
from xray_infer.formats.dicom import is_dicom
from xray_infer.formats.jpeg import read_jpeg
from xray_infer.formats.png import SIGNATURE, read_png
from xray_infer.formats.tiff import read_tiff
from xray_infer.formats.webp import read_webp
from xray_infer.limits import DEFAULT_LIMITS, Limits


def _starts(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(signatures)


def _is_webp(data: bytes) -> bool:
    return data.startswith(b"RIFF") and data[8:12] == b"WEBP"


def _read_dicom(data: bytes, limits: Limits) -> Header:
    return Header("dicom")


_Reader = tuple[str, Callable[[bytes], bool], Callable[[bytes, Limits], Header]]
_READERS: Final[Sequence[_Reader]] = (
    # First: the 128 bytes before a DICOM file's signature may be another format's header.
    ("DICOM", is_dicom, _read_dicom),
    ("JPEG", _starts(b"\xff\xd8\xff"), read_jpeg),
    ("PNG", _starts(SIGNATURE), read_png),
    ("WebP", _is_webp, read_webp),
    ("TIFF", _starts(*tiff.SIGNATURES), read_tiff),
    ("BMP", _starts(b"BM"), read_bmp),
)


def read_header(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Identify an image file from its bytes and see that it is whole.

    Raises ImageError for an empty, truncated, over-large or unknown file, RejectedError for one that holds
    several pictures.
    """
    if not data:
        raise ImageError("the file is empty")
    for name, is_it, read in _READERS:
        if is_it(data):
            try:
                return read(data, limits)
            except struct.error as error:  # the reader ran off the end of the bytes
                raise ImageError(f"truncated {name}: it ends inside its header") from error
    known = ", ".join(sorted(name for name, _, _ in _READERS))
    raise ImageError(f"not an image of a known format ({known})")

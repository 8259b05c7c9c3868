"""What an image file says before its pixels are decoded: format, size, whether it is complete.

A new format is a file in `xray_infer.images.formats`, a line here and one in `xray_infer.images.magic`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from xray_infer.errors import ImageError
from xray_infer.images.formats import Header
from xray_infer.images.formats.bmp import read_bmp
from xray_infer.images.formats.jpeg import read_jpeg
from xray_infer.images.formats.png import read_png
from xray_infer.images.formats.tiff import read_tiff
from xray_infer.images.formats.webp import read_webp
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.images.magic import HEAD_BYTES, image_format


def _read_dicom(data: bytes, limits: Limits) -> Header:
    return Header("dicom")


_READERS: Final[Mapping[str, tuple[str, Callable[[bytes, Limits], Header]]]] = {
    "jpeg": ("JPEG", read_jpeg),
    "png": ("PNG", read_png),
    "webp": ("WebP", read_webp),
    "tiff": ("TIFF", read_tiff),
    "bmp": ("BMP", read_bmp),
    "dicom": ("DICOM", _read_dicom),
}


def read_header(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Identify an image file from its bytes and see that it is whole.

    Raises ImageError for an empty, truncated, over-large or unknown file, RejectedError for one that holds
    several pictures.
    """
    if not data:
        raise ImageError("the file is empty")
    found = image_format(data[:HEAD_BYTES])
    if found is None:
        known = ", ".join(name for name, _ in _READERS.values())
        raise ImageError(f"not an image of a known format ({known})")
    name, read = _READERS[found]
    try:
        return read(data, limits)
    except struct.error as error:  # the reader ran off the end of the bytes
        raise ImageError(f"truncated {name}: it ends inside its header") from error

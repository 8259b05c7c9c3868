"""Formats told by their first bytes, never by a file's name: the one place that knows them.

References: ITU-T T.81 (JPEG), W3C PNG, TIFF 6.0 and BigTIFF, RFC 9649 (WebP), the Windows BITMAPFILEHEADER;
for DICOM see `xray_infer.images.formats.dicom`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from xray_infer.images.formats import png, tiff
from xray_infer.images.formats.dicom import is_dicom

HEAD_BYTES: Final = 4096  # what DICOM without its preamble may need; a disk reads no less

# "BM" alone begins many a text; the size of the header that follows has few values.
_BMP_HEADER_SIZES: Final = frozenset((12, 16, 40, 52, 56, 64, 108, 124))


def _is_bmp(head: bytes) -> bool:
    return head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES


# First DICOM: the 128 bytes before its signature may be the head of a TIFF.
_TESTS: Final[Mapping[str, Callable[[bytes], bool]]] = {
    "dicom": is_dicom,
    "jpeg": lambda head: head.startswith(b"\xff\xd8\xff"),
    "png": lambda head: head.startswith(png.SIGNATURE),
    "webp": lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP",
    "tiff": lambda head: head.startswith(tiff.SIGNATURES),
    "bmp": _is_bmp,
}


def image_format(head: bytes) -> str | None:
    """Return jpeg, png, webp, tiff, bmp or dicom from a file's first HEAD_BYTES bytes; None for no image."""
    return next((name for name, is_it in _TESTS.items() if is_it(head)), None)

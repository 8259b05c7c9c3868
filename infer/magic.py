"""Formats told by their first bytes, never by a file's name.

References: ITU-T T.81 (JPEG), W3C PNG, TIFF 6.0 and BigTIFF, RFC 9649 (WebP), the Windows BITMAPFILEHEADER,
DICOM PS3.10 section 7.1 (a preamble of 128 bytes, then DICM).
"""

from __future__ import annotations

from typing import Final

HEAD_BYTES: Final = 132  # what DICOM, the longest, needs

_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
)
# "BM" alone begins many a text; the size of the header that follows has few values.
_BMP_HEADER_SIZES: Final = frozenset((12, 16, 40, 52, 56, 64, 108, 124))


def image_format(head: bytes) -> str | None:
    """Return jpeg, png, webp, tiff, bmp or dicom from a file's first HEAD_BYTES bytes; None for no image."""
    if head[128:132] == b"DICM":  # first: the preamble may be the head of a TIFF
        return "dicom"
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"
    return None

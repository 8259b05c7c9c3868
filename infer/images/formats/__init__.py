"""What each file format says of a picture before its pixels are decoded; one file a format.

A reader takes the bytes and the limits, walks the file's structure without unpacking anything, and returns
a `Header` or raises ImageError: for a size over the limit, for a file that is cut short, for a kind of
picture that the decoder would get wrong. Running off the end of the bytes (struct.error) means a cut file;
`xray_infer.images.header` says so, once for all readers.
"""

from __future__ import annotations

from dataclasses import dataclass

from xray_infer.errors import ImageError
from xray_infer.images.limits import Limits


@dataclass(frozen=True, slots=True)
class Header:
    """`format` is one of jpeg, png, webp, tiff, bmp, dicom; a DICOM file's size is read with the file itself.

    The others say what the decoder leaves to be done: `orientation` is EXIF's, 1 to 8; `straight_alpha`
    that a fourth channel is yet to be applied; `white_is_zero` that the scale is yet to be turned round;
    `transparent` is the gray level, as decoded, that stands for no picture at all.
    """

    format: str
    width: int = 0
    height: int = 0
    orientation: int = 1
    straight_alpha: bool = False
    white_is_zero: bool = False
    transparent: int | None = None


def check_size(width: int, height: int, limits: Limits) -> None:
    """Raise ImageError for a picture without pixels or with more than `limits.max_pixels`."""
    if width < 1 or height < 1:
        raise ImageError(f"damaged header: a picture of {width} x {height} pixels")
    if width * height > limits.max_pixels:
        raise ImageError(f"{width} x {height} pixels; the limit is {limits.max_pixels:,}")

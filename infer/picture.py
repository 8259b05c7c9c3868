"""An image to be looked at, at the depth that its file has: what is shown is chosen afterwards, by a window.

The model's input is made by `decode` alone, of 8 bits. Here the same pixels stay as deep as they were stored,
and what the file's own window would clip is kept, so that a person can look at it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xray_infer.decode import dicom_extra, full_scale, shown, stored, upright
from xray_infer.header import read_header
from xray_infer.limits import DEFAULT_LIMITS, Limits

Values = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """`values`: uint8 or uint16 [H, W], the larger the brighter.

    `black` and `white` > `black`: the values that are shown as 0 and 255, with a straight line between;
    either may lie beyond what the values' type holds. So shown, it is what `decode` gives, within one gray
    level.

    A value v stands for `zero` + `unit` * v in the file's own measure: in a DICOM file its physical values,
    which its window is given in, else the stored ones. `unit` is negative where the smaller are brighter.
    """

    values: Values
    black: float
    white: float
    zero: float = 0.0
    unit: float = 1.0


def read_picture(data: bytes, *, side: int = 0, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Decode an image file at its full depth; `side` and errors are those of `decode`.

    Colour, and what has transparency, is turned to gray of 8 bits.
    """
    header = read_header(data, limits=limits)
    if header.format == "dicom":
        with dicom_extra():
            from xray_infer.dicom.reading import read_dicom_picture
        return read_dicom_picture(data, limits)
    pixels = stored(data, header, side=side)
    if pixels.ndim == 2 and pixels.dtype == np.uint16:
        white = full_scale(pixels)
        if header.white_is_zero:
            values = upright(np.uint16(white) - pixels, header.orientation)
            return Picture(values, 0.0, float(white), zero=float(white), unit=-1.0)
        return Picture(upright(pixels, header.orientation), 0.0, float(white))
    return Picture(shown(pixels, header), 0.0, 255.0)

"""A DICOM file's bytes to pixels: the steps of this package, in order."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ImageError, one_line
from xray_infer.images.dicom.acceptance import check_acceptable
from xray_infer.images.dicom.attributes import Attributes, read_attributes
from xray_infer.images.dicom.container import open_container
from xray_infer.images.dicom.display import to_display, to_picture
from xray_infer.images.dicom.pixels import stored_pixels
from xray_infer.images.gray import Picture
from xray_infer.images.limits import MOST_STATION, Limits

STATION: Final = ("Manufacturer", "ManufacturerModelName", "StationName")


def decode_dicom(data: bytes, limits: Limits) -> tuple[NDArray[np.uint8], str]:
    """Decode a DICOM file to gray `uint8 [H, W]`, black at 0, and say which station took it.

    Raises RejectedError for what is by its own account not one frontal radiograph of a chest, ImageError
    for what cannot be decoded in full.
    """
    attributes = _acceptable(data, limits)
    return to_display(stored_pixels(attributes, limits), attributes), station_of(attributes)


def station_of(attributes: Attributes) -> str:
    """Return manufacturer, model and name of the device, in capitals; what the file does not say is left out.

    It is never longer than MOST_STATION characters. A damaged value costs nothing but itself.
    """
    parts = []
    for keyword in STATION:
        with suppress(ImageError):
            parts.append(attributes.text(keyword))
    return one_line(" ".join(filter(None, parts)), longest=MOST_STATION)


def read_dicom_picture(data: bytes, limits: Limits) -> Picture:
    """Decode a DICOM file to be looked at, with what its window clips. Raises as `decode_dicom` does."""
    attributes = _acceptable(data, limits)
    return to_picture(stored_pixels(attributes, limits), attributes)


def _acceptable(data: bytes, limits: Limits) -> Attributes:
    attributes = read_attributes(open_container(data, limits))
    check_acceptable(attributes)
    return attributes

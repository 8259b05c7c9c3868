"""A DICOM file's bytes to gray pixels: the steps of this package, in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xray_infer.dicom.acceptance import check_acceptable
from xray_infer.dicom.attributes import read_attributes
from xray_infer.dicom.container import open_container
from xray_infer.dicom.display import to_display
from xray_infer.dicom.pixels import stored_pixels
from xray_infer.limits import Limits


def decode_dicom(data: bytes, limits: Limits) -> NDArray[np.uint8]:
    """Decode a DICOM file to gray `uint8 [H, W]`, black at 0.

    Raises RejectedError for what is by its own account not one frontal radiograph of a chest, ImageError
    for what cannot be decoded in full.
    """
    attributes = read_attributes(open_container(data, limits))
    check_acceptable(attributes)
    return to_display(stored_pixels(attributes, limits), attributes)

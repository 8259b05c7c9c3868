"""What must hold of every picture: shown by its own black and white, it is what `decode` gives."""

from __future__ import annotations

import numpy as np

from xray_infer.images.decode import decode, read_picture
from xray_infer.images.gray import Picture


def shown(picture: Picture) -> np.ndarray:
    values = picture.values.astype(np.float64)
    return np.clip(np.rint(255 * (values - picture.black) / (picture.white - picture.black)), 0, 255)


def check(picture: Picture, expected: np.ndarray) -> None:
    assert -np.inf < picture.black < picture.white < np.inf
    assert picture.values.shape == expected.shape
    assert picture.values.flags.c_contiguous
    if picture.values.dtype == np.uint8:
        assert np.array_equal(picture.values, expected)
        assert (picture.black, picture.white) == (0, 255)
    else:
        assert picture.values.dtype == np.uint16
        assert np.abs(shown(picture) - expected).max() <= 1


def checked(data: bytes) -> Picture:
    """The picture, once it is seen to be shown as `decode` gives it."""
    picture = read_picture(data)
    check(picture, decode(data, side=0))
    return picture

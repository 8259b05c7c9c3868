"""A picture's stored values, each worked on once and then looked up; a million pixels at a time."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.decode import Depth

_AT_ONCE: Final = 1 << 20  # pixels looked up in one go: NumPy makes 8 bytes of each index


def occurring(stored: NDArray[Any]) -> NDArray[Any]:
    """Return the values that occur, each once [N], in the type of `stored`: 8 or 16 bit integers."""
    codes = _codes(stored)
    occurs = np.zeros(1 << 8 * codes.itemsize, bool)
    for part in _parts(codes):
        occurs[codes[part]] = True
    return np.flatnonzero(occurs).astype(codes.dtype).view(stored.dtype)


def look_up(stored: NDArray[Any], values: NDArray[Any], found: NDArray[Depth]) -> NDArray[Depth]:
    """Return `found` [N], what was made of `values` [N], in each of their places in `stored`."""
    codes = _codes(stored)
    table = np.zeros(1 << 8 * codes.itemsize, found.dtype)
    table[_codes(values)] = found
    seen = np.empty(codes.shape, found.dtype)
    for part in _parts(codes):
        seen[part] = table[codes[part]]
    return seen.reshape(stored.shape)


def _codes(values: NDArray[Any]) -> NDArray[Any]:
    """Return their bits, as unsigned integers, in one row."""
    return values.view(np.uint8 if values.dtype.itemsize == 1 else np.uint16).reshape(-1)


def _parts(codes: NDArray[Any]) -> list[slice]:
    return [slice(start, start + _AT_ONCE) for start in range(0, codes.size, _AT_ONCE)]

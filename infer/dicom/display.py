"""Stored values to gray as a viewer shows it: modality LUT, VOI, polarity (PS3.3 C.11, C.8.11.3).

Every step maps a value to a value, so they are worked out once for each value that occurs, at most 65,536, by
pydicom's own functions in their full precision; the picture then only looks its values up. That is exact, and
a picture of floats never exists.

- VOI LUT sequence before window, the first of several; a window of no width is none.
- Without either: values of more than 8 bits are spread from the smallest that occurs to the largest. Raw
  radiographs use a part of their range, and what other files of such pictures show (the PNG and JPEG that the
  model was trained on) was spread or windowed. Padding does not count. 8 bits and fewer keep their range.
- MONOCHROME1 is turned round last and once. PresentationLUTShape says the same in other words (C.8.11.3.1.2:
  INVERSE for MONOCHROME1) and is not looked at.
"""

from __future__ import annotations

from copy import copy
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi, apply_windowing

from xray_infer.decode import to_gray
from xray_infer.dicom.attributes import Attributes
from xray_infer.dicom.guard import guarded
from xray_infer.errors import ImageError

_AT_ONCE: Final = 1 << 20  # pixels looked up in one go: NumPy makes 8 bytes of each index

_LARGEST: Final = 1e30  # of pixels in any unit; far from where sums overflow

Values = NDArray[np.int64]
Floats = NDArray[np.float64]


def to_display(stored: NDArray[Any], attributes: Attributes) -> NDArray[np.uint8]:
    """Turn stored values, 8 or 16 bit integers [H, W] or RGB [H, W, 3], into gray `uint8 [H, W]`.

    Raises ImageError for look-up tables that cannot be applied.
    """
    if stored.ndim == 3:
        return to_gray(stored[..., ::-1])
    codes = stored.view(np.uint8 if stored.dtype.itemsize == 1 else np.uint16).reshape(-1)
    parts = [slice(start, start + _AT_ONCE) for start in range(0, codes.size, _AT_ONCE)]
    occurs = np.zeros(1 << 8 * codes.itemsize, bool)
    for part in parts:
        occurs[codes[part]] = True
    occurring = np.flatnonzero(occurs).astype(codes.dtype)
    values = occurring.view(stored.dtype)
    palette = attributes.text("PhotometricInterpretation") == "PALETTE COLOR"
    table = np.zeros(occurs.size, np.uint8)
    table[occurring] = _colours(values, attributes) if palette else _grays(values, attributes)
    gray = np.empty(codes.shape, np.uint8)
    for part in parts:
        gray[part] = table[codes[part]]
    return gray.reshape(stored.shape)


def _colours(values: NDArray[Any], attributes: Attributes) -> NDArray[np.uint8]:
    with guarded("its palette"):
        colours = apply_color_lut(values[None], attributes.dataset)
    gray: NDArray[np.uint8] = to_gray(np.ascontiguousarray(colours[..., 2::-1])).reshape(-1)
    return gray


def _grays(values: NDArray[Any], attributes: Attributes) -> NDArray[np.uint8]:
    whole = values.astype(np.int64)
    shown, low, high = _shown(whole, attributes)
    _check_numbers(np.append(shown, [low, high]), "window")
    # One value all over has no scale.
    shares = np.clip((shown - low) / (high - low), 0, 1) if low != high else np.zeros(len(shown))
    gray = np.rint(255 * shares).astype(np.uint8)
    return 255 - gray if attributes.text("PhotometricInterpretation") == "MONOCHROME1" else gray


def _shown(values: Values, attributes: Attributes) -> tuple[Floats, float, float]:
    """Return what each value is shown as, and which of these is black and which white."""
    physical = _physical(values, attributes)
    if _has_look_up_table(attributes):
        return _looked_up(physical, attributes)
    if _has_window(attributes):
        with guarded("its window"):
            # What lies beyond either end shows what the window makes black and white.
            ends = np.array([-np.inf, np.inf])
            shown = apply_windowing(np.concatenate([physical, ends]), attributes.dataset)
        low, high = shown[-2:].tolist()
        return shown[:-2], low, high
    bits = attributes.integer("BitsStored", attributes.integer("BitsAllocated"))
    if bits <= 8:
        first = -(1 << bits - 1) if attributes.integer("PixelRepresentation", 0) else 0
        spread = _physical(np.arange(first, first + (1 << bits)), attributes)
    else:
        kept = ~_is_padding(values, attributes)
        spread = physical[kept] if kept.any() else physical
    return physical, float(spread.min()), float(spread.max())


def _physical(values: Values, attributes: Attributes) -> Floats:
    with guarded("its modality look-up table"):
        physical = np.asarray(apply_modality_lut(values, attributes.dataset), np.float64)
    _check_numbers(physical, "rescaling")
    return physical


def _check_numbers(values: Floats, source: str) -> None:
    # NaN compares false.
    if not (np.abs(values) < _LARGEST).all():
        raise ImageError(f"damaged DICOM: its {source} gives what is not a number, or none of a picture")


def _has_look_up_table(attributes: Attributes) -> bool:
    with guarded("its VOI look-up table"):
        items = attributes.dataset.get("VOILUTSequence")
        return bool(items) and None not in (items[0].get("LUTDescriptor"), items[0].get("LUTData"))


def _looked_up(physical: Floats, attributes: Attributes) -> tuple[Floats, float, float]:
    with guarded("its VOI look-up table"):
        item = copy(attributes.dataset.VOILUTSequence[0])
        entries, first, depth = (int(part) for part in item.LUTDescriptor)
        if not 8 <= depth <= 16:
            raise ImageError(f"damaged DICOM: its VOI look-up table has entries of {depth} bits")
        # Whether the first input has a sign hangs on what the modality LUT gives (C.11.2.1.1).
        first -= 65536 * (first > 32767 and physical.min() < 0)
        # pydicom keeps the index in the type of the entries: with entries of 8 bits it would wrap round.
        item.LUTDescriptor = [entries, 0, 16]
        dataset = copy(attributes.dataset)
        dataset.VOILUTSequence = [item]
        shown = apply_voi(physical.astype(np.int64) - first, dataset)
    # Some tables hold more than the bits they name.
    bits = max(depth, int(shown.max()).bit_length())
    return shown.astype(np.float64), 0.0, float((1 << bits) - 1)


def _has_window(attributes: Attributes) -> bool:
    centers, widths = attributes.numbers("WindowCenter"), attributes.numbers("WindowWidth")
    if not centers or not widths:
        return False
    # C.11.2.1.2: at least 1 for LINEAR, more than 0 for the other functions.
    return widths[0] >= 1 if attributes.text("VOILUTFunction") in ("", "LINEAR") else widths[0] > 0


def _is_padding(values: Values, attributes: Attributes) -> NDArray[np.bool_]:
    """Return which values only fill what the picture leaves of its rectangle (C.7.5.1.1.2)."""
    if not attributes.numbers("PixelPaddingValue"):
        return np.zeros(len(values), bool)
    one = attributes.integer("PixelPaddingValue")
    other = attributes.integer("PixelPaddingRangeLimit", one)
    if attributes.integer("PixelRepresentation", 0):  # some writers give the bits of a negative one
        one, other = (padding - 65536 * (padding > 32767) for padding in (one, other))
    return (values >= min(one, other)) & (values <= max(one, other))

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

from collections.abc import Callable
from copy import copy
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi, apply_windowing

from xray_infer.decode import Depth, to_gray
from xray_infer.dicom.attributes import Attributes
from xray_infer.dicom.guard import guarded
from xray_infer.errors import ImageError
from xray_infer.picture import Picture

_AT_ONCE: Final = 1 << 20  # pixels looked up in one go: NumPy makes 8 bytes of each index

_DEEPEST: Final = 65535
_STEP: Final = 1e-6  # between black and white, where nothing lies between them
_LARGEST: Final = 1e30  # of pixels in any unit; far from where sums overflow

Values = NDArray[np.int64]
Floats = NDArray[np.float64]


def to_display(stored: NDArray[Any], attributes: Attributes) -> NDArray[np.uint8]:
    """Turn stored values, 8 or 16 bit integers [H, W] or RGB [H, W, 3], into gray `uint8 [H, W]`.

    Raises ImageError for look-up tables that cannot be applied.
    """
    if stored.ndim == 3:
        return to_gray(stored[..., ::-1])
    show = _colours if _palette(attributes) else _grays
    return _looked_at(stored, lambda values: show(values, attributes))


def to_picture(stored: NDArray[Any], attributes: Attributes) -> Picture:
    """Turn the same into a picture at its full depth; colours into 8 bits.

    Where the display is a straight line between two values, of a window or a spread, these are the picture's
    black and white, and its values run from the smallest that occurs to the largest. Of any other display the
    values are what is shown.
    """
    if stored.ndim == 3 or _palette(attributes):
        return Picture(to_display(stored, attributes), 0.0, 255.0)
    ends: list[tuple[float, float]] = []

    def deep(values: NDArray[Any]) -> NDArray[np.uint16]:
        found, black, white = _deep(values, attributes)
        ends.append((black, white))
        return found

    values = _looked_at(stored, deep)
    return Picture(values, *ends[0])


def _looked_at(stored: NDArray[Any], show: Callable[[NDArray[Any]], NDArray[Depth]]) -> NDArray[Depth]:
    """Return what `show` makes of each stored value, [H, W]; it is called once, with those that occur."""
    codes = stored.view(np.uint8 if stored.dtype.itemsize == 1 else np.uint16).reshape(-1)
    parts = [slice(start, start + _AT_ONCE) for start in range(0, codes.size, _AT_ONCE)]
    occurs = np.zeros(1 << 8 * codes.itemsize, bool)
    for part in parts:
        occurs[codes[part]] = True
    occurring = np.flatnonzero(occurs).astype(codes.dtype)
    found = show(occurring.view(stored.dtype))
    table = np.zeros(occurs.size, found.dtype)
    table[occurring] = found
    seen = np.empty(codes.shape, found.dtype)
    for part in parts:
        seen[part] = table[codes[part]]
    return seen.reshape(stored.shape)


def _palette(attributes: Attributes) -> bool:
    return attributes.text("PhotometricInterpretation") == "PALETTE COLOR"


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


def _deep(values: NDArray[Any], attributes: Attributes) -> tuple[NDArray[np.uint16], float, float]:
    """Return each value at full depth, the larger the brighter, and which are black and white."""
    whole = values.astype(np.int64)
    physical, low, high = _shown(whole, attributes)
    _check_numbers(np.append(physical, [low, high]), "window")
    ends = _window_ends(attributes)
    if ends is not None:
        physical, (low, high) = _physical(whole, attributes), ends
    first, last = float(physical.min()), float(physical.max())
    exact = last - first <= _DEEPEST and bool((physical == np.rint(physical)).all())
    scale = 1.0 if exact else _DEEPEST / (last - first)
    codes = np.rint((physical - first) * scale).astype(np.uint16)
    black, white = (low - first) * scale, (high - first) * scale
    if low == high:  # one value all over has no scale, and is black
        black, white = 0.0, 1.0
    if attributes.text("PhotometricInterpretation") == "MONOCHROME1":
        top = int(codes.max())
        return (top - codes).astype(np.uint16), top - white, top - black
    return codes, black, white


def _window_ends(attributes: Attributes) -> tuple[float, float] | None:
    """Return which values a straight window makes black and white (C.11.2.1.2.1, C.11.2.1.3.2).

    None where there is none, or one that is not straight.
    """
    function = attributes.text("VOILUTFunction")
    if _has_look_up_table(attributes) or not _has_window(attributes) or function == "SIGMOID":
        return None
    center, width = attributes.numbers("WindowCenter")[0], attributes.numbers("WindowWidth")[0]
    if function == "LINEAR_EXACT":
        return center - width / 2, center + width / 2
    # Of width 1 it is a step.
    return center - 0.5 - (width - 1) / 2, center - 0.5 + max(width - 1, _STEP) / 2


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

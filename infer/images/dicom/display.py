"""Stored values to gray as a viewer shows it: modality LUT, VOI, polarity (PS3.3 C.11, C.8.11.3).

Every step maps a value to a value, so they are worked out once for each value that occurs, at most 65,536, by
pydicom's own functions in their full precision; the picture then only looks its values up. That is exact, and
a picture of floats never exists.

- VOI LUT sequence before window, the first of several; a window of no width is none.
- Without either: values of more than 8 bits are spread from the smallest that occurs to the largest. Raw
  radiographs use a part of their range, and what other files of such pictures show (the PNG and JPEG that the
  model was trained on) was spread or windowed. Padding does not count. 8 bits and fewer keep their range.
- At full depth, for `Picture`, a straight display keeps the physical values, those too that its window clips;
  any other leaves what is shown, in finer steps.
- MONOCHROME1 is turned round last and once. PresentationLUTShape says the same in other words (C.8.11.3.1.2:
  INVERSE for MONOCHROME1) and is not looked at.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi, apply_windowing

from xray_infer.errors import ImageError
from xray_infer.images.dicom.attributes import Attributes
from xray_infer.images.dicom.guard import guarded
from xray_infer.images.gray import Depth, Picture, to_gray

_AT_ONCE: Final = 1 << 20  # pixels looked up in one go: NumPy makes 8 bytes of each index
_DEEPEST: Final = 65535
_NARROWEST: Final = 1e-9  # of windows, as a share of where they lie: narrower ones are steps
_LARGEST: Final = 1e30  # of pixels in any unit; far from where sums overflow

StoredValues = NDArray[np.int64]
Floats = NDArray[np.float64]
Scale = tuple[float, float, float, float]  # black, white, zero and unit of a `Picture`


def to_display(stored: NDArray[Any], attributes: Attributes) -> NDArray[np.uint8]:
    """Turn stored values, 8 or 16 bit integers [H, W] or RGB [H, W, 3], into gray `uint8 [H, W]`.

    Raises ImageError for look-up tables that cannot be applied.
    """
    if stored.ndim == 3:
        return to_gray(stored[..., ::-1])
    values = occurring(stored)
    show = _colours if _palette(attributes) else _grays
    return look_up(stored, values, show(values, attributes))


def to_picture(stored: NDArray[Any], attributes: Attributes) -> Picture:
    """Turn the same into a picture: gray at its full depth, uint16, colours at 8 bits.

    Where the display is a straight line between two physical values, of a window or a spread, these are black
    and white, and the picture's values are the physical ones less the smallest, in steps of 1 or of the
    rescale slope. Of any other display the values are what is shown, from 0 to 65535.
    """
    if stored.ndim == 3 or _palette(attributes):
        return Picture(to_display(stored, attributes), 0.0, 255.0)
    values = occurring(stored)
    deep, scale = _deep(values, attributes)
    return Picture(look_up(stored, values, deep), *scale)


def _palette(attributes: Attributes) -> bool:
    return attributes.text("PhotometricInterpretation") == "PALETTE COLOR"


def _colours(values: NDArray[Any], attributes: Attributes) -> NDArray[np.uint8]:
    with guarded("its palette"):
        colours = apply_color_lut(values[None], attributes.dataset)
    gray: NDArray[np.uint8] = to_gray(np.ascontiguousarray(colours[..., 2::-1])).reshape(-1)
    return gray


def _grays(values: NDArray[Any], attributes: Attributes) -> NDArray[np.uint8]:
    gray = np.rint(255 * _shown(values.astype(np.int64), attributes).shares()).astype(np.uint8)
    return 255 - gray if _turned(attributes) else gray


def _deep(values: NDArray[Any], attributes: Attributes) -> tuple[NDArray[np.uint16], Scale]:
    """Return each value at full depth, the larger the brighter, and how they are shown."""
    display = _shown(values.astype(np.int64), attributes)
    straight = _straight(display, attributes)
    if straight is None:
        shares = display.shares()
        spread = np.rint(_DEEPEST * (1 - shares if _turned(attributes) else shares))
        return spread.astype(np.uint16), (0.0, float(_DEEPEST), 0.0, 1.0)
    found, (black, white, zero, unit) = straight
    if _turned(attributes):
        top = float(found.max())
        found, black, white, zero, unit = top - found, top - white, top - black, zero + unit * top, -unit
    return found.astype(np.uint16), (black, white, zero, unit)


def _turned(attributes: Attributes) -> bool:
    return attributes.text("PhotometricInterpretation") == "MONOCHROME1"


@dataclass(frozen=True, slots=True, eq=False)
class _Display:
    """Some values as they are shown, before they may be turned round.

    `low` and `high`: which of `shown` are black and white. `ends`: which of `physical` are, where a straight
    line lies between; None where the display is no straight line.
    """

    physical: Floats
    shown: Floats
    low: float
    high: float
    ends: tuple[float, float] | None

    def shares(self) -> Floats:
        """Return how bright each is, 0 to 1."""
        if self.low == self.high:  # one value all over has no scale
            return np.zeros(len(self.shown))
        return np.clip((self.shown - self.low) / (self.high - self.low), 0, 1)


def _straight(display: _Display, attributes: Attributes) -> tuple[Floats, Scale] | None:
    """Return each physical value as a whole number, 0 to 65535, and how these are shown.

    None where the display is no straight line, or one whose ends are no numbers of a picture.
    """
    if display.ends is None or display.low == display.high:
        return None
    first = float(display.physical.min())
    offsets = display.physical - first
    span = float(offsets.max())
    whole = span <= _DEEPEST and bool((offsets == np.rint(offsets)).all())
    # What is not whole was rescaled: in steps of the slope it is, for the stored values are.
    unit = 1.0 if whole else max(abs(attributes.numbers("RescaleSlope")[0]), span / _DEEPEST)
    black, white = ((end - first) / unit for end in display.ends)
    if not max(abs(black), abs(white)) < _LARGEST:
        return None
    found = np.rint(offsets / unit)
    if white - black < _NARROWEST * max(1.0, abs(black)):  # as a window of width 1 is
        black = float(found[display.physical <= display.ends[0]].max(initial=-1))
        white = black + 1
    return found, (black, white, first, unit)


def _shown(values: StoredValues, attributes: Attributes) -> _Display:
    display = _displayed(_physical(values, attributes), values, attributes)
    _check_numbers(np.append(display.shown, [display.low, display.high]), "window")
    return display


def _displayed(physical: Floats, values: StoredValues, attributes: Attributes) -> _Display:
    if _has_look_up_table(attributes):
        return _looked_up(physical, attributes)
    if _has_window(attributes):
        with guarded("its window"):
            # What lies beyond either end shows what the window makes black and white.
            beyond = np.array([-np.inf, np.inf])
            shown = apply_windowing(np.concatenate([physical, beyond]), attributes.dataset)
        low, high = shown[-2:].tolist()
        return _Display(physical, shown[:-2], low, high, _window_ends(attributes))
    bits = attributes.integer("BitsStored", attributes.integer("BitsAllocated"))
    if bits <= 8:
        first = -(1 << bits - 1) if attributes.integer("PixelRepresentation", 0) else 0
        spread = _physical(np.arange(first, first + (1 << bits)), attributes)
    else:
        kept = ~_is_padding(values, attributes)
        spread = physical[kept] if kept.any() else physical
    low, high = float(spread.min()), float(spread.max())
    return _Display(physical, physical, low, high, (low, high))


def _window_ends(attributes: Attributes) -> tuple[float, float] | None:
    """Return which values the window makes black and white (C.11.2.1.2, C.11.2.1.3); None of a SIGMOID."""
    function = attributes.text("VOILUTFunction")
    if function == "SIGMOID":
        return None
    center, width = attributes.numbers("WindowCenter")[0], attributes.numbers("WindowWidth")[0]
    if function != "LINEAR_EXACT":
        center, width = center - 0.5, width - 1
    return center - width / 2, center + width / 2


def _physical(values: StoredValues, attributes: Attributes) -> Floats:
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


def _looked_up(physical: Floats, attributes: Attributes) -> _Display:
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
    return _Display(physical, shown.astype(np.float64), 0.0, float((1 << bits) - 1), None)


def _has_window(attributes: Attributes) -> bool:
    centers, widths = attributes.numbers("WindowCenter"), attributes.numbers("WindowWidth")
    if not centers or not widths:
        return False
    # C.11.2.1.2: at least 1 for LINEAR, more than 0 for the other functions.
    return widths[0] >= 1 if attributes.text("VOILUTFunction") in ("", "LINEAR") else widths[0] > 0


def _is_padding(values: StoredValues, attributes: Attributes) -> NDArray[np.bool_]:
    """Return which values only fill what the picture leaves of its rectangle (C.7.5.1.1.2)."""
    if not attributes.numbers("PixelPaddingValue"):
        return np.zeros(len(values), bool)
    one = attributes.integer("PixelPaddingValue")
    other = attributes.integer("PixelPaddingRangeLimit", one)
    if attributes.integer("PixelRepresentation", 0):  # some writers give the bits of a negative one
        one, other = (padding - 65536 * (padding > 32767) for padding in (one, other))
    return (values >= min(one, other)) & (values <= max(one, other))


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

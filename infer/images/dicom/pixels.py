"""Stored pixel values (PS3.3 C.7.6.3, PS3.5 section 8 and annex A), within bounds that are checked first.

A codec allocates what its codestream says, not what the data set says: the two are compared before it runs.
Each transfer syntax has one codec, so that a file gives the same pixels wherever it is read. GDCM, which
pydicom would ask first where it is installed, aborts the process on damaged JPEG, and pylibjpeg-rle panics.

The bounds of an RLE frame (PS3.5 annex G), which pydicom unpacks to whatever length its runs say.

Two bytes can stand for 128, so that a frame that says nothing of its size can be 64 times as large as it.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from numpy.typing import NDArray
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from xray_infer.errors import ImageError, MissingExtraError
from xray_infer.images.dicom.attributes import Attributes
from xray_infer.images.dicom.guard import guarded
from xray_infer.images.formats import check_size, jpeg, jpeg2000
from xray_infer.images.limits import Limits

_RLE: Final = "1.2.840.10008.1.2.5"
_JPEG: Final = "1.2.840.10008.1.2.4."
# By the end of the transfer syntax's UID: JPEG baseline, extended, lossless, lossless SV1; JPEG-LS lossless
# and near-lossless; JPEG 2000 lossless and not; HTJ2K lossless, with RPCL, and not.
_PLUGINS: Final = {
    _RLE: "pydicom",
    **{_JPEG + end: "pylibjpeg" for end in ("50", "51", "57", "70", "90", "91", "201", "202", "203")},
    **{_JPEG + end: "pyjpegls" for end in ("80", "81")},
}
_JPEG_FAMILY: Final = frozenset(_JPEG + end for end in ("50", "51", "57", "70", "80", "81"))
_COLOURS: Final = frozenset(("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"))
_INDICES: Final = frozenset(("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"))
MAX_BITS: Final = 16


def stored_pixels(attributes: Attributes, limits: Limits) -> NDArray[Any]:
    """Return the only frame: 8 or 16 bit integers [H, W], or RGB [H, W, 3], in the machine's byte order.

    Raises ImageError for what cannot be decoded or is over a limit.
    """
    rows, columns = attributes.integer("Rows"), attributes.integer("Columns")
    check_size(columns, rows, limits)
    samples, allocated = attributes.integer("SamplesPerPixel", 1), attributes.integer("BitsAllocated")
    _check_layout(attributes, samples=samples, allocated=allocated)
    with guarded("its transfer syntax"):
        syntax: UID = attributes.dataset.file_meta.TransferSyntaxUID
        decoder = get_decoder(syntax)
        native = decoder.is_native
        plugins = decoder.available_plugins
    plugin = "" if native else _PLUGINS.get(syntax, "")
    if not native:
        if plugin not in plugins:
            raise ImageError(str(MissingExtraError(f"DICOM in {syntax.name}", "dicom")))
        _check_frame(attributes, syntax, (columns, rows, samples))
    with guarded("its pixels"):
        pixels: NDArray[Any] = pixel_array(attributes.dataset, index=0, decoding_plugin=plugin)
    expected = (rows, columns) if samples == 1 else (rows, columns, samples)
    if pixels.shape != expected or pixels.dtype.itemsize * 8 > MAX_BITS:
        raise ImageError(f"damaged DICOM: decoded to {pixels.shape} {pixels.dtype}")
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _check_layout(attributes: Attributes, *, samples: int, allocated: int) -> None:
    interpretation = attributes.text("PhotometricInterpretation")
    stored = attributes.integer("BitsStored", allocated)
    if (samples == 1 and interpretation not in _INDICES) or (samples == 3 and interpretation not in _COLOURS):
        raise ImageError(f"photometric interpretation {interpretation or 'missing'}, which is not decoded")
    if samples not in (1, 3):
        raise ImageError(f"{samples} samples a pixel; expected gray or RGB")
    if not 1 <= stored <= allocated <= MAX_BITS:
        raise ImageError(f"{stored} of {allocated} bits a sample; expected at most {MAX_BITS}")
    # Where the high bit is not the highest of those stored, pydicom would take the wrong ones (PS3.5 8.1.1).
    if attributes.integer("HighBit", stored - 1) != stored - 1:
        raise ImageError(f"its high bit is not the highest of {stored} stored bits, which is not decoded")


def _check_frame(attributes: Attributes, syntax: str, expected: tuple[int, int, int]) -> None:
    """Raise ImageError for an encoded frame that is cut short, or of another width, height or samples."""
    with guarded("its encapsulated pixels"):
        frame = get_frame(attributes.dataset.PixelData, 0, number_of_frames=1)
    if syntax == _RLE:
        check_runs(frame, expected[0] * expected[1])
        return
    found = _size_of(frame, syntax)
    if found != expected:
        said = "codestream holds {} x {} pixels of {} samples, its data set says {} x {} of {}"
        raise ImageError(f"damaged DICOM: its {said.format(*found, *expected)}")


def _size_of(frame: bytes, syntax: str) -> tuple[int, int, int]:
    """Return a codestream's own width, height and components."""
    try:
        if syntax not in _JPEG_FAMILY:
            return jpeg2000.walk(frame)
        found = jpeg.walk(frame)
    except struct.error as error:  # the walk ran off the end of the bytes
        raise ImageError("truncated DICOM: its codestream ends inside its header") from error
    jpeg.check_coded(found)
    return found.width, found.height, found.components


_HEADER: Final = "<16I"  # the number of segments, where each begins
_PADDING: Final = 1024


def check_runs(frame: bytes, plane: int) -> None:
    """Raise ImageError for a frame with a segment that unpacks to less than a plane of bytes, or far more."""
    try:
        count, *starts = struct.unpack_from(_HEADER, frame)
    except struct.error as error:
        raise ImageError("truncated DICOM: its RLE header is cut short") from error
    if not 1 <= count <= len(starts):
        raise ImageError(f"damaged DICOM: {count} RLE segments")
    starts = starts[:count]
    for start, end in zip(starts, [*starts[1:], len(frame)], strict=True):
        length = unpacked_length(frame[start:end], at_most=2 * plane + _PADDING)
        if length < plane:
            raise ImageError("truncated DICOM: an RLE segment is shorter than its plane")
        if length > 2 * plane + _PADDING:
            raise ImageError("damaged DICOM: an RLE segment unpacks to far more than its plane")


def unpacked_length(segment: bytes, *, at_most: int) -> int:
    """Return the length that a segment unpacks to, without unpacking it; no further than `at_most`."""
    position, length, end = 0, 0, len(segment)
    while position < end and length <= at_most:
        control = segment[position]
        if control < 128:  # that many bytes and one more, as they are
            length += min(control + 1, end - position - 1)
            position += control + 2
        elif control > 128:  # the next byte, so often
            length += 257 - control if position + 1 < end else 0
            position += 2
        else:
            position += 1
    return length

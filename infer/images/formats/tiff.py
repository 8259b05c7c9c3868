"""TIFF (revision 6.0) and BigTIFF: whether all of one page is there, in a layout that is decoded rightly.

What OpenCV's decoder does wrong without a word is refused or noted here, each found by comparing it with
the values written: it ignores a strip that is cut short, leaves 16-bit pixels of WhiteIsZero as they are,
mixes up separate planes of 16 bits, drops a gray picture's alpha, multiplies 8-bit colour by its alpha.
Strips without compression and deflated ones are seen to be whole; of the others (LZW, PackBits, CCITT, JPEG)
only that they lie in the file.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import ImageError, RejectedError
from xray_infer.images.formats import Header, check_size
from xray_infer.images.formats.directory import Entries, read_directory
from xray_infer.images.limits import Limits

_BIG: Final = 43
_NEW_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_SAMPLES, _ROWS_PER_STRIP, _PLANES, _EXTRA, _SAMPLE_FORMAT = 277, 278, 284, 338, 339
_STRIPS: Final = (273, 279)  # offsets, byte counts
_TILES: Final = (324, 325)
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_COPY_OR_MASK: Final = 0b101  # NewSubfileType: a reduced copy, a transparency mask
_WHITE_IS_ZERO: Final = 0
_NONE: Final = 1
_LZW: Final = 5
_DEFLATE: Final = frozenset((8, 32946))
_COMPRESSIONS: Final = frozenset((_NONE, 2, 3, 4, _LZW, 7, 32773)) | _DEFLATE  # CCITT, LZW, JPEG, PackBits
_COLOURS: Final = frozenset((0, 1, 2, 3, 5, 6))  # gray, RGB, palette, CMYK, YCbCr
_STRAIGHT: Final = 2  # ExtraSamples: unassociated alpha
MAX_PAGES: Final = 1000


def read_tiff(data: bytes, limits: Limits) -> Header:
    """Return the header of a TIFF of one whole page. Raises ImageError, RejectedError for several pages."""
    page = _only_page(data)
    width, height = _one(page, _WIDTH, 0), _one(page, _HEIGHT, 0)
    check_size(width, height, limits)
    bits, samples = _one(page, _BITS, 1), _one(page, _SAMPLES, 1)
    _check_layout(page, bits=bits, samples=samples)
    _check_strips(data, page, limits)
    return Header(
        "tiff",
        width,
        height,
        straight_alpha=bits == 16 and _one(page, _EXTRA, 0) == _STRAIGHT,
        white_is_zero=bits > 8 and _one(page, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO,
    )


def _only_page(data: bytes) -> Entries:
    order = "<" if data.startswith(b"II") else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == _BIG
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    pages: list[Entries] = []
    seen: set[int] = set()
    while start and start not in seen and len(seen) < MAX_PAGES:
        seen.add(start)
        page, start = read_directory(data, start, order, big=big)
        if not _one(page, _NEW_SUBFILE, 0) & _COPY_OR_MASK:
            pages.append(page)
        elif not pages:
            raise ImageError("a TIFF that begins with a reduced copy; save its full picture alone")
    if not pages:
        raise ImageError("damaged TIFF: there is no picture in it")
    if len(pages) > 1:
        raise RejectedError(f"a TIFF of {len(pages)} pages, not one picture; save each in a file of its own")
    return pages[0]


def _one(page: Entries, tag: int, default: int) -> int:
    found = page.get(tag)
    return default if found is None or not len(found) else int(found[0])


def _check_layout(page: Entries, *, bits: int, samples: int) -> None:
    compression, colours = _one(page, _COMPRESSION, _NONE), _one(page, _PHOTOMETRIC, -1)
    sample_format = _one(page, _SAMPLE_FORMAT, 1)
    fault = ""
    if compression not in _COMPRESSIONS:
        fault = f"compression {compression}"
    elif colours not in _COLOURS:
        fault = f"photometric interpretation {colours}"
    elif sample_format not in (1, 4):  # unsigned, undefined
        fault = "signed or floating-point pixels"
    elif bits not in (1, 8, 12, 16) or (page.get(_BITS, np.array([bits])) != bits).any():
        fault = f"{bits}-bit pixels"
    elif samples not in (1, 3, 4):
        fault = f"{samples} samples a pixel"
    elif bits > 8 and samples > 1 and _one(page, _PLANES, 1) == 2:
        fault = "16-bit colours in separate planes"
    if fault:
        raise ImageError(f"a TIFF with {fault}, which is not decoded; save it as PNG, or as plain TIFF")


def _check_strips(data: bytes, page: Entries, limits: Limits) -> None:
    """Raise ImageError unless every strip or tile is there, lies in the file and holds its rows."""
    width, height = _one(page, _WIDTH, 0), _one(page, _HEIGHT, 0)
    samples = _one(page, _SAMPLES, 1)
    tiled = _TILE_WIDTH in page
    columns = _one(page, _TILE_WIDTH, 0) if tiled else width
    rows = _one(page, _TILE_HEIGHT, 0) if tiled else min(_one(page, _ROWS_PER_STRIP, height), height)
    check_size(columns, rows, limits)
    planes = samples if _one(page, _PLANES, 1) == 2 else 1
    across, down = -(-width // columns), -(-height // rows)
    pieces = across * down * planes
    offset_tag, count_tag = _TILES if tiled else _STRIPS
    nothing = np.zeros(0, np.uint64)
    offsets, counts = page.get(offset_tag, nothing), page.get(count_tag, nothing)
    size = np.uint64(len(data))
    if len(offsets) < pieces or len(counts) < pieces:
        raise ImageError("truncated TIFF: strips are missing from its directory")
    offsets, counts = offsets[:pieces].astype(np.uint64), counts[:pieces].astype(np.uint64)
    if (counts > size).any() or (offsets > size - counts).any():
        raise ImageError("truncated TIFF: pixels lie beyond the end of the file")
    row_bytes = -(-columns * _one(page, _BITS, 1) * (samples // planes) // 8)
    needed = np.full(pieces, rows * row_bytes, np.uint64)
    if not tiled:
        needed.reshape(planes, down)[:, -1] = (height - (down - 1) * rows) * row_bytes
    compression = _one(page, _COMPRESSION, _NONE)
    subsampled = _one(page, _PHOTOMETRIC, 1) == 6
    if compression == _NONE and not subsampled and (counts < needed).any():
        raise ImageError("truncated TIFF: a strip is shorter than its rows")
    if compression in _DEFLATE and not subsampled:
        _check_deflated(data, offsets, counts, needed)
    if compression == _LZW and not all(_starts_as_lzw(data, offset) for offset in offsets.tolist()):
        raise ImageError("damaged TIFF: a strip is not what its compression says")


def _starts_as_lzw(data: bytes, offset: int) -> bool:
    """Whether nine bits are the code that clears the table, with which all strips begin (section 13).

    The highest bit comes first; in files of before 1990 the lowest.
    """
    first, second = data[offset : offset + 2].ljust(2, b"\0")
    return (first == 0x80 and second < 0x80) or (first == 0 and bool(second & 1))


def _check_deflated(
    data: bytes, offsets: NDArray[np.uint64], counts: NDArray[np.uint64], needed: NDArray[np.uint64]
) -> None:
    # One byte more than needed: where there is none, zlib goes on to the checksum.
    for offset, count, length in zip(offsets.tolist(), counts.tolist(), needed.tolist(), strict=True):
        try:
            unpacked = zlib.decompressobj().decompress(data[offset : offset + count], length + 1)
        except zlib.error as error:
            raise ImageError("damaged TIFF: a strip cannot be inflated") from error
        if len(unpacked) < length:
            raise ImageError("truncated TIFF: a strip is shorter than its rows")

"""JPEG's marker segments (ITU-T T.81 annex B), and JPEG-LS's (T.87 annex C), from the first to the last.

The decoder fills what is missing of a cut file with gray and says nothing, so the walk goes on to the
end-of-image marker; by segments, so that neither an embedded thumbnail nor a table can pass for it.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace
from typing import Final

from xray_infer.errors import ImageError
from xray_infer.images.formats import Header, check_size
from xray_infer.images.limits import Limits

_NO_LENGTH: Final = frozenset((0x01, *range(0xD0, 0xD8)))  # TEM and RST0..7 stand alone
# SOF0..15 without DHT, JPG and DAC; SOF55 is JPEG-LS.
_FRAMES: Final = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}
_DECODED: Final = frozenset((0xC0, 0xC1, 0xC2, 0xC9, 0xCA))  # DCT, Huffman or arithmetic, not hierarchical
_HUFFMAN_BLOCKS: Final = frozenset((0xC0, 0xC1, 0xC2))
_START_OF_IMAGE: Final = b"\xff\xd8"
_START_OF_SCAN: Final = 0xDA
_END_OF_IMAGE: Final = 0xD9
# T.81 escapes FF in coded data by 00, T.87 by a bit: from 80 on it is a marker in both, RSTs apart.
_MARKER: Final = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
_FILL: Final = re.compile(rb"\xff+")
# Encoders write about ten scans. Each passes over the whole picture, so a small file of many takes hours.
MAX_SCANS: Final = 100
MAX_SEGMENTS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame header: `process` is its marker's second byte, `precision` the bits of a sample;
    `coded_bytes` is the length of all scans."""

    process: int
    precision: int
    height: int
    width: int
    components: int
    coded_bytes: int = 0


def read_jpeg(data: bytes, limits: Limits) -> Header:
    """Return the size; orientation is the decoder's job. Raises ImageError, see `walk`."""
    frame = walk(data)
    check_size(frame.width, frame.height, limits)
    check_coded(frame)
    if frame.process not in _DECODED or frame.precision != 8:
        kind = f"a {frame.precision}-bit JPEG of process SOF{frame.process - 0xC0}"
        raise ImageError(f"{kind}, which is decoded only inside DICOM; save it as PNG")
    return Header("jpeg", frame.width, frame.height)


def walk(data: bytes) -> Frame:
    """Walk all segments to the end of the image and return the one frame header.

    Raises ImageError for a stream that is cut short, damaged, of several frames or of many scans.
    """
    if not data.startswith(_START_OF_IMAGE):
        raise ImageError("no JPEG where there should be one")
    position, frame, scans, coded_bytes = len(_START_OF_IMAGE), None, 0, 0
    for _ in range(MAX_SEGMENTS):
        if position + 2 > len(data):
            raise ImageError("truncated JPEG: the end of the image is missing")
        fill = _FILL.match(data, position)
        if fill is None:
            raise ImageError("damaged JPEG: no marker where there should be one")
        position = fill.end() - 1
        marker = data[position + 1] if position + 1 < len(data) else 0
        if marker == _END_OF_IMAGE:
            if frame is None or not scans:
                raise ImageError("damaged JPEG: there is no picture in it")
            return replace(frame, coded_bytes=coded_bytes)
        if marker in _NO_LENGTH:
            position += 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if marker in _FRAMES:
            if frame is not None:
                raise ImageError("damaged JPEG: it has two frame headers")
            precision, height, width, components = struct.unpack_from(">BHHB", data, position + 4)
            frame = Frame(marker, precision, height, width, components)
        position += 2 + length
        if marker == _START_OF_SCAN:
            scans += 1
            if scans > MAX_SCANS:
                raise ImageError(f"a JPEG of more than {MAX_SCANS} scans")
            found = _MARKER.search(data, position)
            if found is None:
                raise ImageError("truncated JPEG: the end of the image is missing")
            coded_bytes += found.start() - position
            position = found.start()
    raise ImageError(f"damaged JPEG: more than {MAX_SEGMENTS:,} segments")


def check_coded(frame: Frame) -> None:
    """Raise ImageError when the scans are too short for the picture, whatever it shows.

    A Huffman code has at least one bit, and each block of 8 x 8 pixels at least one code (T.81 F.1.2 and
    G.1.2). Arithmetic codes may be shorter, lossless ones have no blocks.
    """
    blocks = -(-frame.width // 8) * -(-frame.height // 8)
    if frame.process in _HUFFMAN_BLOCKS and 8 * frame.coded_bytes < blocks:
        raise ImageError("truncated JPEG: most of the picture is missing")

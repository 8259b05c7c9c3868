"""TIFF, BMP and PNG files made by hand, in layouts that no encoder at hand writes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

_TYPES = {3: "H", 4: "I", 16: "Q"}


def tiff(
    pixels: np.ndarray,
    *,
    bits: int | None = None,
    photometric: int | None = None,
    rows_per_strip: int | None = None,
    compression: int = 1,
    order: Literal["<", ">"] = "<",
    big: bool = False,
    tags: dict[int, Sequence[int]] | None = None,
    strips: Sequence[bytes] | None = None,
) -> bytes:
    """A TIFF of one page, [H, W] or [H, W, C]; `strips` takes the place of the encoded pixels."""
    height, width = pixels.shape[:2]
    samples = 1 if pixels.ndim == 2 else pixels.shape[2]
    rows = rows_per_strip or height
    if strips is None:
        ordered = pixels.astype(pixels.dtype.newbyteorder(order))
        strips = [ordered[first : first + rows].tobytes() for first in range(0, height, rows)]
        strips = [zlib.compress(strip) for strip in strips] if compression == 8 else strips
    entries = {
        256: [width],
        257: [height],
        258: [bits or 8 * pixels.itemsize] * samples,
        259: [compression],
        262: [photometric if photometric is not None else (1 if samples == 1 else 2)],
        277: [samples],
        278: [rows],
        **(tags or {}),
    }
    offset_tag, count_tag = (324, 325) if 322 in entries else (273, 279)
    head = 16 if big else 8
    sizes = [len(strip) for strip in strips]
    entries[offset_tag] = [head + sum(sizes[:index]) for index in range(len(sizes))]
    entries[count_tag] = sizes
    return _assemble(b"".join(strips), entries, order, big=big)


def pages(*files: bytes) -> bytes:
    """Little-endian TIFF files of one page each as one file of several."""
    joined = b"II*\x00" + b"\0" * 4
    link = 4
    for file in files:
        start = len(joined) + len(joined) % 2
        joined = joined.ljust(start, b"\0") + file[8:]
        shift = start - 8
        directory = struct.unpack_from("<I", file, 4)[0] + shift
        moved = bytearray(joined)
        struct.pack_into("<I", moved, link, directory)
        (count,) = struct.unpack_from("<H", moved, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, number, value = struct.unpack_from("<HHII", moved, entry)
            inline = struct.calcsize(_TYPES[kind]) * number <= 4
            if not inline:
                struct.pack_into("<I", moved, entry + 8, value + shift)
            if tag in (273, 324) and inline:
                struct.pack_into("<I", moved, entry + 8, value + shift)
            elif tag in (273, 324):
                offsets = [one + shift for one in struct.unpack_from(f"<{number}I", moved, value + shift)]
                struct.pack_into(f"<{number}I", moved, value + shift, *offsets)
        link = directory + 2 + 12 * count
        joined = bytes(moved)
    return joined


def _assemble(data: bytes, entries: dict[int, Sequence[int]], order: str, *, big: bool) -> bytes:
    head, wide, inline = (16, "Q", 8) if big else (8, "I", 4)
    start = head + len(data) + len(data) % 2
    after = start + (8 if big else 2) + len(entries) * (20 if big else 12) + inline
    table, values = b"", b""
    for tag in sorted(entries):
        numbers = entries[tag]
        kind = 3 if tag in (258, 259, 262, 277, 284, 317, 338, 339) else 4
        packed = struct.pack(f"{order}{len(numbers)}{_TYPES[kind]}", *numbers)
        shown = packed.ljust(inline, b"\0")
        if len(packed) > inline:
            shown = struct.pack(order + wide, after + len(values))
            values += packed
        table += struct.pack(order + "HH" + wide, tag, kind, len(numbers)) + shown
    mark = b"II" if order == "<" else b"MM"
    first = (43, 8, 0, start) if big else (42, start)
    header = mark + struct.pack(order + ("HHHQ" if big else "HI"), *first)
    count = struct.pack(order + ("Q" if big else "H"), len(entries))
    return header + data.ljust(start - head, b"\0") + count + table + b"\0" * inline + values


def bmp(
    rows: bytes,
    size: tuple[int, int],
    bits: int,
    *,
    compression: int = 0,
    masks: bytes = b"",
    palette: bytes = b"",
) -> bytes:
    """A BMP of width and height, its rows padded and from the bottom as they lie in the file."""
    width, height = size
    offset = 14 + 40 + len(masks) + len(palette)
    file_header = b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset)
    header = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(rows), 0, 0, len(palette) // 4, 0
    )
    return file_header + header + masks + palette + rows


def png_of(rows: bytes, size: tuple[int, int], depth: int, colour: int, **chunks: bytes) -> bytes:
    """A PNG of width and height; each row begins with its filter byte. `chunks` come before the pixels."""
    width, height = size
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *((name.encode(), body) for name, body in chunks.items())]
    parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

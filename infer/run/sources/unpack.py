"""Packed bytes to unpacked ones, a bounded piece at a time: deflate, gzip, bzip2, xz and zip's LZMA.

A piece is never longer than PIECE, whatever the packed bytes ask for, so that whoever counts pieces can stop
in time. Raises ImageError for damaged or truncated data.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

from xray_infer.errors import ImageError, ReadError

# Small, since a piece in which damage is found is lost, and a ratio is judged after each.
PIECE: Final = 1 << 16

_PACKED_PIECE: Final = 1 << 14
_MOST_MEMORY: Final = 1 << 28  # for LZMA's dictionary, whose size the file chooses


class PackedBytes:
    """A part of an open file, read in order; `consumed` counts the bytes handed out. Raises ReadError."""

    def __init__(self, stream: IO[bytes], size: int | None = None) -> None:
        self._stream, self._left, self.consumed = stream, size, 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield pieces up to the size given, or to the end."""
        while piece := self.take(_PACKED_PIECE):
            yield piece

    def take(self, count: int) -> bytes:
        """Return the next bytes, at most `count`."""
        if self._left is not None:
            count = min(count, self._left)
        try:
            piece = self._stream.read(count)
        except OSError as error:
            raise ReadError(f"cannot be read: {error.strerror}") from error
        if self._left is not None:
            self._left -= len(piece)
        self.consumed += len(piece)
        return piece


@dataclass(frozen=True, slots=True)
class Codec:
    """How to unpack: `start` makes a decompressor, `feed` gives it bytes and yields what comes out."""

    start: Callable[[], Any]
    feed: Callable[[Any, bytes], Iterator[bytes]]


def unpacked(packed: PackedBytes, codec: Codec, *, joined: bool = True) -> Iterator[bytes]:
    """Yield what the bytes unpack to. If `joined`, streams that follow each other are one, as gzip has it."""
    engine = codec.start()
    begun = True
    for data in packed:
        while data:
            if engine.eof:
                if not joined:
                    return
                data = data.lstrip(b"\0")  # padding, as on tapes
                if not data:
                    break
                engine, begun = codec.start(), False
            try:
                for piece in codec.feed(engine, data):
                    begun = True
                    yield piece
            except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
                if not begun:  # no further stream: something else that was appended
                    return
                raise ImageError(f"damaged: it cannot be unpacked ({error})") from error
            data = engine.unused_data if engine.eof else b""
    if not engine.eof:
        raise ImageError("truncated: the packed data end too early")


def _feed_zlib(engine: Any, data: bytes) -> Iterator[bytes]:
    while True:
        piece = engine.decompress(data, PIECE)
        data = engine.unconsumed_tail
        yield piece
        if engine.eof or (not data and len(piece) < PIECE):
            return


def _feed_buffered(engine: Any, data: bytes) -> Iterator[bytes]:
    yield engine.decompress(data, PIECE)
    while not engine.eof and not engine.needs_input:
        yield engine.decompress(b"", PIECE)


DEFLATE: Final = Codec(lambda: zlib.decompressobj(-zlib.MAX_WBITS), _feed_zlib)
GZIP: Final = Codec(lambda: zlib.decompressobj(16 + zlib.MAX_WBITS), _feed_zlib)
BZIP2: Final = Codec(bz2.BZ2Decompressor, _feed_buffered)
XZ: Final = Codec(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY), _feed_buffered)


def zip_lzma(packed: PackedBytes, size: int, *, has_end_mark: bool) -> Codec:
    """Return the codec of a zip member in LZMA, whose properties it reads from the member's first bytes.

    The member is the classic .lzma format but for its head (APPNOTE 5.8.8), which is put in its place here.
    """
    head = packed.take(4)
    properties = packed.take(int.from_bytes(head[2:4], "little"))
    if len(properties) != 5:
        raise ImageError("damaged: it cannot be unpacked (no LZMA properties)")
    alone = properties + (b"\xff" * 8 if has_end_mark else size.to_bytes(8, "little"))

    def start() -> Any:
        engine = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MOST_MEMORY)
        try:
            engine.decompress(alone)
        except lzma.LZMAError as error:
            raise ImageError(f"damaged: it cannot be unpacked ({error})") from error
        return engine

    return Codec(start, _feed_buffered)

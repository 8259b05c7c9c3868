"""A tar archive's bytes, read forwards only, with bounds on what its headers may ask for.

Python's tarfile trusts headers: it reads an extended header of any length into memory, and can be sent
backwards for ever by a negative size. It reads through this stream, which refuses both.
"""

from __future__ import annotations

import tarfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final

from xray_infer.errors import ImageError
from xray_infer.images.limits import Limits
from xray_infer.run.sources.unpack import PIECE, Codec, PackedBytes, unpacked

# Extended attributes can be long; sparse maps and chains of headers of this size still cost little.
_MOST_HEADER_BYTES: Final = 1 << 20


class TarStream(ABC):
    """What tarfile needs of a file: `read`, `seek`, `tell`. Raises tarfile.ReadError where a bound is hit."""

    def __init__(self) -> None:
        self._position = 0
        self._header_left = _MOST_HEADER_BYTES
        self._last = b""

    def expect_header(self) -> None:
        """Allow one more member's header."""
        self._header_left = _MOST_HEADER_BYTES

    def ended_well(self) -> bool:
        """Say whether the last block was a tar's end mark, zeros; tarfile takes garbage for an end too."""
        return len(self._last) == tarfile.BLOCKSIZE and not any(self._last)

    def read(self, size: int) -> bytes:
        """Read a part of a header."""
        self._header_left -= size
        if size < 0 or self._header_left < 0:
            raise tarfile.ReadError(f"a header of more than {_MOST_HEADER_BYTES:,} bytes")
        self._last = self.read_data(size)
        return self._last

    def read_data(self, size: int) -> bytes:
        """Read a part of a member's content, shorter only at the end. Raises ImageError, OSError."""
        data = self._take(size)
        self._position += len(data)
        return data

    def tell(self) -> int:
        """Return the position, in unpacked bytes."""
        return self._position

    def seek(self, position: int) -> None:
        """Pass over bytes."""
        if position < self._position:
            raise tarfile.ReadError("a header leads backwards")
        self._skip(position - self._position)
        self._position = position

    @abstractmethod
    def finish(self) -> None:
        """Read to the end if that proves that what was read is sound. Raises ImageError."""

    @abstractmethod
    def _take(self, size: int) -> bytes: ...

    @abstractmethod
    def _skip(self, size: int) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Close the file."""


class PlainTar(TarStream):
    """A tar archive as it lies on disk."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("rb")
        self.size = self._file.seek(0, 2)
        self._file.seek(0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def finish(self) -> None:
        """Do nothing: there is no checksum at the end."""

    def _take(self, size: int) -> bytes:
        return self._file.read(size)

    def _skip(self, size: int) -> None:
        self._file.seek(min(self._position + size, self.size))


class PackedTar(TarStream):
    """A compressed tar archive, unpacked as it is read, under an archive's limits. Raises ImageError."""

    def __init__(self, path: Path, codec: Codec, limits: Limits) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._packed = PackedBytes(self._file)
        self._pieces = unpacked(self._packed, codec)
        self._limits = limits
        self._ready = b""
        self._unpacked = 0
        self._broken: ImageError | None = None

    def close(self) -> None:
        """Close the file."""
        self._broken = None  # its traceback leads back here, and would keep the decompressor for a while
        self._file.close()

    def finish(self) -> None:
        """Read to the checksum at the end of the packed data. Raises ImageError."""
        while self._fill():
            pass

    def _take(self, size: int) -> bytes:
        parts = []
        while size > 0:
            if not self._ready and not self._fill():
                break
            parts.append(self._ready[:size])
            self._ready = self._ready[size:]
            size -= len(parts[-1])
        return b"".join(parts)

    def _skip(self, size: int) -> None:
        while size > 0 and (skipped := len(self._take(min(size, PIECE)))):
            size -= skipped

    def _fill(self) -> bool:
        """Unpack the next piece; false at the end. What breaks it once breaks it for good."""
        if self._broken:
            raise self._broken
        try:
            self._ready = next((piece for piece in self._pieces if piece), b"")
            self._unpacked += len(self._ready)
            self._limits.check_ratio(self._unpacked, self._packed.consumed)
            if self._unpacked > self._limits.max_archive_bytes:
                raise ImageError(f"unpacks to more than {self._limits.max_archive_bytes:,} bytes, the limit")
        except ImageError as error:
            self._broken = error
            raise
        return bool(self._ready)

"""Bounds that are checked before anything is decoded or unpacked, so that no file costs more than it may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from xray_infer.errors import ImageError

FREE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one input may ask for; each is an option of the command.

    `max_pixels` and `max_file_bytes` are for one image, as its header says and as it lies on disk or in an
    archive, unpacked. `max_members` and `max_archive_bytes` (of all members, unpacked) are for an archive.
    `max_compression_ratio` (unpacked over packed bytes, judged from 1 MiB unpacked on, so that a small blank
    picture passes) is for archives and deflated DICOM. Real radiographs, as plain pixels, pack at most 5 : 1.
    """

    max_pixels: int = 200_000_000
    max_file_bytes: int = 1_000_000_000
    max_members: int = 1_000_000
    max_archive_bytes: int = 1_000_000_000_000
    max_compression_ratio: float = 200.0

    def check_ratio(self, unpacked: int, packed: int) -> None:
        """Raise ImageError when so many bytes came out of so few."""
        if unpacked > max(FREE_BYTES, self.max_compression_ratio * packed):
            ratio = f"{self.max_compression_ratio:g}"
            raise ImageError(f"unpacks to more than {ratio} times its size, the limit (a zip bomb?)")


DEFAULT_LIMITS: Final = Limits()
MOST_STATION: Final = 120  # characters of what a DICOM file says of the device

# For one file, where decoding has a process of its own. 200 megapixels take about 3 s on a desktop's core.
DEFAULT_DECODE_SECONDS: Final = 60.0

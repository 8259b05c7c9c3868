"""Bounds that are checked before anything is decoded or unpacked, so that no file costs more than it may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """What one input may ask for; each is an option of the command.

    `max_pixels` and `max_file_bytes` are for one image, as its header says and as it lies on disk or in an
    archive, unpacked. `max_members`, `max_archive_bytes` (unpacked, all members together) and
    `max_compression_ratio` (unpacked over packed bytes, judged from 1 MiB unpacked on, so that a small blank
    picture passes) are for an archive. Real radiographs, as plain pixels, pack at most 5 : 1.
    """

    max_pixels: int = 200_000_000
    max_file_bytes: int = 1_000_000_000
    max_members: int = 1_000_000
    max_archive_bytes: int = 1_000_000_000_000
    max_compression_ratio: float = 200.0


DEFAULT_LIMITS: Final = Limits()

# For one file, where decoding has a process of its own. 200 megapixels take about 3 s on a desktop's core.
DEFAULT_DECODE_SECONDS: Final = 60.0

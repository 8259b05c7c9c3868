"""What zip and tar archives share: telling them by content, and the bounds on what they may unpack to.

Nothing is ever unpacked to disk, and an archive inside an archive is not opened. A member that breaks a bound
is an item whose row says so; so is what stands for members that cannot be reached.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import Final

from xray_infer.errors import ImageError
from xray_infer.images.formats import image_format
from xray_infer.images.limits import Limits

HEAD_FOR_ARCHIVES: Final = tarfile.BLOCKSIZE

_SIGNATURES: Final = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # an empty one
    b"PK\x07\x08": "zip",  # in parts
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
}


def archive_format(head: bytes) -> str:
    """Return zip, tar, 7z or rar, or how a file is compressed: gzip, bzip2, xz, zstd; empty for others.

    `head` is the first HEAD_FOR_ARCHIVES bytes. An image is no archive, whatever is appended to it.
    """
    if image_format(head):
        return ""
    for signature, name in _SIGNATURES.items():
        if head.startswith(signature):
            return name
    return "tar" if is_tar_header(head) else ""


def is_tar_header(block: bytes) -> bool:
    """Say whether 512 bytes are the header of a tar member: its checksum is right."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


@dataclass(slots=True)
class Budget:
    """What the members listed so far unpack to and take up (bytes), as they declare.

    The sums are in the order of the archive, so that it does not depend on threads which member breaks them.
    """

    limits: Limits
    archive_bytes: int
    unpacked: int = 0
    packed: int = 0

    def admit(self, *, unpacked: int, packed: int) -> None:
        """Add a member. Raises ImageError when it, or all so far, is beyond a limit.

        Members that overlap share packed bytes, and so unpack to more than the ratio allows the archive; they
        are found by their sum, which in a sound archive is below its size.
        """
        self.unpacked += unpacked
        self.packed += packed
        check_size(unpacked, self.limits)
        self.limits.check_ratio(unpacked, packed)
        if self.packed > self.archive_bytes:
            raise ImageError("overlaps other members of the archive (a zip bomb?)")
        if self.unpacked > self.limits.max_archive_bytes:
            raise ImageError(
                f"the archive unpacks to more than {self.limits.max_archive_bytes:,} bytes, the limit"
            )


def check_size(size: int, limits: Limits) -> None:
    """Raise ImageError when a member unpacks to more than one image may have."""
    if size > limits.max_file_bytes:
        raise ImageError(f"{size:,} bytes unpacked; the limit is {limits.max_file_bytes:,}")


def too_many_members(limits: Limits) -> str:
    """Say that an archive holds more members than it may."""
    return f"more than {limits.max_members:,} members, the limit"


def plain_name(name: str) -> str:
    """Return a member's name without the `./` that tar puts before it."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name

"""What zip and tar archives share: the bounds on what they may unpack to, and the names of members.

Nothing is ever unpacked to disk, and an archive inside an archive is not opened. A member that breaks a bound
is an item whose row says so; so is what stands for members that cannot be reached.
"""

from __future__ import annotations

from dataclasses import dataclass

from xray_infer.errors import ImageError
from xray_infer.images.limits import Limits


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

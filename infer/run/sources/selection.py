"""Which files are inputs: by name where that tells, else by the first bytes. The same for every source."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Final

from xray_infer.errors import ImageError
from xray_infer.images.formats import image_format
from xray_infer.run.artifact import ARTIFACT_SUFFIXES

PICTURES: Final = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".bmp")
_DICOM: Final = (".dcm", ".dicom", ".dic", ".ima")
IMAGE_SUFFIXES: Final = frozenset((*PICTURES, *_DICOM))

# An index that a DICOM export has beside its images, in the format of an image (PS3.10 section 8.6).
_DICOM_INDEX: Final = "DICOMDIR"
_SEPARATORS: Final = re.compile(r"[/\\]")
_DRIVE: Final = re.compile(r"[A-Za-z]:")


def judge_name(name: str) -> bool | None:
    """Say whether a file of this name or relative path is an input; None when its content must tell.

    Hidden files, Finder's copies in __MACOSX, what an earlier run made and DICOM's index are not. Whatever
    else has an image's suffix is, so that a damaged one gets a row. Exported DICOM files often have no
    suffix, or the end of a UID for one.
    """
    parts = _SEPARATORS.split(name)
    if any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in parts):
        return False
    last = parts[-1]
    if last.endswith(ARTIFACT_SUFFIXES) or last.upper() == _DICOM_INDEX:
        return False
    return True if os.path.splitext(last)[1].lower() in IMAGE_SUFFIXES else None


def is_input(name: str, read_head: Callable[[], bytes]) -> bool:
    """Say whether a file is an input; `read_head` returns its first HEAD_BYTES bytes or raises ImageError.

    What cannot be looked at is one: its row will say why, and nothing is passed over that may be an image.
    """
    by_name = judge_name(name)
    if by_name is not None:
        return by_name
    try:
        return image_format(read_head()) is not None
    except ImageError:
        return True


def leads_outside(name: str) -> bool:
    """Say whether a member's name is no relative path below the folder that it would be joined to."""
    return (
        not name
        or name.startswith(("/", "\\"))
        or _DRIVE.match(name) is not None
        or ".." in _SEPARATORS.split(name)
        or "\0" in name
    )

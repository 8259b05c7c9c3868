"""Where an item's file goes in a folder of its own: no two names collide, and none leads out of it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Final

from xray_infer.atomic import refusal, write_atomically

_UNSAFE: Final = frozenset('%\\:*?"<>|')  # Windows takes none of them
_MOST_NAME_BYTES: Final = 240  # the usual file systems take 255; a file is written under a longer name first

_CUT: Final = re.compile(r"~[0-9a-f]{16}\Z")


def file_for(folder: Path, name: str, suffix: str) -> Path:
    """Return the path inside `folder` for an item, with the sub-folders and the suffix of its name.

    A list may hold absolute paths, URIs and `..`. What a file name must not hold, and the percent sign
    itself, is percent-encoded (RFC 3986, section 2.1); a part that is too long is cut, and its digest put in
    place. A part that ends like a cut one gets a digest, too.
    """
    *folders, last = name.split("/")
    return Path(folder, *map(_file_name, folders), _file_name(last, suffix=suffix))


def _file_name(part: str, *, suffix: str = "") -> str:
    """Return one part of a name as the name of a file or a folder."""
    if not part.strip("."):  # empty, in "/root" and "s3://"; "." and ".."
        return part.replace(".", "%2E") + suffix or "%2F"
    encoded, room = os.fsencode(safe(part)), _MOST_NAME_BYTES - len(os.fsencode(suffix))
    if len(encoded) <= room and not _CUT.search(part):
        return safe(part) + suffix
    digest = hashlib.sha256(os.fsencode(part)).hexdigest()[:16]
    kept = encoded[: room - len(digest) - 1].decode("utf-8", "ignore")
    return f"{kept}~{digest}{suffix}"


def safe(text: str) -> str:
    """Percent-encode what a file's name must not hold."""
    return "".join(f"%{ord(one):02X}" if one in _UNSAFE or one < " " else one for one in text)


def write_file(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, and the folders that it needs. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal(path.parent, "cannot make the folder", error) from error
    write_atomically(path, lambda temporary: temporary.write_bytes(data))

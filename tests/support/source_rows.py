"""What a source yields, as tests compare it."""

from __future__ import annotations

from typing import Any

from xray_infer.errors import ImageError
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.run.sources import Item, Source
from xray_infer.run.sources.opening import open_source

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4
DICOM = bytes(128) + b"DICM" + bytes(range(256)) * 4


def content(item: Item, limits: Limits = DEFAULT_LIMITS) -> bytes | str:
    """Return the item's bytes, or the reason why there are none, after its exception's name."""
    try:
        return item.read(limits)
    except ImageError as error:
        return f"{type(error).__name__}: {error}"


def rows(
    source: Source | str, limits: Limits = DEFAULT_LIMITS, **options: Any
) -> list[tuple[str, bytes | str]]:
    """Return (name, content) of every item; a path, glob or URI is opened first."""
    if isinstance(source, str):
        source = open_source(source, limits=limits, **options)
    return [(item.name, content(item, limits)) for item in source]


def names(source: Source | str, **options: Any) -> list[str]:
    """Return the names of the items, and check that they are counted right."""
    if isinstance(source, str):
        source = open_source(source, limits=DEFAULT_LIMITS, **options)
    found = [item.name for item in source]
    assert source.count() in (len(found), None)
    return found

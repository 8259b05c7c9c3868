"""Stands in until the other kinds of sources are there."""

from pathlib import Path

from xray_infer.limits import Limits
from xray_infer.sources import Source
from xray_infer.sources.folder import local_source


def open_source(
    source: str | None, *, from_list: str | None = None, recursive: bool = True, limits: Limits
) -> Source:
    """Return the source."""
    return local_source(Path(source or ""))

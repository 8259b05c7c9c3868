"""Where images come from: one kind of source each, all behind `Source`; every source yields `Item`s.

A source lists lazily and in a stable order, the same at each call for the same content: a run over a
million images holds no list of them, and a resumed run meets its items again.

`opening.open_source` finds the kind of what was typed: `folder` (also patterns and single files, by
`pattern`), `zip_archive` (with `zip_directory`) and `tar_archive` (with `tar_stream`), which share `archive`
and `unpack`; `remote` for URIs, `path_list` for --from-list, `several` for the viewer's. `listing` and
`selection` say which files of a source are images.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from xray_infer.images.limits import Limits

STANDARD_INPUT: Final = "-"


class Item(Protocol):
    """One input; gives one row, whatever happens. May be used from any thread, by one at a time."""

    @property
    def name(self) -> str:
        """The path as shown in the results, relative to the source, with forward slashes.

        Bytes that are not UTF-8 are kept as surrogates. An item that can be read never leads out of a folder
        that its name is joined to, unless it comes from a list, whose names are shown as they were listed.
        """
        ...

    def stamp(self) -> str:
        """Return what changes when the content does (size and mtime, ETag, CRC), without reading it.

        Empty when it cannot be told: such an input is never taken for one that is known.
        """
        ...

    def read(self, limits: Limits) -> bytes:
        """Read the content. Raises ReadError when it cannot be read, ImageError when a limit forbids it."""
        ...


class Source(Protocol):
    """The items of one folder, file, list, archive or object store."""

    @property
    def location(self) -> str:
        """Where it is, as an absolute path or URI: what tells two sources apart; STANDARD_INPUT for that."""
        ...

    @property
    def skipped(self) -> int:
        """Other files that were passed over; complete when the last iteration is.

        Hidden ones count, a hidden folder as one; so do links to folders, which are not followed.
        """
        ...

    def __iter__(self) -> Iterator[Item]:
        """List the items afresh, lazily, in a stable order.

        Raises SourceError when there are none, or when it cannot be listed at all.
        """
        ...

    def count(self) -> int | None:
        """Count the items without reading them; None when that cannot be done, or only by reading."""
        ...

"""Several sources that were named together, as one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xray_infer.errors import SourceError
from xray_infer.images.limits import Limits
from xray_infer.run.sources import Item, Source
from xray_infer.run.sources.listing import FailedItem
from xray_infer.run.sources.opening import open_source


@dataclass(frozen=True, slots=True)
class RenamedItem:
    """An item of one of several sources, under a name that tells them apart; see `Item`."""

    item: Item
    name: str

    def stamp(self) -> str:
        """See `Item.stamp`."""
        return self.item.stamp()

    def read(self, limits: Limits) -> bytes:
        """See `Item.read`."""
        return self.item.read(limits)


class SeveralSources:
    """The items of each source in turn; see `Source`.

    A file is named as it was given, what a folder or an archive holds by that name and its own, as in a list.
    A source that cannot be had is an item of its own, so that it gets a row and costs the others nothing.
    """

    def __init__(self, given: Sequence[str], *, limits: Limits) -> None:
        self._given, self._limits = given, limits
        self.skipped = 0

    @property
    def location(self) -> str:
        """All that was given, as absolute paths, one a line."""
        return "\n".join(os.path.abspath(one) for one in self._given)

    def __iter__(self) -> Iterator[Item]:
        """List the items; see `Source`."""
        self.skipped = 0
        for text in self._given:
            try:
                source = open_source(text, limits=self._limits)
                whole = not os.path.isdir(text)
                for item in source:
                    own = whole and item.name == os.path.basename(text)
                    yield RenamedItem(item, text if own else f"{text.rstrip('/')}/{item.name}")
                self.skipped += source.skipped
            except SourceError as error:
                yield FailedItem(text, str(error).removeprefix(f"{text}: "), transient=True)

    def count(self) -> int:
        """Count the items."""
        return sum(1 for _ in self)


def open_sources(given: Sequence[str], *, limits: Limits) -> Source:
    """Return the source of all that was given; of one alone, that one. Raises what `open_source` raises."""
    if len(given) == 1:
        return open_source(given[0], limits=limits)
    return SeveralSources(given, limits=limits)

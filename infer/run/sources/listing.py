"""What every source that must look for its images shares: the count of other files, and no empty result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from xray_infer.errors import ImageError, ReadError, SourceError
from xray_infer.images.limits import Limits
from xray_infer.run.sources import Item

ItemT = TypeVar("ItemT", bound=Item, covariant=True)

OUTSIDE = "its name leads outside the source, so it is not read; nothing was unpacked to disk"


@dataclass(slots=True)
class Tally:
    """Counts, during one listing, the files that were passed over."""

    skipped: int = 0


@dataclass(frozen=True, slots=True)
class FailedItem:
    """An input known to be unusable when it is listed; `transient` if another run may find it well."""

    name: str
    reason: str
    transient: bool = False

    def stamp(self) -> str:
        """Return nothing: it is looked at again by every run."""
        return ""

    def read(self, limits: Limits) -> bytes:
        """Raise ReadError or ImageError with the reason."""
        raise (ReadError if self.transient else ImageError)(self.reason)


class Listing(ABC, Generic[ItemT]):
    """A `Source` that looks for images among other files."""

    def __init__(self) -> None:
        self._tally = Tally()

    @property
    def skipped(self) -> int:
        """Other files passed over in the last iteration; see `Source`."""
        return self._tally.skipped

    def __iter__(self) -> Iterator[ItemT]:
        """List the items; see `Source`. Raises SourceError."""
        self._tally = tally = Tally()
        found = False
        for item in self._list(tally):
            found = True
            yield item
        if not found:
            raise SourceError(self._nothing_found(tally.skipped))

    def count(self) -> int | None:
        """Count the items; see `Source`."""
        return sum(1 for _ in self._list(Tally()))

    @abstractmethod
    def _list(self, tally: Tally) -> Iterator[ItemT]:
        """Yield the items in order and count the rest; may be called many times."""

    @abstractmethod
    def _nothing_found(self, skipped: int) -> str:
        """Say that there were no images, and what to do."""

"""What a run makes beside its rows: files for each image that got an answer; one kind, one module.

A file stands under its item's own name, see `naming`, with a suffix of its kind; no source takes it for an
input. It is written before its row is safe in the journal, so what a resumed run takes as known is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from xray_infer.run.engine import Classified


class Artifact(Protocol):
    """One kind of files. Shared by all workers: `make` may run in several threads at once."""

    def facts(self) -> Mapping[str, Any]:
        """Return what its files depend on, for JSON: a run goes on only with the same."""
        ...

    def make(self, classified: Classified) -> None:
        """Write one image's files, in a worker's thread. Raises OutputError."""
        ...

    def stands(self, name: str) -> bool:
        """Say whether the files of an item of this name are there; the image is classified anew if not."""
        ...


@runtime_checkable
class Tells(Protocol):
    """An artifact that has something to say in the end, of what it could not make."""

    def told(self) -> Iterator[str]:
        """Yield lines for a person."""
        ...

    def record(self) -> Mapping[str, Any]:
        """Return the same by name, for the run's record."""
        ...

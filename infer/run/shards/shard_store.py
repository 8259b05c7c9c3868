"""The folder or the place in a store where a run's shards stand, by fsspec: one way of writing to both.

The names of the pieces are here as well; the package's docstring says what each holds.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from xray_infer.errors import OutputError, extra_for
from xray_infer.run.object_store import connect, is_uri, local_path, store_errors, without_secrets

PLAN: Final = "plan.json"
RECORD: Final = "run.json"
FOLDERS: Final = ("inputs", "counts", "attempts", "model")
_KEY: Final = r"\d{5,}-of-\d{5,}"
# What a run may remove when it starts over, and nothing else that stands there.
OURS: Final = re.compile(
    rf"plan\.json|rows-{_KEY}\.(parquet|jsonl)|inputs/{_KEY}\.jsonl|counts/{_KEY}\.json|attempts/{_KEY}"
    r"|model/[0-9a-f]{64}\.\w+"
)

# An object of these appears when it is whole; elsewhere it is written beside its place and moved there.
ATOMIC: Final = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "adl", "memory"})
AT_ONCE: Final = 16  # requests: each waits for the store, not for this machine
_HALF: Final = ".half-"

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` shards, by its number from 0 on."""

    number: int
    count: int

    @property
    def key(self) -> str:
        """What its files are named by."""
        return f"{self.number:05}-of-{self.count:05}"

    @property
    def inputs(self) -> str:
        """Where its inputs stand."""
        return f"inputs/{self.key}.jsonl"

    @property
    def counts(self) -> str:
        """Where its counts stand once it is finished."""
        return f"counts/{self.key}.json"

    @property
    def attempt(self) -> str:
        """What stands there from its beginning to its end."""
        return f"attempts/{self.key}"

    def rows(self, form: str) -> str:
        """Where its rows stand, in one of FORMATS."""
        return f"rows-{self.key}.{form}"


class Store:
    """Named pieces below one place. Every method raises OutputError in one line when the store fails.

    May be used from several threads. `location` is the place as it may be shown.
    """

    def __init__(self, place: str) -> None:
        """Find a folder's path or a URI. Raises OutputError, and MissingExtraError without fsspec."""
        on_disk = place if not is_uri(place) else local_path(place)
        if on_disk is None:
            self._files, root = connect(place, OutputError)
            self._root, self.location = root.rstrip("/"), without_secrets(place)
        else:
            with extra_for(place, "remote"):
                from fsspec.implementations.local import LocalFileSystem
            self._files, self._root = LocalFileSystem(), os.path.abspath(on_disk)
            self.location = self._root
        named = self._files.protocol
        self._atomic = not ATOMIC.isdisjoint((named,) if isinstance(named, str) else named)

    def where(self, name: str) -> str:
        """Return where a piece stands, for a person."""
        return f"{self.location.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes | None:
        """Return a piece, None when there is none."""
        with store_errors(OutputError, f"{self.where(name)}: cannot be read"):
            try:
                data: bytes = self._files.cat_file(self._path(name))
            except FileNotFoundError:
                return None
        return data

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Return a piece that holds a JSON object, None when there is none."""
        data = self.read(name)
        if data is None:
            return None
        try:
            value = json.loads(data)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise OutputError(f"{self.where(name)}: damaged; remove it, and give the command again")
        return value

    def write(self, name: str, data: bytes) -> None:
        """Put a piece in its place, or in the place of what was there."""
        self._put(name, lambda path: self._files.pipe_file(path, data))

    def write_json(self, name: str, value: Any) -> None:
        """Write a value as indented JSON."""
        self.write(name, json.dumps(value, indent=1).encode() + b"\n")

    def put(self, local: Path, name: str) -> None:
        """Put a file of this machine in its place as a piece."""
        self._put(name, lambda path: self._files.put_file(str(local), path))

    def fetch(self, name: str, local: Path) -> None:
        """Make a file of this machine of a piece."""
        with store_errors(OutputError, f"{self.where(name)}: cannot be read"):
            self._files.get_file(self._path(name), str(local))

    def sizes(self, folder: str = "") -> dict[str, int | None]:
        """Return the names, folders too, in the place or a folder of it, with their sizes in bytes."""
        with store_errors(OutputError, f"{self.where(folder)}: cannot be listed"):
            try:
                found = self._files.ls(self._path(folder), detail=True)
            except FileNotFoundError:
                return {}
        prefix = f"{folder}/" if folder else ""
        return {prefix + one["name"].rstrip("/").rsplit("/", 1)[-1]: one.get("size") for one in found}

    def remove(self, name: str) -> None:
        """Remove a piece, if it is there."""
        with store_errors(OutputError, f"{self.where(name)}: cannot be removed"):
            try:
                self._files.rm_file(self._path(name))
            except FileNotFoundError:
                return

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    def _put(self, name: str, put: Callable[[str], Any]) -> None:
        path = self._path(name)
        with store_errors(OutputError, f"{self.where(name)}: cannot be written"):
            if self._atomic:
                put(path)
                return
            folder, _, last = path.rpartition("/")
            self._files.makedirs(folder, exist_ok=True)
            half = f"{folder}/{_HALF}{secrets.token_hex(4)}-{last}"
            try:
                put(half)
                self._files.mv(half, path)
            except BaseException:
                if self._files.exists(half):
                    self._files.rm(half)
                raise


def each(work: Callable[[T], R], pieces: Iterable[T]) -> Iterator[R]:
    """Yield what `work` returns of each piece, in order; several requests are on their way at once."""
    with ThreadPoolExecutor(AT_ONCE, "store") as pool:
        waiting: list[T] = []
        for piece in pieces:
            waiting.append(piece)
            if len(waiting) == 4 * AT_ONCE:
                yield from pool.map(work, waiting)
                waiting = []
        yield from pool.map(work, waiting)

"""The inputs of a run, written down so that any machine can read them: one a line of JSON.

    [number, "name", "stamp", "kind", place]

`number` counts the listing from 0 on; `kind` and `place` say where the bytes are: a `file` at an absolute
path, which every machine must see, an `object` at [path in the source's store, size], a `uri`; or that there
are none: a `folder` that cannot be listed, or `failed` with [reason, whether another run may find it well].
A line is ASCII: lone surrogates in names survive it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from xray_infer.errors import SourceError
from xray_infer.run.engine import Task
from xray_infer.run.object_store import connect, without_secrets
from xray_infer.run.sources import Item
from xray_infer.run.sources.folder import FileItem, UnlistedFolder
from xray_infer.run.sources.listing import FailedItem
from xray_infer.run.sources.remote import RemoteItem, UriItem

BUFFER_BYTES: Final = 32 << 20  # of lines that wait to be dealt


def to_line(number: int, item: Item) -> bytes:
    """Return an item's line, with its newline. Raises SourceError for one that no other machine can read."""
    place: Any
    if isinstance(item, UnlistedFolder):
        kind, place = "folder", os.path.abspath(item.path)
    elif isinstance(item, FileItem):
        kind, place = "file", os.path.abspath(item.path)
    elif isinstance(item, RemoteItem):
        kind, place = "object", [item.path, item.size]
    elif isinstance(item, UriItem):
        kind, place = "uri", item.uri
        if without_secrets(item.uri) != item.uri:
            raise SourceError(
                f"{item.name}: holds a credential, which shards would write down: "
                "give it in the environment, or give --out a file"
            )
    elif isinstance(item, FailedItem):
        kind, place = "failed", [item.reason, item.transient]
    else:
        raise SourceError(
            f"{item.name}: members of an archive cannot be dealt into shards: unpack it, or give --out a file"
        )
    return json.dumps([number, item.name, item.stamp(), kind, place]).encode("ascii") + b"\n"


def shard_of(name: str, count: int) -> int:
    """Return the number of the shard that an input of this name belongs to; the same on every machine."""
    raw = name.encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest()) % count


def deal(listing: Path, count: int, folder: Path) -> None:
    """Deal a file of lines into `folder`, a file `NUMBER` a shard, in the order of the listing.

    Memory holds BUFFER_BYTES of lines, whatever the listing's length; no more than one file is open.
    """
    waiting: dict[int, list[bytes]] = {}
    held = 0

    def flush() -> None:
        for number, lines in waiting.items():
            with open(folder / str(number), "ab") as stream:
                stream.writelines(lines)
        waiting.clear()

    with open(listing, "rb") as stream:
        for line in stream:
            number = shard_of(json.loads(line)[1], count)
            waiting.setdefault(number, []).append(line)
            held += len(line)
            if held >= BUFFER_BYTES:
                flush()
                held = 0
    flush()


def digest(lines: Iterable[bytes]) -> str:
    """Return a digest of names and stamps, in order: what tells that a shard's inputs have not changed."""
    found = hashlib.sha256()
    for line in lines:
        _, name, stamp, *_ = json.loads(line)
        found.update(json.dumps([name, stamp]).encode("ascii"))
    return found.hexdigest()


@dataclass(frozen=True, slots=True)
class Reopener:
    """Makes items of lines on whatever machine; `source` is the source as it was typed."""

    source: str

    def tasks(self, lines: Iterable[bytes]) -> Iterator[Task]:
        """Yield the engine's task of each line."""
        files: Any = None
        for line in lines:
            _, name, stamp, kind, place = json.loads(line)
            if kind == "object" and files is None:
                files, _ = connect(self.source, SourceError)
            yield Task(_item(name, stamp, kind, place, files), stamp)


def _item(name: str, stamp: str, kind: str, place: Any, files: Any) -> Item:
    if kind == "object":
        return RemoteItem(files, place[0], name, place[1], stamp)
    if kind == "uri":
        return UriItem(place)
    if kind == "failed":
        return FailedItem(name, *place)
    return (UnlistedFolder if kind == "folder" else FileItem)(Path(place), name)


def number_of(line: bytes) -> int:
    """Return the place of a line in the listing."""
    number: int = json.loads(line)[0]
    return number

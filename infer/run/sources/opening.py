"""From what a user typed to a source: which kind of source it is, an archive by its first bytes.

A new kind is one new file, a test in `_kind_of` and a line in KINDS.
"""

from __future__ import annotations

import importlib
import os
import stat
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xray_infer.errors import SourceError
from xray_infer.images.formats import image_format
from xray_infer.images.limits import Limits
from xray_infer.run.object_store import is_uri, local_path
from xray_infer.run.sources import STANDARD_INPUT, Source


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """What a user asked for: the source as typed, and `head`, its first 512 bytes where it is a file."""

    text: str
    recursive: bool
    limits: Limits
    head: bytes = b""

    @property
    def path(self) -> Path:
        """The text as a path on this machine."""
        return Path(self.text)


HEAD_FOR_ARCHIVES: Final = tarfile.BLOCKSIZE

_SIGNATURES: Final = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # an empty one
    b"PK\x07\x08": "zip",  # in parts
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
}

_TAR: Final = ("tar_archive", "open_tar")
# Module and function, loaded when they are wanted. Each raises SourceError for what it cannot open.
KINDS: Final = {
    "URI": ("remote", "open_uri"),
    "folder": ("folder", "open_folder"),
    "pattern": ("folder", "open_pattern"),
    "zip": ("zip_archive", "open_zip"),
    **dict.fromkeys(("tar", "gzip", "bzip2", "xz"), _TAR),
    "file": ("folder", "open_file"),
    "list": ("path_list", "open_list"),
}


def open_source(
    source: str | None, *, from_list: str | None = None, recursive: bool = True, limits: Limits
) -> Source:
    """Return the source that was asked for: a path, glob or URI, or the file of a list (`-`: standard input).

    A path that exists is taken as it stands, wildcards in it or not; archives are told by content. Raises
    SourceError when nothing, or both, was asked for or it cannot be had, MissingExtraError for a URI without
    fsspec. Empty sources, and folders that cannot be listed, raise SourceError when they are listed.
    """
    if source is not None and from_list is not None:
        raise SourceError("two sources; give either a path, glob or URI, or --from-list FILE")
    if from_list is not None:
        return _opened("list", SourceSpec(from_list, recursive, limits))
    if not source:
        raise SourceError("no source; give a folder, a file, a glob, an archive, a URI, or --from-list FILE")
    if source == STANDARD_INPUT:
        raise SourceError("standard input holds no images; for a list of paths there, give --from-list -")
    on_disk = local_path(source)
    text = source if on_disk is None else on_disk
    spec = SourceSpec(text, recursive, limits, _head(text))
    kind = _kind_of(spec)
    if kind not in KINDS:
        raise SourceError(f"{text}: a {kind} archive, which is not supported; unpack it first")
    return _opened(kind, spec)


def _opened(kind: str, spec: SourceSpec) -> Source:
    module, function = KINDS[kind]
    open_kind: Callable[[SourceSpec], Source] = getattr(
        importlib.import_module(f"xray_infer.run.sources.{module}"), function
    )
    return open_kind(spec)


def _kind_of(spec: SourceSpec) -> str:
    """Return one of KINDS, or the format of an archive that nothing here can open."""
    if is_uri(spec.text):
        return "URI"
    if os.path.isdir(spec.path):  # Path.is_dir raises behind a closed door
        return "folder"
    if not os.path.lexists(spec.path):
        from xray_infer.run.sources.pattern import has_wildcard

        if has_wildcard(spec.text):
            return "pattern"
    return archive_format(spec.head) or "file"


def archive_format(head: bytes) -> str:
    """Return zip, tar, 7z or rar, or how a file is compressed: gzip, bzip2, xz, zstd; empty for others.

    `head` is the first HEAD_FOR_ARCHIVES bytes. An image is no archive, whatever is appended to it.
    """
    if image_format(head):
        return ""
    for signature, name in _SIGNATURES.items():
        if head.startswith(signature):
            return name
    return "tar" if is_tar_header(head) else ""


def is_tar_header(block: bytes) -> bool:
    """Say whether 512 bytes are the header of a tar member: its checksum is right."""
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _head(text: str) -> bytes:
    """Return the first bytes of a regular file; none for anything else, or what cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(text).st_mode):
            return b""
        with open(text, "rb") as stream:
            return stream.read(HEAD_FOR_ARCHIVES)
    except (OSError, ValueError):
        return b""  # whoever opens it next will say why

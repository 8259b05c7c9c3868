"""From what a user typed to a source: the kinds of source, in the order in which they are tried.

A new kind is one new file and one line in KINDS.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Final

from xray_infer.errors import SourceError
from xray_infer.images.limits import Limits
from xray_infer.run.object_store import local_path
from xray_infer.run.sources import Request, Source
from xray_infer.run.sources.archive import HEAD_FOR_ARCHIVES, archive_format
from xray_infer.run.sources.folder import open_file, open_folder, open_glob
from xray_infer.run.sources.path_list import STANDARD_INPUT, ListSource
from xray_infer.run.sources.remote import open_uri
from xray_infer.run.sources.tar_archive import open_tar
from xray_infer.run.sources.zip_archive import open_zip


def _refuse_archive(request: Request) -> None:
    """Raise SourceError for an archive that nothing here can open."""
    kind = archive_format(request.head)
    if kind:
        raise SourceError(f"{request.text}: a {kind} archive, which is not supported; unpack it first")


# Each returns a source if the request is for its kind, else None; raises SourceError if it is and cannot be.
KINDS: Final[dict[str, Callable[[Request], Source | None]]] = {
    "URI": open_uri,
    "folder": open_folder,
    "glob": open_glob,
    "zip archive": open_zip,
    "tar archive": open_tar,
    "other archive": _refuse_archive,
    "file": open_file,
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
        return ListSource(from_list)
    if not source:
        raise SourceError("no source; give a folder, a file, a glob, an archive, a URI, or --from-list FILE")
    if source == STANDARD_INPUT:
        raise SourceError("standard input holds no images; for a list of paths there, give --from-list -")
    on_disk = local_path(source)
    text = source if on_disk is None else on_disk
    request = Request(text, recursive, limits, _head(text))
    answers = (open_kind(request) for open_kind in KINDS.values())
    return next(opened for opened in answers if opened is not None)  # the last kind always answers


def _head(text: str) -> bytes:
    """Return the first bytes of a regular file; none for anything else, or what cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(text).st_mode):
            return b""
        with open(text, "rb") as stream:
            return stream.read(HEAD_FOR_ARCHIVES)
    except (OSError, ValueError):
        return b""  # whoever opens it next will say why

"""Files in a store that fsspec reaches by URI: s3://, gs://, memory:// and others. Needs `[remote]`.

fsspec loads on first use; a store's own package (s3fs, gcsfs) is fsspec's to import. Credentials are that
package's to find, in its usual places; none is ever shown: URIs come here to be printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from xray_infer.errors import XrayError, extra_for

# Patterns, which `re` compiles at their first use: --help needs none of them.
_URI: Final = r"[A-Za-z][A-Za-z0-9+.-]+://"
_PASSWORD: Final = r"(://[^/@:]*):[^/@]*@"
# What signs a URI for whoever holds it: AWS, Google Cloud, Azure, and tokens of others.
_SIGNATURE: Final = (
    r"([?&](?:x-(?:amz|goog)-(?:signature|credential|security-token)"
    r"|sig|signature|token|access_token)=)[^&#]*"
)
_FILE: Final = "file://"
HIDDEN: Final = "***"

# Of a processor, where images come from a store: others work while one waits for its object. With 50 ms to
# wait, one worker reaches 29 % of what the processor could, four 79 % (the study `shards.growth`).
WORKERS_THAT_WAIT: Final = 4
# What stores call a mark of the content, and of its last change, in the order of trust.
_CONTENT_KEYS: Final = ("ETag", "etag", "md5Hash", "generation", "content_settings.content_md5")
_CHANGE_KEYS: Final = ("LastModified", "last_modified", "updated", "mtime", "created")


def is_uri(text: str) -> bool:
    """Say whether the text begins with a scheme and `://`."""
    return re.match(_URI, text) is not None


def workers_for(location: str, processors: float) -> int:
    """Return how many workers make use of so many processors on a source's images, at least 1."""
    return max(1, int(processors)) * (WORKERS_THAT_WAIT if is_uri(location) else 1)


def local_path(uri: str) -> str | None:
    """Return the path of a file:// URI (RFC 8089, percent signs decoded); None for any other."""
    if not uri.lower().startswith(_FILE):
        return None
    from urllib.request import url2pathname  # knows Windows's drives

    return url2pathname(uri[len(_FILE) :].removeprefix("localhost"))


def without_secrets(uri: str) -> str:
    """Return a URI as it may be shown: without a password, its signature hidden."""
    bare = re.sub(_PASSWORD, r"\1@", uri)
    return re.sub(_SIGNATURE, rf"\1{HIDDEN}", bare, flags=re.IGNORECASE)


def connect(uri: str, kind: type[XrayError]) -> tuple[Any, str]:
    """Return the file system of a URI and the path there. Raises `kind`, and MissingExtraError."""
    with extra_for(uri[: uri.index("://") + 3], "remote"):
        from fsspec.core import url_to_fs
    with store_errors(kind, f"{without_secrets(uri)}: cannot be opened"):
        # Without its cache of listings, which would hold every name, and show a store as it once was.
        files, path = url_to_fs(uri, use_listings_cache=False)
    return files, path


@contextmanager
def store_errors(kind: type[XrayError], what: str) -> Iterator[None]:
    """Turn an error of a store's package into one of ours, in one line.

    Each package raises a family of its own (botocore's, aiohttp's, Google's), which cannot be named without
    loading it: this is the one place where every Exception of foreign code is taken for the store's answer.
    """
    try:
        yield
    except XrayError as error:
        if isinstance(error, kind):
            raise
        raise kind(f"{what}: {error}") from error
    except FileNotFoundError as error:
        raise kind(f"{what}: no such object, folder or bucket") from error
    except PermissionError as error:
        raise kind(f"{what}: access denied; check the credentials") from error
    except Exception as error:
        lines = without_secrets(str(error)).splitlines()
        raise kind(f"{what}: {lines[0] if lines else type(error).__name__}") from error


def list_level(files: Any, folder: str) -> Iterator[dict[str, Any]]:
    """Yield what lies in a folder, as fsspec's `ls` describes it, in the order of the names' text.

    The name of a folder counts with a slash at its end; a store's mark of an empty folder is left out. S3 is
    asked page by page, so that a prefix of any size is listed in constant memory; of other stores memory
    holds one folder's entries.
    """
    if "s3" in files.protocol and hasattr(files, "call_s3"):
        yield from _s3_level(files, folder)
        return
    found = files.ls(folder, detail=True)
    yield from sorted((one for one in found if one["name"].strip("/") != folder.strip("/")), key=_order)


def _order(info: dict[str, Any]) -> str:
    name: str = info["name"]
    return f"{name}/" if info["type"] == "directory" else name


def _s3_level(files: Any, folder: str) -> Iterator[dict[str, Any]]:
    """ListObjectsV2: keys and common prefixes come in the order of their UTF-8 bytes, which is that of text.

    Each page covers one stretch of that order (AWS, API reference of ListObjectsV2). Keys with two slashes in
    a row lie in a folder whose name is empty.
    """
    bucket, _, prefix = folder.lstrip("/").partition("/")
    if not bucket:
        yield from sorted(files.ls("", detail=True), key=_order)
        return
    prefix = f"{prefix}/" if prefix else ""
    page: dict[str, Any] = {}
    while page.get("IsTruncated", True):
        token = {"ContinuationToken": page["NextContinuationToken"]} if page else {}
        page = files.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, Delimiter="/", **token)
        if "Contents" not in page and "CommonPrefixes" not in page and not token and prefix:
            raise FileNotFoundError(folder)
        entries = [
            {
                "name": f"{bucket}/{one['Key']}",
                "type": "file",
                "size": one["Size"],
                "ETag": one.get("ETag"),
                "LastModified": one.get("LastModified"),
            }
            for one in page.get("Contents", ())
            if one["Key"] != prefix
        ]
        entries += [
            {"name": f"{bucket}/{one['Prefix'][:-1]}", "type": "directory", "size": 0}
            for one in page.get("CommonPrefixes", ())
        ]
        entries.sort(key=_order)
        yield from entries


def mark(info: dict[str, Any]) -> str:
    """Return what changes when an object's content does: size and ETag, or size and time of change."""
    for key in (*_CONTENT_KEYS, *_CHANGE_KEYS):
        if info.get(key):
            return f"{info.get('size')} {info[key]}"
    return ""

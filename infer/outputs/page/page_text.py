"""What comes from the data, made fit for a page: nothing in it is markup, unseen, or turns a line around."""

from __future__ import annotations

import html
import json
import os
import unicodedata
from pathlib import Path
from typing import Any
from urllib.parse import quote

# Control, format (zero width, right-to-left override), line and paragraph separators, lone surrogates.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(text: str) -> str:
    """Return text with what cannot be seen, or changes how the rest is seen, as `\\uNNNN`.

    A right-to-left override in a file name shows other characters last than there are (CVE-2021-42574).
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"\\u{ord(one):04X}" if unicodedata.category(one) in _UNSEEN else one for one in text)


def escaped(text: object) -> str:
    """Return a value's text for HTML, between tags or in a quoted attribute."""
    return html.escape(visible(str(text)))


def data_json(value: Any) -> str:
    """Return JSON for a script element: ASCII, and without `<`, so that no text ends or opens an element."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def relative_url(target: Path, page: Path) -> str:
    """Return a file's URL as seen from the page, each byte of its name that a URL may not hold encoded."""
    try:
        relative = os.path.relpath(os.path.abspath(target), os.path.abspath(page.parent))
    except ValueError:  # another drive
        return target.absolute().as_uri()
    return quoted_path(relative.replace(os.sep, "/"))


def quoted_path(path: str) -> str:
    """Return a relative path as a URL; bytes that are not UTF-8 are encoded as they are."""
    return quote(os.fsencode(path))

"""Text from files and file systems, made fit for a row and a terminal."""

from __future__ import annotations


def printable_name(name: str) -> str:
    """Return a path as valid Unicode: bytes of a file name that are not UTF-8 become \\xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def one_line(text: str, *, longest: int) -> str:
    """Return text without line breaks and control characters, cut to `longest` characters."""
    shown = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return shown if len(shown) <= longest else shown[: longest - 3] + "..."

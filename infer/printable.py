"""Text from files and file systems, made fit for a row and a terminal."""

from __future__ import annotations


def printable_name(name: str) -> str:
    """Return a path as valid Unicode: bytes of a file name that are not UTF-8 become \\xNN.

    So do halves of a surrogate pair, which Windows takes in names, in the bytes that UTF-8 would have for
    them.
    """
    try:
        data = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = name.encode("utf-8", "surrogatepass")
    return data.decode("utf-8", "backslashreplace")


def one_line(text: str, *, longest: int) -> str:
    """Return text without line breaks and control characters, cut to `longest` characters."""
    shown = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return shown if len(shown) <= longest else shown[: longest - 3] + "..."

"""A folder of hostile files: `python tests/support/hostile_files.py FOLDER` makes it.

Every name holds a number, "h" and three digits, which tells the files apart however a name is written in
the results. What the file system or the system refuses to make is left out.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from itertools import chain, count
from pathlib import Path

import numpy as np
from hostile_bytes import Expected, Sample, damaged, foreign, good_files, picture, without_content
from hostile_formats import bmps, dicoms, jpegs, pngs, tiffs, webps
from specimens import png

# Names that break a shell, a CSV reader, a spreadsheet, a terminal or an assumption; {} is the number.
NAMES = {
    "a newline": "new\nline {}.png",
    "a carriage return": "carriage\rreturn {}.png",
    "a tab": "tab\t{}.png",
    "a bell and an escape sequence": "\x07\x1b[31m\x1b]0;title\x07 {}.png",
    "a delete": "\x7f {}.png",
    "a C1 control": "\x9b31m {}.png",
    "double quotes": '"quoted" {}.png',
    "single quotes": "it's {}.png",
    "commas and semicolons": "a,b;c {}.png",
    "a quote, a comma and a newline": '",\n" {}.png',
    "a formula": "=cmd|' !A0 {}.png",
    "a link as formula": '=HYPERLINK("http:example.org","x") {}.png',
    "a plus": "+1+1 {}.png",
    "a minus": "-1 {}.png",
    "an option": "--out {}.png",
    "an at sign": "@SUM(1) {}.png",
    "a percent sign": "%00%2f%s%n {}.png",
    "shell words": "$(touch x) `touch y` & | ; {}.png",
    "a wildcard": "*?[a-z] {}.png",
    "a backslash": "a\\b\\ {}.png",
    "a tilde": "~root {}.png",
    "a drive": "C: {}.png",
    "a device of Windows": "CON {}.png",
    "markup": "<script>alert(1)<script> {}.png",
    "braces": "{{0.__class__}} {}.png",
    "leading spaces": "   {}.png",
    "spaces before its suffix": "{}   .png",
    "many dots": "{}....png",
    "two suffixes": "{}.php.png",
    "an upper-case suffix": "{}.PNG",
    "the name of a URL": "file:x?y#z {}.png",
    "an emoji": "\U0001fac1\U0001f468‍⚕️ {}.png",
    "right-to-left override": "\u202egnp.exe {}.png",
    "a byte-order mark": "\ufeff{}.png",
    "a line separator": "line\u2028separator {}.png",
    "combining marks": "z" + "\u0335" * 40 + " {}.png",
    "letters that are two": "e\u0301 {}.png",
    "zero-width letters": "\u200b\u200d {}.png",
    "a noncharacter": "\uffff\ufdd0 {}.png",
    "no UTF-8": "latin\udce9 {}.png",
    "only bytes": "\udcff\udcfe\udc80 {}.png",
    "an overlong NUL": "\udcc0\udc80 {}.png",
    "a surrogate in UTF-8": "\udced\udca0\udc80 {}.png",
}

# Links to what has no end, or must not be waited for.
DEVICES = ("/dev/zero", "/dev/full", "/dev/urandom", "/dev/tty", "/proc/self/mem", "/proc/self/pagemap")


def samples(seed: int = 0) -> Iterator[Sample]:
    """All files that are told apart by their content."""
    rng = np.random.default_rng(seed)
    yield from chain(
        damaged(rng), without_content(), foreign(), pngs(), jpegs(), tiffs(), bmps(), webps(), dicoms()
    )


def number_of(name: str) -> str:
    """The part of a name that no writer changes."""
    found: list[str] = re.findall(r"h\d{3}", name)
    assert len(found) == 1, name
    return found[0]


def make_corpus(root: Path, *, seed: int = 0) -> dict[str, tuple[str, Expected]]:
    """Fill a folder and return number -> (what is wrong, the row's status); each number gives one row.

    A file without permission is made, too: for root, who reads it all the same, it is good.
    """
    root.mkdir(parents=True, exist_ok=True)
    made: dict[str, tuple[str, Expected]] = {}
    numbers = (f"h{number:03}" for number in count())

    def add(what: str, expected: Expected, make: Callable[[str], object]) -> None:
        number = next(numbers)
        # A system without such files, or a file system without such names, has one danger less.
        with contextlib.suppress(OSError, AttributeError, UnicodeError):
            make(number)
            made[number] = (what, expected)

    def write(name: str, data: bytes) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    for one in samples(seed):
        slug = re.sub(r"[^A-Za-z0-9]+", "-", one.what)[:80]
        add(one.what, one.expected, lambda number: write(f"{number} {slug}{one.suffix}", one.data))  # noqa: B023
    good = png(picture(1))
    for what, name in NAMES.items():
        add(f"a name with {what}", "ok", lambda number: write(name.format(number), good))  # noqa: B023
    add("a name of 255 bytes", "ok", lambda number: write(number + "x" * (251 - len(number)) + ".png", good))
    add("a name of 255 bytes in 89 letters", "ok", lambda number: write(f"{number}{'é医' * 49}é.png", good))
    add(
        "a path of 2,000 bytes",
        "ok",
        lambda number: write("/".join(["d" * 200] * 10) + f"/{number}.png", good),
    )
    add("a path of 300 folders", "ok", lambda number: write("d/" * 300 + f"{number}.png", good))
    add("a folder with an image's suffix", "ok", lambda number: write(f"folder.png/{number}.png", good))
    for what, kind in _special(root, good).items():
        add(
            what,
            "ok" if what in ("a link to an image", "an image that cannot be written to") else "bad",
            kind,
        )
    return made


def _special(root: Path, good: bytes) -> dict[str, Callable[[str], object]]:
    """What a folder holds beside files: what it is -> what makes it under a number."""

    def locked(number: str, mode: int = 0) -> None:
        (root / f"{number} locked.png").write_bytes(good)
        (root / f"{number} locked.png").chmod(mode)

    def closed(number: str) -> None:
        (root / f"{number} closed").mkdir()
        (root / f"{number} closed" / "inside.png").write_bytes(good)
        (root / f"{number} closed").chmod(0)

    def listening(number: str) -> None:
        with contextlib.chdir(root), socket.socket(socket.AF_UNIX) as one:  # a socket's path must be short
            one.bind(f"{number} socket.png")

    def loop(number: str) -> None:
        (root / f"{number} loop.png").symlink_to(f"{number} loop.png")

    def link(target: str) -> Callable[[str], object]:
        def make(number: str) -> None:
            if target.startswith("/"):
                os.lstat(target)  # raises OSError where there is none
            (root / f"{number} link.png").symlink_to(target)

        return make

    (root / ".target.png").write_bytes(good)  # passed over under its own name, found by the link
    specials: dict[str, Callable[[str], object]] = {
        "a named pipe": lambda number: os.mkfifo(root / f"{number} pipe.png"),
        "a link to nothing": link("gone.png"),
        "a link to a name that is too long": link("x" * 300),
        "a link to an image": link(".target.png"),
        "a link to itself": loop,
        "a socket": listening,
        "a file without permission": locked,
        "a folder without permission": closed,
        "an image that cannot be written to": lambda number: locked(number, 0o444),
    }
    return {**specials, **{f"a link to {device}": link(device) for device in DEVICES}}


if __name__ == "__main__":
    corpus = make_corpus(Path(sys.argv[1]))
    for number, (what, expected) in corpus.items():
        print(f"{number}  {expected:6}  {what}")
    print(f"{len(corpus)} files; {len(good_files())} kinds of good file are damaged in turn", file=sys.stderr)

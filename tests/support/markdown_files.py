"""The Markdown files of the repository: their links, anchors and fenced blocks."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from places import REPOSITORY

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")


def markdown_files() -> list[Path]:
    """Return every Markdown file that git knows or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "*.md"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    names = done.stdout.split("\n") if done.returncode == 0 else []
    found = [REPOSITORY / name for name in names if name]
    # An unpacked source archive has no git.
    return sorted(
        path for path in found or REPOSITORY.rglob("*.md") if path.exists() and ".venv" not in path.parts
    )


def links(path: Path) -> Iterator[str]:
    """Yield the targets of a file's links and pictures; those in code are none."""
    yield from _LINK.findall(_FENCE.sub("", path.read_text(encoding="utf-8")))


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives a file's headings."""
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    found: dict[str, int] = {}
    for heading in re.findall(r"^#{1,6} (.*)$", text, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
        found[anchor] = found.get(anchor, -1) + 1
    return {
        name if not number else f"{name}-{number}"
        for name, last in found.items()
        for number in range(last + 1)
    }


def blocks(path: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language, in order."""
    return [text for kind, text in _FENCE.findall(path.read_text(encoding="utf-8")) if kind == language]


def command_lines(path: Path) -> Iterator[str]:
    """Yield the lines of fenced and indented code that call one of our commands."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if re.match(
            r"(?: {3,4}| {7})?(?:\.venv/bin/|xray/bin/)?xray-(?:infer|view|train|export|bench)(?: |$)", line
        ):
            yield line.strip()

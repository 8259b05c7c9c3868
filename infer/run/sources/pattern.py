"""Glob patterns that are matched while folders are walked, so that nothing is listed that cannot match.

`*`, `?` and `[...]` stand for characters within one name, `**` for any number of folders, as in a shell.
A pattern is a chain of states, one before each of its parts and one at the end; a name moves a set of
states on. The same code walks disks and object stores.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from typing import Final

States = frozenset[int]

_WILD: Final = re.compile(r"[*?[]")
_ANY_DEPTH: Final = "**"


@dataclass(frozen=True, slots=True)
class Pattern:
    """The parts of a pattern, one a level, relative to the folder that is walked."""

    parts: tuple[str, ...]

    def start(self) -> States:
        """Return the states of the folder that is walked."""
        return self._reached({0})

    def step(self, states: States, name: str) -> States:
        """Return the states of a name in a folder of these states; none when it does not match."""
        after = set()
        for state in states:
            if state == len(self.parts):
                continue
            part = self.parts[state]
            if part == _ANY_DEPTH:
                after.add(state)
            elif fnmatch.fnmatch(name, part):
                after.add(state + 1)
        return self._reached(after)

    def accepts(self, states: States) -> bool:
        """Say whether a file of these states matches."""
        return len(self.parts) in states

    def leads_on(self, states: States) -> bool:
        """Say whether anything inside a folder of these states can match."""
        return any(state < len(self.parts) for state in states)

    def _reached(self, states: set[int]) -> States:
        """Add what is reached without a name: `**` also stands for no folder at all."""
        reached = set(states)
        for state in states:
            while state < len(self.parts) and self.parts[state] == _ANY_DEPTH:
                state += 1
                reached.add(state)
        return frozenset(reached)


def has_wildcard(text: str) -> bool:
    """Say whether the text holds a character that a pattern reads as a wildcard."""
    return _WILD.search(text) is not None


def everything(*, recursive: bool) -> Pattern:
    """Return the pattern of all files in a folder, and if recursive of those in its sub-folders."""
    return Pattern((_ANY_DEPTH if recursive else "*",))


def below(parts: tuple[str, ...], *, recursive: bool) -> Pattern:
    """Return the pattern of these parts; if recursive, a folder that matches stands for all that it holds."""
    return Pattern((*parts, _ANY_DEPTH) if recursive else parts)


def split_wild(parts: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split a path's parts before the first that holds a wildcard."""
    first = next((n for n, part in enumerate(parts) if has_wildcard(part)), len(parts))
    return parts[:first], parts[first:]

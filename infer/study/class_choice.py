"""Which classes a data set has, in which order, and which of them are asked for: the option `--classes`.

    COVID,Normal                               two of the data's classes, the others are left out
    covid=COVID,pneumonia=Viral Pneumonia+Lung_Opacity,normal=Normal

A comma stands between classes, `=` renames, `+` merges. Names are as the data has them; one that holds a
comma, `=` or `+` stands in double quotes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from xray_infer.classes import CLASS_NAMES, LONGEST, check_class_names
from xray_infer.errors import one_line

_NAME: Final = r'\s*(?:"[^"]*"|[^",=+]+)\s*'
_CLASS: Final = re.compile(rf"(?P<name>{_NAME})(?:=(?P<parts>{_NAME}(?:\+{_NAME})*))?(?P<end>,|$)")
MOST_NAMED: Final = 12  # names in a message


@dataclass(frozen=True, slots=True)
class ClassChoice:
    """`parts` maps each class's name, in the order of the outputs, to the data's names that it is made of."""

    parts: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(self.parts)

    @property
    def labels(self) -> dict[str, int]:
        """The place of the class of each of the data's names."""
        return {part: place for place, parts in enumerate(self.parts.values()) for part in parts}


def parse_class_choice(text: str) -> ClassChoice:
    """Read what `--classes` is given. Raises ValueError, in one line.

    >>> parse_class_choice("sick=COVID+Lung_Opacity,Normal").parts
    {'sick': ('COVID', 'Lung_Opacity'), 'Normal': ('Normal',)}
    """
    found: list[tuple[str, tuple[str, ...]]] = []
    start, going_on = 0, True
    while going_on:
        one = _CLASS.match(text, start)
        if one is None:
            raise ValueError(
                f"{text[start:]!r} is not NAME or NAME=NAME+NAME, with commas between classes; "
                "put a name that holds a comma, = or + in double quotes"
            )
        parts = re.findall(_NAME, one["parts"] or one["name"])
        found.append((_plain(one["name"]), tuple(map(_plain, parts))))
        start, going_on = one.end(), one["end"] == ","
    check_class_names([name for name, _ in found])
    every = [part for _, parts in found for part in parts]
    twice = next((part for place, part in enumerate(every) if part in every[:place]), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is named twice; an image is of one class")
    return ClassChoice(dict(found))


def _plain(name: str) -> str:
    """Return a name without the blanks around it, and without its quotes."""
    return composed(name.strip().removeprefix('"').removesuffix('"'))


def composed(name: str) -> str:
    """Return a name with each letter and its accent as one character; some systems' folders have two."""
    return unicodedata.normalize("NFC", name)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return each name once: the study's in its own order where there are no others, else by the alphabet."""
    found = set(names)
    if found <= set(CLASS_NAMES):
        return tuple(name for name in CLASS_NAMES if name in found)
    return tuple(sorted(found, key=lambda name: (name.casefold(), name)))


def listed(names: Iterable[str]) -> str:
    """Return names for a message, not all of many."""
    shown = [one_line(name, longest=LONGEST) for name in names]
    rest = f" and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else ""
    return ", ".join(shown[:MOST_NAMED]) + rest

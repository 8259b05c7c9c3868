"""Names of classes, in the order of a model's outputs, and the notices shown with every result.

The classes are the model's: its manifest names them, and nothing else knows them. Those of the study stand
here, for files and data of before classes were free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

CLASS_NAMES: Final = ("covid", "pneumonia", "normal")  # of the study
FEWEST, MOST = 2, 50
LONGEST: Final = 64  # bytes of a name in UTF-8, so that files and columns can be named by it
UNCERTAIN: Final = "uncertain"  # the label that is shown below the confidence threshold
PREDICTED: Final = "predicted"  # of heat maps: the most probable class
ALL: Final = "all"
RESERVED: Final = (UNCERTAIN, PREDICTED, ALL)

RESEARCH_NOTICE: Final = "Research use only. Not a medical device, not for diagnosis."
HEATMAP_NOTICE: Final = "Shows what moved the score; it is not a localisation of disease."


def check_class_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of a model's classes. Raises ValueError, in one line, where they cannot be.

    Names become columns (`prob_NAME`), labels and parts of file names.

    >>> check_class_names(["Viral Pneumonia", "Normal"])
    ('Viral Pneumonia', 'Normal')
    >>> check_class_names(["normal", "Normal"])
    Traceback (most recent call last):
    ValueError: two classes are called 'Normal', capitals aside
    """
    if not FEWEST <= len(names) <= MOST:
        raise ValueError(f"{len(names)} classes; a model has {FEWEST} to {MOST}")
    seen: set[str] = set()
    for name in names:
        if problem := _problem(name):
            raise ValueError(f"the class name {name[: LONGEST + 1]!r} {problem}")
        if name.casefold() in seen:
            raise ValueError(f"two classes are called {name!r}, capitals aside")
        seen.add(name.casefold())
    return tuple(names)


def _problem(name: str) -> str:
    if not name or name != name.strip():
        return "is empty, or begins or ends with a blank"
    if len(name.encode(errors="replace")) > LONGEST:
        return f"is longer than {LONGEST} bytes"
    if not name.isprintable() or "/" in name or "\\" in name:
        return "has a slash or a character that cannot be printed"
    if name.casefold() in RESERVED or name.strip(".") == "":
        return "means something else here; rename the class"
    return ""

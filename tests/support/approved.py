"""Sentences that the tests compare, one file for each command: `tests/approved/COMMAND.toml`.

A sentence of the program can change in one place of the tests: its line there. Where a test takes it by
`match=`, it is a regular expression; what stands in braces the test fills in by `str.format`.
"""

import tomllib
from functools import cache

from places import REPOSITORY

FOLDER = REPOSITORY / "tests" / "approved"


@cache
def approved(command: str) -> dict[str, str]:
    """Return a command's sentences by name."""
    with (FOLDER / f"{command}.toml").open("rb") as stream:
        return tomllib.load(stream)

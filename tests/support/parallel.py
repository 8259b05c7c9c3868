"""How pytest-xdist shares the tests out: a file's tests stay together, with what its fixtures have made.

For `--dist loadscope --no-loadscope-reorder`, as `check.py` gives them: groups start in the order in which
they are collected, so that what takes long is begun first and does not end alone. pytest-xdist's own groups
(`loadgroup`) stand in the tests' names, which pytest 9.2 lets nobody change: each test was then alone.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

import pytest
from places import REPOSITORY

# Files that name one of these share a process: each is made once a process, and takes up to half a minute.
COSTLY: Final = {
    "keras": r"\btiny_(exports|reference|graph|keras)\b",
    "figures": r"\bfigures_of\(",
    "classes": r"\b(two|five)_classes\b",
}
# Groups by how long they take, the longest first; all others follow.
LONGEST: Final = (
    *("keras", "train/test_train", "classes", "run/test_ray", "figures", "docs/test_commands"),
    *("train/test_adapt", "test_readme", "test_hostile", "benchmarks/test_run", "viewer/test_screen"),
)


def group_of(nodeid: str) -> str:
    """Return the name of a test's group, by its full name: its file, or what several files share."""
    return _group_of_file(nodeid.partition("::")[0])


@cache
def _group_of_file(path: str) -> str:
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    costly = next((name for name, fixtures in COSTLY.items() if re.search(fixtures, text)), None)
    return costly or path.removeprefix("tests/").removesuffix(".py")


def make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return what gives whole groups to processes; None, for pytest-xdist's choice, with another `--dist`."""
    if config.getvalue("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = group_of
    return scheduler


def longest_first(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the groups, in a process of pytest-xdist."""
    if hasattr(config, "workerinput"):
        rank = {name: number for number, name in enumerate(LONGEST)}
        items.sort(key=lambda item: rank.get(group_of(item.nodeid), len(rank)))

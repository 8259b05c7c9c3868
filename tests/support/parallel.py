"""How pytest-xdist shares the tests out: a file's tests stay together, with what its fixtures have made.

For `--dist loadgroup --no-loadscope-reorder`, as `check.py` gives them: groups start in the order in which
they are collected, so that what takes long is begun first and does not end alone.
"""

from __future__ import annotations

from typing import Final

import pytest

# Tests with one of these fixtures share a process: each is made once a process, and takes half a minute.
COSTLY: Final = {
    "tiny_exports": "keras",
    "tiny_reference": "keras",
    "tiny_graph": "keras",
    "tiny_keras": "keras",
}
# Groups by how long they take, the longest first; all others follow.
LONGEST: Final = ("keras",)


def group_of(item: pytest.Item) -> str:
    """Return the name of a test's group: of its costly fixture, else of its file."""
    fixtures = getattr(item, "fixturenames", ())
    costly = next((COSTLY[name] for name in COSTLY if name in fixtures), None)
    path = item.nodeid.partition("::")[0]
    return costly or path.removeprefix("tests/").removesuffix(".py")


def share_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with its group and sort the groups, in a process of pytest-xdist."""
    if not hasattr(config, "workerinput"):
        return
    groups = {item: group_of(item) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(groups[item], len(rank)))

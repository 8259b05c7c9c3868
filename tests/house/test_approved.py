"""Every sentence in tests/approved is compared by a test of its command, under a name of its own."""

import re

import pytest
from approved import FOLDER, approved
from places import REPOSITORY

COMMANDS = sorted(path.stem for path in FOLDER.glob("*.toml"))


@pytest.fixture(scope="module")
def used() -> dict[str, set[str]]:
    """The names that tests look up, by command."""
    found: dict[str, set[str]] = {}
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        for command in re.findall(r'^SAYS = approved\("([^"]+)"\)', text, flags=re.MULTILINE):
            found.setdefault(command, set()).update(re.findall(r'SAYS\["([^"]+)"\]', text))
    return found


def test_every_command_has_its_file():
    assert COMMANDS == ["xray-bench", "xray-export", "xray-infer", "xray-train", "xray-view"]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_sentence_is_left_over_or_missing(used, command):
    assert used[command] == approved(command).keys()

"""Files, and tables in them, that the documents name are there."""

import re
from pathlib import Path

import pytest
from markdown_files import markdown_files
from places import REPOSITORY

PAGES = [page for page in markdown_files() if page.name != "CHANGELOG.md"]
TREE = re.compile(r"`((?:infer|train|export|benchmarks|tests|docs|samples|\.ci)/[\w./-]*|check\.py)`")
TABLE = re.compile(r"`([A-Z][A-Z_]+)` in `([\w./]+\.py)`")


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    named = TREE.findall(page.read_text(encoding="utf-8"))
    # A placeholder is written in capitals: infer/model/files/FILE.
    missing = [one for one in named if not re.search(r"[A-Z]{4}", one) and not (REPOSITORY / one).exists()]
    assert missing == []


def test_every_table_to_add_to_is_there() -> None:
    named = TABLE.findall((REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(named) >= 8
    for table, path in named:
        text = (REPOSITORY / path).read_text(encoding="utf-8")
        assert re.search(rf"^{table}\b.*=", text, re.MULTILINE), f"{table} in {path}"

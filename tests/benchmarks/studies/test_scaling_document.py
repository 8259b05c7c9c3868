"""docs/evidence/scaling.md: its tables are those that the commands printed."""

from places import REPOSITORY

PRINTED = REPOSITORY / "benchmarks" / "results" / "scaling"
DOCUMENT = (REPOSITORY / "docs" / "evidence" / "scaling.md").read_text(encoding="utf-8")


def rows(text):
    return [line for line in text.splitlines() if line.startswith("|") and not set(line) <= set("|-")]


def test_every_table_was_printed():
    printed = {line for path in PRINTED.glob("*.md") for line in rows(path.read_text(encoding="utf-8"))}
    found = rows(DOCUMENT)
    assert len(found) > 20
    assert not [line for line in found if line not in printed]

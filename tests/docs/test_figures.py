"""The README and the model card give no figure that the evidence does not have."""

import hashlib
import re

import pytest
from places import REPOSITORY

from xray_infer.model.choice import MODELS_FOLDER

EVIDENCE = "\n".join(
    path.read_text(encoding="utf-8") for path in (REPOSITORY / "docs" / "evidence").glob("*.md")
)
# Whole numbers of at least two digits, and decimals.
FIGURE = re.compile(r"(?<![\w.])\d[\d,]*\.\d+|(?<![\w.,])\d[\d,]*\d(?![\w,]*\.\d)")


def section(name: str, heading: str) -> str:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    level = heading.split()[0]
    rest = text[text.index(f"\n{heading}\n") + len(heading) + 1 :]
    found = re.search(rf"^#{{1,{len(level)}}} ", rest, re.MULTILINE)
    # Not in what a link is called, nor in where it leads.
    return re.sub(r"\[[^\]]*\]\([^)]*\)", "", rest[: found.start()] if found else rest)


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("README.md", "## Known limits"),
        ("MODEL_CARD.md", "## Evaluation"),
        ("MODEL_CARD.md", "## Ethical considerations and caveats"),
    ],
)
def test_every_figure_is_in_the_evidence(name, heading):
    figures = set(FIGURE.findall(section(name, heading)))
    assert len(figures) >= 5
    known = set(FIGURE.findall(EVIDENCE))
    assert sorted(figures - known) == []


def test_the_table_of_the_files_that_ship_was_printed():
    text = (REPOSITORY / "docs" / "evidence" / "accuracy.md").read_text(encoding="utf-8")
    shown = text[text.index("## The files that ship") : text.index("## What others report")]
    printed = (REPOSITORY / "benchmarks" / "results" / "shipped" / "results.md").read_text(encoding="utf-8")
    rows = [line for line in shown.splitlines() if line.startswith("| ")]
    assert len(rows) > 10
    assert [row for row in rows if row not in printed.splitlines()] == []


def test_the_card_lists_the_files_that_ship():
    table = (REPOSITORY / "MODEL_CARD.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([\w.-]+)` \| [^|]+ \| ([\d.]+) \| `([0-9a-f]{64})` \|$", table, re.MULTILINE)
    there = [path for path in sorted(MODELS_FOLDER.iterdir()) if not path.name.startswith("__")]
    assert listed == [
        (path.name, f"{path.stat().st_size / 1e6:.1f}", hashlib.sha256(path.read_bytes()).hexdigest())
        for path in there
    ]

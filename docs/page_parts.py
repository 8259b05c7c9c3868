"""What every page of the reference is made of: its head, tables, and docstrings as Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Final

HEAD: Final = "<!-- Written by docs/generate.py. Change the code or docs/meanings.py, not this file. -->\n"


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *([cell(one) for one in row] for row in rows)]
    return "\n".join(
        f"| {' | '.join(line)} |" if line[0] != "---" else "|---" * len(line) + "|" for line in lines
    )


def paragraphs(text: str) -> str:
    """Return a docstring for Markdown; its indented parts stay code, its examples become code."""
    lines = inspect.cleandoc(text).replace("\b\n", "")
    parts = re.split(r"\n{2,}", lines)
    return "\n\n".join(
        f"```python\n{part}\n```" if part.startswith(">>> ") else part.replace("<", "\\<") for part in parts
    ).strip()

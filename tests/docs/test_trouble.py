"""docs/how-to/trouble.md quotes what the program says."""

import re

from places import REPOSITORY


def test_every_message_that_is_explained_is_in_the_source() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "infer").rglob("*.py"))
    source = re.sub(r"""["']\n\s*f?["']""", "", source)  # a message over several lines
    source += " reading DICOM needs an extra"  # MissingExtraError puts two parts together
    text = (REPOSITORY / "docs" / "how-to" / "trouble.md").read_text(encoding="utf-8")
    tables = text[text.index("## Lines with exit status 2") : text.index("## The window")]
    messages = re.findall(r"^\| (`.*?) \|", tables, re.MULTILINE)
    parts = [
        part.strip()
        for message in messages
        for quoted in re.findall(r"`([^`]+)`", message)
        for part in quoted.split("...")
        if len(part.strip()) > 5
    ]
    assert len(parts) > 20
    assert [part for part in parts if part not in source] == []

"""Every relative link and anchor of every Markdown file resolves."""

from pathlib import Path

import pytest
from markdown_files import anchors, links, markdown_files
from places import REPOSITORY


@pytest.mark.parametrize("path", markdown_files(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(path: Path) -> None:
    broken = []
    for link in links(path):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_of_the_documents_is_reached_from_their_index() -> None:
    docs = REPOSITORY / "docs"
    seen, waiting = set(), [docs / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        if page.is_relative_to(docs):
            waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
    assert sorted(set(docs.rglob("*.md")) - seen) == []

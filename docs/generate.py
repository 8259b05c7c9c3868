"""Write docs/reference from the code: commands, the Python interface, file formats.

    python docs/generate.py            writes the files that differ
    python docs/generate.py --check    exit status 1, and their names, where they differ

Commands come from click, see `command_pages`; Python from docstrings, see `python_pages`; formats from the
dataclasses and the columns, their meanings from `meanings`.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from command_pages import PROGRAMS, command_page
from meanings import COLUMNS, MANIFEST, RECORD
from page_parts import HEAD, paragraphs, table
from python_pages import python_page

from xray_infer.model import embedding, manifest_parts
from xray_infer.model.embedding import MANIFEST_FILE, MANIFEST_KEY
from xray_infer.model.manifest import LATER_FIELDS, ModelManifest
from xray_infer.run.record import RECORD_SCHEMA
from xray_infer.run.results import ROW_SCHEMA, columns
from xray_infer.run.settings import what_changes_rows

REFERENCE: Final = Path(__file__).parent / "reference"


def row_page() -> str:
    """Return the page of the result row."""
    of_a_row = columns(("CLASS",))
    matched("columns", COLUMNS, of_a_row)
    rows = [(f"`{name}`", kind.__name__, COLUMNS[name]) for name, kind in of_a_row.items()]
    return "\n".join(
        (
            f"{HEAD}# The result row\n",
            f"One row for every input, in the order of the source. Version of the columns: {ROW_SCHEMA}.\n",
            table(("column", "type", "meaning"), rows) + "\n",
            "CSV, JSON Lines and Parquet have the same columns. A value that does not apply is empty in CSV "
            "and null elsewhere. Numbers have six decimals. In CSV an apostrophe stands before text that a "
            "spreadsheet would run as a formula.\n",
        )
    )


def manifest_page() -> str:
    """Return the page of the manifest inside a model file."""
    fields = dataclasses.fields(ModelManifest)
    matched("manifest", MANIFEST, [field.name for field in fields])
    rows = [
        (
            f"`{field.name}`",
            f"`{field.type}`",
            "yes" if field.name not in LATER_FIELDS else "no",
            MANIFEST[field.name],
        )
        for field in fields
    ]
    return "\n".join(
        (
            f"{HEAD}# The manifest inside a model file\n",
            doc_of(embedding).split("\n\nAn ONNX file is")[0] + "\n",
            f"`MANIFEST_KEY` is `{MANIFEST_KEY}`, `MANIFEST_FILE` is `{MANIFEST_FILE}`. "
            "`xray-export inspect FILE` prints the manifest of a file.\n",
            doc_of(importlib.import_module(ModelManifest.__module__)).split("\n\n", 1)[1] + "\n",
            table(("field", "type", "required", "meaning"), rows) + "\n",
            doc_of(manifest_parts) + "\n",
            *_records(manifest_parts),
        )
    )


def _records(module: ModuleType) -> Iterator[str]:
    """Yield a section for each public dataclass of a module: its docstring, its fields."""
    for name, thing in vars(module).items():
        if dataclasses.is_dataclass(thing) and thing.__module__ == module.__name__ and name[0] != "_":
            yield f"## {name}\n"
            yield paragraphs(thing.__doc__ or "") + "\n"
            rows = [(f"`{field.name}`", f"`{field.type}`") for field in dataclasses.fields(thing)]
            yield table(("field", "type"), rows) + "\n"


def doc_of(module: ModuleType) -> str:
    """Return a module's docstring for Markdown."""
    return paragraphs(module.__doc__ or "")


def record_page() -> str:
    """Return the page of the run record."""
    return "\n".join(
        (
            f"{HEAD}# The run record\n",
            f"`RESULTS.run.json` beside the results, or `run.json` among shards. Version: {RECORD_SCHEMA}. "
            "A dot separates the keys of nested objects.\n",
            table(("key", "meaning"), [(f"`{key}`", text) for key, text in RECORD.items()]) + "\n",
            "## Settings that change a row\n",
            "These options are in `what_rows_depend_on`, named as in Python's `EngineOptions`. The number of "
            "workers is not: it changes no row.\n",
            table(("setting", "why"), [(f"`{name}`", why) for name, why in what_changes_rows()]) + "\n",
        )
    )


def files_page() -> str:
    """Return the page of the files that a run keeps its state in."""
    parts = [f"{HEAD}# Files of an unfinished run, and shards\n"]
    for title, module in (("Journal", "xray_infer.run.journal"), ("Shards", "xray_infer.run.shards")):
        parts += [f"## {title}\n", doc_of(importlib.import_module(module)) + "\n"]
    return "\n".join(parts)


def index_page() -> str:
    """Return the folder's index."""
    lines = [f"- [{program}](cli-{program}.md)" for program in PROGRAMS]
    lines += [
        "- [Python](python.md)",
        "- [The result row](row.md)",
        "- [The run record](record.md)",
        "- [The manifest inside a model file](manifest.md)",
        "- [Files of an unfinished run, and shards](files.md)",
    ]
    text = "Written from the code by `python docs/generate.py`; a test compares."
    return "\n".join((f"{HEAD}# Reference\n", f"{text}\n", *lines, ""))


def matched(what: str, meanings: Mapping[str, str], names: Sequence[str] | Mapping[str, Any]) -> None:
    """Raise SystemExit where meanings are missing or left over."""
    odd = set(meanings) ^ set(names)
    if odd:
        raise SystemExit(f"docs/meanings.py, {what}: missing or left over: {', '.join(sorted(odd))}")


def pages() -> dict[str, str]:
    """Return every page of the reference by its file name."""
    return {
        "README.md": index_page(),
        **{f"cli-{program}.md": command_page(program) for program in PROGRAMS},
        "python.md": python_page(),
        "row.md": row_page(),
        "record.md": record_page(),
        "manifest.md": manifest_page(),
        "files.md": files_page(),
    }


def tidy(text: str) -> str:
    """Return a page without trailing blanks and with single empty lines."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.splitlines())).strip() + "\n"


def main() -> None:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    check = parser.parse_args().check
    wanted = {name: tidy(text) for name, text in pages().items()}
    found = {path.name: path.read_text(encoding="utf-8") for path in REFERENCE.glob("*.md")}
    differing = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    if check:
        if differing:
            sys.exit(f"run python docs/generate.py; these differ: {', '.join(differing)}")
        return
    for name in differing:
        if name in wanted:
            (REFERENCE / name).write_text(wanted[name], encoding="utf-8")
        else:
            (REFERENCE / name).unlink()
        print(f"wrote docs/reference/{name}")


if __name__ == "__main__":
    main()

"""The project's own import graph, read from the source, and the rooms of tests/house/rooms.toml."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from places import REPOSITORY

# Each top-level folder with source, and the package that it is.
FOLDERS: Final = {
    "infer": "xray_infer",
    "train": "xray_infer.train",
    "export": "xray_infer.export",
    "benchmarks": "xray_infer.benchmarks",
    "benchmarks/studies": "benchmarks.studies",
}
ROOMS: Final = REPOSITORY / "tests" / "house" / "rooms.toml"


@dataclass(frozen=True, slots=True)
class Room:
    """Modules by their import names, packages with all below them, and the rooms that they may import."""

    name: str
    holds: tuple[str, ...]
    may_import: frozenset[str]


def read_rooms() -> list[Room]:
    """Return the rooms from the ground up."""
    found = tomllib.loads(ROOMS.read_text(encoding="utf-8"))["room"]
    return [Room(one["name"], tuple(one["holds"]), frozenset(one["may_import"])) for one in found]


def room_of(module: str, rooms: list[Room]) -> str | None:
    """Return the name of the room that holds a module most closely; None for one that no room holds."""
    names = {held: room.name for room in rooms for held in room.holds}
    while module and module not in names:
        module = module.rpartition(".")[0]
    return names.get(module)


def source_files() -> dict[str, Path]:
    """Return the file of every module of the project, by import name; packages are their `__init__.py`."""
    files: dict[str, Path] = {}
    for folder, package in FOLDERS.items():
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            inside = path.relative_to(REPOSITORY / folder).with_suffix("").parts
            if folder == "benchmarks" and inside[0] == "studies":
                continue
            files[".".join((package, *(inside[:-1] if inside[-1] == "__init__" else inside)))] = path
    return files


def imports_of(path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    """Yield every module of the project that a file imports: at its top, late, and for types alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"  # a submodule, or something in the module
                found = full if full in modules else node.module
                if found in modules:
                    yield found


def named_in(path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    """Yield every module that a file names in a string, as tables do whose modules are imported late."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = re.fullmatch(r"((?:xray_infer|benchmarks)(?:\.\w+)+)(?::\w+)?", node.value)
            if name and name[1] in modules:
                yield name[1]


def import_graph() -> dict[str, set[str]]:
    """Return, for each module of the project, the others that it imports."""
    files = source_files()
    return {module: set(imports_of(path, files)) - {module} for module, path in files.items()}


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return what imports itself by way of others: the strongly connected parts of more than one (Tarjan)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        path.append(module)
        for other in sorted(graph[module]):
            if other not in order:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in path:
                lowest[module] = min(lowest[module], order[other])
        if lowest[module] == order[module]:
            start = path.index(module)
            if len(path) - start > 1:
                found.append(sorted(path[start:]))
            del path[start:]

    for module in graph:
        if module not in order:
            visit(module)
    return sorted(found)

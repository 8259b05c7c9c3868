"""Imports go only downwards through the rooms of `rooms.toml`, and never in a circle."""

import ast

import pytest
from places import REPOSITORY
from rooms import circles, import_graph, named_in, read_rooms, room_of, source_files

ROOMS = read_rooms()
MAY_IMPORT = {room.name: room.may_import | {room.name} for room in ROOMS}
# The package itself: its version, which everybody may import, and the late door to the Python interface.
PACKAGE = "xray_infer"
DOOR = {"xray_infer.classifier"}


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    return import_graph()


def test_each_room_may_import_only_rooms_below_it():
    below: set[str] = set()
    for room in ROOMS:
        assert room.may_import <= below, room.name
        below.add(room.name)


def test_every_module_is_in_a_room_and_every_room_is_there():
    modules = source_files()
    homeless = [name for name in modules if name != PACKAGE and room_of(name, ROOMS) is None]
    assert homeless == []
    assert [held for room in ROOMS for held in room.holds if held not in modules] == []


def test_imports_go_only_downwards(graph):
    """At the top of a module, late, for types alone, or by a name in a table."""
    files = source_files()
    upwards = [
        f"{module} imports {other}"
        for module, imported in graph.items()
        for other in sorted(imported | set(named_in(files[module], files)))
        if PACKAGE not in (module, other)
        if room_of(other, ROOMS) not in MAY_IMPORT[room_of(module, ROOMS) or ""]
    ]
    assert upwards == []
    assert graph[PACKAGE] == DOOR


def test_nothing_imports_itself_by_way_of_others(graph):
    assert (
        circles(
            {module: imported for module, imported in graph.items() if module != PACKAGE} | {PACKAGE: set()}
        )
        == []
    )


def test_only_studies_and_tests_import_studies(graph):
    users = [
        module for module, imported in graph.items() if any(one.startswith("benchmarks.") for one in imported)
    ]
    assert [user for user in users if not user.startswith("benchmarks.studies")] == []


def test_no_folder_is_imported_by_its_own_name():
    """`infer`, `train`, `export` and `benchmarks` would be found from the repository's root alone."""
    wrong = []
    for folder in ("infer", "train", "export", "benchmarks", "samples", "tests"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [f"{node.module}.{alias.name}" for alias in node.names]
                wrong += [
                    (path.relative_to(REPOSITORY).as_posix(), name) for name in names if is_folder(name)
                ]
    assert wrong == []


def is_folder(name: str) -> bool:
    return name.split(".")[0] in ("infer", "train", "export", "benchmarks") and not name.startswith(
        "benchmarks.studies"
    )


def test_a_circle_is_found():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a"}}
    assert circles(graph) == [["b", "c"]]

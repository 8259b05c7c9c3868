"""How large the house may be; `pytest -s tests/house/test_sizes.py` prints the figures."""

import ast
from collections import defaultdict
from pathlib import Path

from places import REPOSITORY
from rooms import source_files

MOST_LOOSE_FILES = 10
MOST_MODULES = 298
MOST_LINES = 40_720  # what there is today; any classes, adapt and the alarm took 3,600
MOST_LINES_A_FILE = 400

# Names that several modules have because they are the same thing, each of its own package: its command, its
# entry for `python -m`, its way with one format of files, its report.
SAME_MODULES = {"__main__", "cli", "csv_file", "dicom", "jpeg", "png", "report"}
SAME_CLASSES: set[str] = set()


def installed() -> dict[str, Path]:
    """The modules in the wheel."""
    return {name: path for name, path in source_files().items() if name.startswith("xray_infer")}


def number_of_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_few_files_are_loose():
    loose = sorted(path.name for path in (REPOSITORY / "infer").glob("*.py"))
    print(f"\n{len(loose)} loose files in infer/")
    assert len(loose) <= MOST_LOOSE_FILES, loose


def test_the_wheel_has_few_modules():
    print(f"\n{len(installed())} modules in the wheel")
    assert len(installed()) <= MOST_MODULES


def test_the_wheel_has_few_lines():
    total = sum(map(number_of_lines, installed().values()))
    print(f"\n{total:,} lines in the wheel")
    assert total <= MOST_LINES


def test_no_file_is_long():
    """Past so many lines a second job is hiding; studies are files, too."""
    long = {name: number_of_lines(path) for name, path in source_files().items()}
    print(f"\nlongest: {max((count, name) for name, count in long.items())}")
    assert {name: count for name, count in long.items() if count > MOST_LINES_A_FILE} == {}


def test_no_two_modules_of_one_name():
    modules = defaultdict(list)
    for name in installed():
        modules[name.rpartition(".")[2]].append(name)
    assert several(modules, SAME_MODULES) == {}


def test_no_two_classes_of_one_name():
    """Names with an underscore in front are their module's own."""
    classes = defaultdict(list)
    for module, path in installed().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes[node.name].append(module)
    assert several(classes, SAME_CLASSES) == {}


def several(found: dict[str, list[str]], same: set[str]) -> dict[str, list[str]]:
    return {name: places for name, places in found.items() if len(places) > 1 and name not in same}

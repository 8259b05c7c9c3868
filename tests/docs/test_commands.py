"""What the documents tell a reader to type: `sh` and `python` blocks run, options of all others exist.

The blocks of a page run one after the other in a folder with `samples/` and `scans/`, the second with three
DICOM files. A block that cannot run here is marked as `text`.
"""

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from markdown_files import blocks, command_lines, markdown_files
from places import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.glob("tutorial/*.md")) + sorted(DOCS.glob("how-to/*.md"))
MODULES = {
    "xray-infer": "xray_infer.cli",
    "xray-view": "xray_infer.viewer.cli",
    "xray-train": "xray_infer.train.cli",
    "xray-export": "xray_infer.export.cli",
    "xray-bench": "xray_infer.benchmarks.cli",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("pydicom")
    import cv2
    from dicom_files import dicom

    shutil.copytree(REPOSITORY / "samples", tmp_path / "samples")
    (tmp_path / "scans").mkdir()
    pixels = cv2.imread(str(tmp_path / "samples" / "phantom_normal_2.jpg"), cv2.IMREAD_GRAYSCALE)
    for number in range(1, 4):
        uids = dict.fromkeys(("SOPInstanceUID", "SeriesInstanceUID"), f"1.2.3.{number}")
        data = dicom(pixels, StudyInstanceUID="1.2.3", **uids)
        (tmp_path / "scans" / f"film{number}").write_bytes(data)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")], ids=name_of)
def test_the_commands_of_a_page_run(page: Path, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = "\n".join(blocks(page, "sh"))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, "XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_the_python_of_a_page_runs(page: Path, folder: Path) -> None:
    for block in blocks(page, "python"):
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block}\n{done.stderr}"
        assert done.stdout


# The changelog names what was, too.
NAMING = [page for page in markdown_files() if page.name != "CHANGELOG.md" and any(command_lines(page))]


@pytest.mark.parametrize("page", NAMING, ids=name_of)
def test_every_option_that_a_document_names_exists(page: Path) -> None:
    unknown = [
        f"{option}: {line}"
        for line in command_lines(page)
        for option in re.findall(r"(?<= )--?[a-z][a-z-]*", re.split(r" {3,}|#", line)[0])
        if option not in options_for(line)
    ]
    assert unknown == []


def options_for(line: str) -> set[str]:
    """Return the options of the command that a line calls, and of its sub-command."""
    program, *words = line.removeprefix(".venv/bin/").removeprefix("xray/bin/").split()
    command = importlib.import_module(MODULES[program]).main
    return {"--help", "-h", "--version", *_options(command, words)}


def _options(command: click.Command, words: list[str]) -> Iterator[str]:
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        default = getattr(command, "default_command", "")
        name = words[0] if words and words[0] in command.commands else default
        if name in command.commands:
            yield from _options(command.commands[name], words[1:])


def test_the_tutorial_shows_what_the_commands_print(folder: Path) -> None:
    """Its numbers are those of the model that ships; the last digits depend on the processor."""
    command = [sys.executable, "-m", "xray_infer", "samples/phantom_normal_1.png"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    printed = done.stdout.splitlines()
    shown = next(
        one for one in blocks(DOCS / "tutorial" / "first-run.md", "text") if "normal " in one
    ).splitlines()
    assert [line.split()[0] for line in printed] == [line.split()[0] for line in shown]
    for ours, theirs in zip(printed[1:4], shown[1:4], strict=True):
        assert float(ours.split()[1].rstrip("%")) == pytest.approx(
            float(theirs.split()[1].rstrip("%")), abs=2
        )

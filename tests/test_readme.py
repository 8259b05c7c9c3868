"""The README's first command, run as it stands there; the second is what CI runs."""

import ast
import csv
import os
import re
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner
from places import REPOSITORY

from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE, UNCERTAIN

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
INSTALL_AND_RUN, INSTALL_AND_TEST = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)


def test_the_first_command_ends_with_results(tmp_path):
    """In a fresh copy of the repository and a fresh environment."""
    copy = tmp_path / "xray-infer"
    shutil.copytree(
        REPOSITORY, copy, ignore=shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", "__pycache__")
    )
    done = subprocess.run(
        ["bash", "-c", INSTALL_AND_RUN], cwd=copy, capture_output=True, text=True, check=False
    )
    if done.returncode and re.search("No matching distribution|ConnectionError|Max retries", done.stderr):
        pytest.skip("no package index within reach")
    assert done.returncode == 0, done.stderr
    with (copy / "results.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == sorted(path.name for path in (copy / "samples").glob("phantom_*"))
    assert {row["status"] for row in rows} == {"ok"}
    # What is no Python has been installed, too: the report is made of a form, a style and a script.
    command = [copy / ".venv" / "bin" / "xray-infer", "samples", "--out", "r.csv", "--report", "page.html"]
    subprocess.run(command, cwd=copy, capture_output=True, check=True)
    assert RESEARCH_NOTICE in (copy / "page.html").read_text(encoding="utf-8")
    installed = os.listdir(next((copy / ".venv").glob("lib/python*/site-packages")))
    assert not [name for name in installed if name.startswith(("tensorflow", "keras", "torch"))]


def test_ci_runs_the_second_command():
    """`.ci/run` takes the line from the README, so that nothing else can be what passes."""
    script = (REPOSITORY / ".ci" / "run").read_text()
    extract = re.search(r"command=\$\((.*)\)", script)[1]
    done = subprocess.run(["bash", "-c", extract], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == INSTALL_AND_TEST
    # Nothing but axe-core, of which [dev] would bring a browser, too; the project itself by the command
    # alone.
    assert re.findall(r"pip install (.*)", script) == ["-q --no-deps axe-playwright-python"]


def test_the_python_example_runs_as_it_stands():
    (example,) = re.findall(r"```python\n(.*?)\n```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    good, bad = done.stdout.splitlines()
    status, label, answer = good.split(" ", 2)
    chances, reason = re.fullmatch(r"(\{.*\}) (.*)", answer).groups()
    chances = ast.literal_eval(chances)
    assert (status, list(chances)) == ("ok", list(CLASS_NAMES))
    assert label == (max(chances, key=chances.get) if reason == "" else UNCERTAIN)
    assert bad.startswith("error  {} not an image of a known format")
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["xray-infer", "xray-view", "xray-train", "xray-export", "xray-bench"])
def test_options_named_in_the_readme_exist(command):
    """Every option beside a command's name in an indented line is one that its help knows."""
    import importlib

    module = {
        "xray-infer": "cli",
        "xray-view": "viewer.cli",
        "xray-train": "train.cli",
        "xray-export": "export.cli",
    }
    main = importlib.import_module(f"xray_infer.{module.get(command, 'benchmarks.cli')}").main
    helps = ""
    for arguments in ([], *([name] for name in getattr(main, "commands", ()))):
        helps += CliRunner().invoke(main, [*arguments, "--help"]).stdout
    lines = [line for line in README.splitlines() if line.startswith(f"    {command} ")]
    assert lines
    for line in lines:
        for option in re.findall(r"(?<= )--[a-z-]+", line):
            assert option in helps, line

"""docs/reference is what docs/generate.py writes, and says all that there is to say."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from places import REPOSITORY

from xray_infer import cli


def generate(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "docs/generate.py", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_the_committed_reference_is_up_to_date() -> None:
    done = generate("--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_record_of_a_run_has_the_documented_keys(tmp_path: Path) -> None:
    meanings = runpy.run_path(str(REPOSITORY / "docs" / "meanings.py"))
    out = tmp_path / "r.csv"
    arguments = [str(REPOSITORY / "samples" / "phantom_normal_1.png"), "--out", str(out), "--quiet"]
    assert CliRunner().invoke(cli.main, arguments).exit_code == 0
    record = json.loads((tmp_path / "r.csv.run.json").read_text())
    assert set(keys(record, meanings["RECORD_LEAVES"])) == set(meanings["RECORD"])


def keys(record: dict[str, Any], leaves: frozenset[str], prefix: str = "") -> list[str]:
    found = []
    for name, value in record.items():
        key = prefix + name
        nested = isinstance(value, dict) and key not in leaves
        found += keys(value, leaves, f"{key}.") if nested else [key]
    return found

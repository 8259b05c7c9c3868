"""With the pytest and pytest-xdist that are installed, what belongs together runs in one process."""

import os
import re
import subprocess
import sys

from places import SUPPORT

import check

CONFTEST = """
from pathlib import Path
import parallel

parallel.REPOSITORY = Path(__file__).parent
pytest_xdist_make_scheduler = parallel.make_scheduler
pytest_collection_modifyitems = parallel.longest_first
"""
SIX_TESTS = """
import pytest

@pytest.mark.parametrize("number", range(6))
def test_of(number):
    "{text}"
"""
PLAIN = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin", "PYTHONPATH": str(SUPPORT)}


def test_a_file_stays_in_one_process_with_those_that_share_costly_fixtures(tmp_path):
    """Else each process makes each fixture of a module anew, and the run takes longer without a word."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    texts = {"alone": "", "costly": "tiny_graph", "other": "", "with_it": "tiny_keras"}
    for name, text in texts.items():
        (tmp_path / f"test_{name}.py").write_text(SIX_TESTS.format(text=text))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-v", *check.PARALLEL, "-n", "2", str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, env={**inherited, **PLAIN}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    ran = re.findall(r"\[(gw\d)\].* PASSED test_(\w+)\.py::", done.stdout)
    assert len(ran) == 24
    where = {file: {process for process, other in ran if other == file} for _, file in ran}
    assert all(len(processes) == 1 for processes in where.values())
    assert where["costly"] == where["with_it"] != where["alone"]

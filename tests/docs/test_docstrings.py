"""The examples in the docstrings of what Python users call."""

import doctest
import importlib
import os
from pathlib import Path

import pytest
from places import REPOSITORY

MODULES = ("xray_infer", "xray_infer.classifier")
EXAMPLES = [
    test
    for name in MODULES
    for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
    if test.examples
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_runs(example: doctest.DocTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert runner.run(example, out=report.append).failed == 0, "".join(report)
    assert Path.cwd() == REPOSITORY
    assert os.environ  # an example leaves the process as it was

"""The examples in the docstrings of what Python users call; each class that the package names has one."""

import doctest
import importlib

import pytest
from places import REPOSITORY

import xray_infer

MODULES = ("xray_infer", "xray_infer.classifier", "xray_infer.images.decode")
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


@pytest.mark.parametrize("name", [name for name in xray_infer.__all__ if not name.startswith("_")])
def test_every_public_class_has_an_example(name: str) -> None:
    assert [one.name for one in EXAMPLES if name in one.name.split(".")]

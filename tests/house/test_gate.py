"""The gate's own lists name what is there."""

import importlib.util
import re

import pytest
from places import REPOSITORY
from unexpected_skips import is_expected

from benchmarks.studies.mutations import MUTATIONS


def gate():
    spec = importlib.util.spec_from_file_location("gate", REPOSITORY / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_lists_of_the_gate_are_of_what_is_there():
    check = gate()
    assert [one for one in (*check.FAST, *check.TYPED) if not (REPOSITORY / one).exists()] == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_each_mutation_finds_its_place(mutation):
    text = (REPOSITORY / mutation.file).read_text(encoding="utf-8")
    mutated, places = re.subn(mutation.pattern, mutation.fault, text)
    assert places == 1
    compile(mutated, mutation.file, "exec")


def test_a_missing_package_is_no_reason_to_skip():
    assert is_expected("no ../shared/data beside the repository")
    assert is_expected("torch is not installed")
    for reason in ("no Chromium here", "could not import 'pyarrow'", "no reason given", "signals are off"):
        assert not is_expected(reason)

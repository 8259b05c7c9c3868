"""Modules that a test makes Python import anew, and that come back as they were when it ends."""

from __future__ import annotations

import sys

import pytest


def forget_modules(monkeypatch: pytest.MonkeyPatch, *prefixes: str) -> None:
    """Forget the modules whose names begin so, until the test ends.

    A package holds its modules as attributes, too: if these stayed the new ones, a later test that patches
    `package.module.name` by its name would patch a module that nothing uses.
    """
    forgotten = {name: module for name, module in sys.modules.items() if name.startswith(prefixes)}
    for name, module in forgotten.items():
        package, _, own = name.rpartition(".")
        if package in sys.modules:
            monkeypatch.setattr(sys.modules[package], own, module, raising=False)
    for name in forgotten:
        monkeypatch.delitem(sys.modules, name)

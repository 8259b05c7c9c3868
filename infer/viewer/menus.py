"""The window's menus, made of ACTIONS."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu

from xray_infer.viewer.actions import ACTIONS, Action


def add_menus(window: QMainWindow) -> None:
    """Give a window all of ACTIONS; each calls the method of its name."""
    menus: dict[str, QMenu] = {}
    for one in ACTIONS:
        if one.menu not in menus:
            menus[one.menu] = window.menuBar().addMenu(one.menu)
        action = QAction(one.text, window)
        action.setShortcuts([QKeySequence(key) for key in one.keys])
        action.setCheckable(one.checkable)
        method = attrgetter(one.name)(window)
        if one.checkable:
            action.toggled.connect(method)
        else:
            action.triggered.connect(_call(one, method))
        menus[one.menu].addAction(action)


def _call(action: Action, method: Callable[..., Any]) -> Callable[[], None]:
    def call() -> None:
        if action.argument is None:
            method()
        else:
            method(action.argument)

    return call

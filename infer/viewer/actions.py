"""Everything the user can do in the window, with its keys: the menus, and the page of keys that F1 shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Final

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu, QMessageBox

from xray_infer.classes import PREDICTED, RESEARCH_NOTICE
from xray_infer.viewer.canvas import Canvas
from xray_infer.viewer.film_list import FilmList
from xray_infer.viewer.heat_controls import KEYS, HeatControls


@dataclass(frozen=True, slots=True)
class Action:
    """One entry of a menu. `keys` are as Qt names them; `call` does it, and takes nothing."""

    menu: str
    text: str
    keys: tuple[str, ...]
    call: Callable[[], object]
    checkable: bool = False


def film_actions(films: FilmList) -> list[Action]:
    """Return what the user can do with the list of films."""
    return [
        Action("&Go", "&Next film", ("Right", "Down", "N"), partial(films.step, 1)),
        Action("&Go", "&Previous film", ("Left", "Up", "P"), partial(films.step, -1)),
        Action("&Go", "Ten films forward", ("PgDown",), partial(films.step, 10)),
        Action("&Go", "Ten films back", ("PgUp",), partial(films.step, -10)),
        Action("&Go", "&First film", ("Home",), films.go_to_first),
        Action("&Go", "&Last film", ("End",), films.go_to_last),
        Action("&Go", "Next film without an &answer", ("U",), partial(films.step_to_unanswered, 1)),
        Action("&Go", "Previous film without an answer", ("Shift+U",), partial(films.step_to_unanswered, -1)),
    ]


def heat_actions(heat: HeatControls) -> list[Action]:
    """Return what the user can do with the heat map."""
    return [
        Action("&Heat map", "&On or off", ("H",), heat.toggle),
        Action("&Heat map", "&Stronger", ("]",), partial(heat.fade, 10)),
        Action("&Heat map", "&Weaker", ("[",), partial(heat.fade, -10)),
        Action("&Heat map", "For the most &probable class", ("0",), partial(heat.pick, PREDICTED)),
    ]


def class_actions(heat: HeatControls, class_names: Sequence[str]) -> list[Action]:
    """Return a choice of the heat map for each class; the first nine have keys."""
    return [
        Action(
            "&Heat map",
            f"For {name}".replace("&", "&&"),
            (str(number),) if number < KEYS else (),
            partial(heat.pick, name),
        )
        for number, name in enumerate(class_names, 1)
    ]


def picture_actions(canvas: Canvas) -> list[Action]:
    """Return what the user can do with the picture."""
    return [
        Action("&Picture", "Zoom &in", ("+", "="), partial(canvas.zoom_notches, 1)),
        Action("&Picture", "Zoom &out", ("-",), partial(canvas.zoom_notches, -1)),
        Action("&Picture", "&Fit", ("F",), canvas.fit),
        Action("&Picture", "&Actual size", ("A",), canvas.actual_size),
        Action("&Picture", "Move left", ("Ctrl+Left",), partial(canvas.pan_steps, 1, 0)),
        Action("&Picture", "Move right", ("Ctrl+Right",), partial(canvas.pan_steps, -1, 0)),
        Action("&Picture", "Move up", ("Ctrl+Up",), partial(canvas.pan_steps, 0, 1)),
        Action("&Picture", "Move down", ("Ctrl+Down",), partial(canvas.pan_steps, 0, -1)),
        Action("&Picture", "Wider window", ("Alt+Right",), partial(canvas.widen_window, 1)),
        Action("&Picture", "Narrower window", ("Alt+Left",), partial(canvas.widen_window, -1)),
        Action("&Picture", "Brighter", ("Alt+Up",), partial(canvas.brighten, 1)),
        Action("&Picture", "Darker", ("Alt+Down",), partial(canvas.brighten, -1)),
        Action("&Picture", "&Reset window and level", ("R",), canvas.reset_window),
        Action("&Picture", "&Inverted", ("I",), canvas.invert, checkable=True),
        Action("&Picture", "Box around the judged &lungs", ("L",), canvas.toggle_lungs, checkable=True),
    ]


_MARK: Final = re.compile("&(&?)")  # before the letter that a menu underlines; doubled, the sign itself
MOUSE: Final = (
    ("Drag", "move the picture"),
    ("Drag with the right button, or with Shift", "window and level: right is wider, up is brighter"),
    ("Wheel", "zoom"),
    ("Double click", "fit the picture to the window"),
    ("Drop files or a folder", "open them"),
)


class Menus:
    """A window's menus, and at the end the one that shows all keys."""

    def __init__(self, window: QMainWindow, actions: Sequence[Action]) -> None:
        self._window = window
        self._menus: dict[str, QMenu] = {}
        self._actions: list[Action] = []
        help_action = Action("&Help", "&Keys and mouse", ("F1",), lambda: show_keys(window, self._actions))
        self.add((*actions, help_action))

    def add(self, actions: Sequence[Action]) -> None:
        """Add entries, in the order given, to menus that are there or new."""
        for one in actions:
            if one.menu not in self._menus:
                self._menus[one.menu] = self._window.menuBar().addMenu(one.menu)
            action = QAction(one.text, self._window)
            action.setShortcuts([QKeySequence(key) for key in one.keys])
            action.setCheckable(one.checkable)
            action.triggered.connect(partial(_call, one.call))
            self._menus[one.menu].addAction(action)
        order = list(self._menus)
        self._actions = sorted((*self._actions, *actions), key=lambda one: order.index(one.menu))


def _call(call: Callable[[], object], checked: bool = False) -> None:
    """Call an action; Qt also gives whether its mark is set, which no action needs."""
    call()


def show_keys(window: QMainWindow, actions: Sequence[Action]) -> None:
    """Show all keys over the window."""
    page = f"{keys_page(actions)}<p>{RESEARCH_NOTICE}</p>"
    QMessageBox(QMessageBox.Icon.NoIcon, "Keys and mouse", page, parent=window).exec()


def keys_page(actions: Sequence[Action]) -> str:
    """Return all keys and what the mouse does, as simple HTML."""
    rows = [(" or ".join(one.keys), _MARK.sub(r"\1", one.text).rstrip(".")) for one in actions if one.keys]
    lines = [
        f"<tr><td><b>{keys}</b></td><td>&nbsp;&nbsp;{escape(what)}</td></tr>"
        for keys, what in (*rows, *MOUSE)
    ]
    return f"<table>{''.join(lines)}</table>"

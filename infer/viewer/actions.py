"""Everything the user can do in the window, with its keys: the menus, and the page of keys that F1 shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu, QMessageBox

from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE
from xray_infer.viewer.canvas import Canvas
from xray_infer.viewer.film_list import FilmList
from xray_infer.viewer.heat_controls import PREDICTED, HeatControls


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
        *(
            Action("&Heat map", f"For {name}", (str(number),), partial(heat.pick, name))
            for number, name in enumerate(CLASS_NAMES, 1)
        ),
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


MOUSE: Final = (
    ("Drag", "move the picture"),
    ("Drag with the right button, or with Shift", "window and level: right is wider, up is brighter"),
    ("Wheel", "zoom"),
    ("Double click", "fit the picture to the window"),
    ("Drop files or a folder", "open them"),
)


def add_menus(window: QMainWindow, actions: Sequence[Action]) -> None:
    """Give a window its menus, and at the end the one that shows all keys."""
    menus: dict[str, QMenu] = {}
    help_action = Action("&Help", "&Keys and mouse", ("F1",), lambda: show_keys(window, everything))
    everything = (*actions, help_action)
    for one in everything:
        if one.menu not in menus:
            menus[one.menu] = window.menuBar().addMenu(one.menu)
        action = QAction(one.text, window)
        action.setShortcuts([QKeySequence(key) for key in one.keys])
        action.setCheckable(one.checkable)
        action.triggered.connect(partial(_call, one.call))
        menus[one.menu].addAction(action)


def _call(call: Callable[[], object], checked: bool = False) -> None:
    """Call an action; Qt also gives whether its mark is set, which no action needs."""
    call()


def show_keys(window: QMainWindow, actions: Sequence[Action]) -> None:
    """Show all keys over the window."""
    page = f"{keys_page(actions)}<p>{RESEARCH_NOTICE}</p>"
    QMessageBox(QMessageBox.Icon.NoIcon, "Keys and mouse", page, parent=window).exec()


def keys_page(actions: Sequence[Action]) -> str:
    """Return all keys and what the mouse does, as simple HTML."""
    rows = [(" or ".join(one.keys), one.text.replace("&", "").rstrip(".")) for one in actions if one.keys]
    lines = [f"<tr><td><b>{keys}</b></td><td>&nbsp;&nbsp;{what}</td></tr>" for keys, what in (*rows, *MOUSE)]
    return f"<table>{''.join(lines)}</table>"

"""All that can be done in the window, with its keys: what the menus show, and what the keys' page lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from xray_infer.classes import CLASS_NAMES


@dataclass(frozen=True, slots=True)
class Action:
    """Calls the window's method `name`, or that of a part of it, with `argument`, where there is one.

    `keys` are as Qt names them.
    """

    menu: str
    text: str
    name: str
    keys: tuple[str, ...] = ()
    argument: object = None
    checkable: bool = False


ACTIONS: Final = (
    Action("&File", "Open &images...", "ask_for_files", ("Ctrl+O",)),
    Action("&File", "Open &folder...", "ask_for_folder", ("Ctrl+Shift+O",)),
    Action("&File", "&Save heat map...", "save_heat_map", ("Ctrl+S",)),
    Action("&File", "Save &row...", "save_row", ("Ctrl+R",)),
    Action("&File", "Save &all rows...", "save_rows", ("Ctrl+Shift+R",)),
    Action("&File", "&Quit", "close", ("Ctrl+Q",)),
    Action("&Go", "&Next film", "step", ("Right", "Down", "N"), 1),
    Action("&Go", "&Previous film", "step", ("Left", "Up", "P"), -1),
    Action("&Go", "Ten on", "step", ("PgDown",), 10),
    Action("&Go", "Ten back", "step", ("PgUp",), -10),
    Action("&Go", "&First film", "go_to_end", ("Home",), -1),
    Action("&Go", "&Last film", "go_to_end", ("End",), 1),
    Action("&Go", "Next without an &answer", "step_to_unanswered", ("U",), 1),
    Action("&Go", "Previous without an answer", "step_to_unanswered", ("Shift+U",), -1),
    Action("&Heat map", "&On or off", "answer.heat.toggle", ("H",)),
    Action("&Heat map", "&Stronger", "answer.heat.fade", ("]",), 10),
    Action("&Heat map", "&Weaker", "answer.heat.fade", ("[",), -10),
    Action("&Heat map", "Of the most &probable class", "answer.heat.pick", ("0",), "predicted"),
    *(
        Action("&Heat map", f"Of {name}", "answer.heat.pick", (str(number),), name)
        for number, name in enumerate(CLASS_NAMES, 1)
    ),
    Action("&Picture", "Zoom &in", "zoom", ("+", "="), 1),
    Action("&Picture", "Zoom &out", "zoom", ("-",), -1),
    Action("&Picture", "&Fit", "canvas.fit", ("F",)),
    Action("&Picture", "&Actual size", "canvas.actual_size", ("A",)),
    Action("&Picture", "Move left", "pan", ("Ctrl+Left",), (1, 0)),
    Action("&Picture", "Move right", "pan", ("Ctrl+Right",), (-1, 0)),
    Action("&Picture", "Move up", "pan", ("Ctrl+Up",), (0, 1)),
    Action("&Picture", "Move down", "pan", ("Ctrl+Down",), (0, -1)),
    Action("&Picture", "Wider window", "change_window", ("Alt+Right",), (1, 0)),
    Action("&Picture", "Narrower window", "change_window", ("Alt+Left",), (-1, 0)),
    Action("&Picture", "Brighter", "change_window", ("Alt+Up",), (0, 1)),
    Action("&Picture", "Darker", "change_window", ("Alt+Down",), (0, -1)),
    Action("&Picture", "&Reset window and level", "canvas.reset_window", ("R",)),
    Action("&Picture", "&Inverted", "canvas.invert", ("I",), checkable=True),
    Action("&Help", "&Keys and mouse", "show_keys", ("F1",)),
)

MOUSE: Final = (
    ("Drag", "move the picture"),
    ("Drag with the right button, or with Shift", "window and level: right is wider, up is brighter"),
    ("Wheel", "zoom"),
    ("Double click", "show all of it"),
    ("Drop files or a folder", "open them"),
)


def keys_page() -> str:
    """Return all keys and what the mouse does, as simple HTML."""
    rows = [(" or ".join(one.keys), one.text.replace("&", "").rstrip(".")) for one in ACTIONS if one.keys]
    lines = [f"<tr><td><b>{keys}</b></td><td>&nbsp;&nbsp;{what}</td></tr>" for keys, what in (*rows, *MOUSE)]
    return f"<table>{''.join(lines)}</table>"

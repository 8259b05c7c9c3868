"""How the window looks: dark, so that a film is the brightest thing on the screen; one colour per class.

The first classes' colours are close to Okabe and Ito's, which colour-blind people can tell apart; the class's
name always stands beside its colour. Text of other people, names and reasons, is shown in a `WrappedLabel`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication, QLabel

_CLASS_COLOURS: Final = (
    "#E69F00",
    "#56B4E9",
    "#20B888",
    "#F0E442",
    "#CC79A7",
    "#D5764B",
    "#8AA4FF",
    "#BFC5CC",
)
_GOLDEN: Final = 0.618034  # of a turn: hues that come one after the other are far apart
QUIET: Final = QColor("#9AA0A6")
WARNING: Final = QColor("#FF8A80")
OUTLINE: Final = QColor("#80DEEA")  # of what is drawn over a film: no class's colour, and no colour of heat
_INK: Final = QColor("#E8EAED")
_PANEL: Final = QColor("#202124")
_DEEP: Final = QColor("#17181A")
_RAISED: Final = QColor("#303134")
_CHOSEN: Final = QColor("#3C4F6B")
_BREAK: Final = "\N{ZERO WIDTH SPACE}"
_MAY_BREAK: Final = re.compile(r"([/\\_.-]+|[^\s/\\_.-]{24})(?=\S)")


def class_colour(class_names: Sequence[str], name: str) -> QColor:
    """Return the colour of a class among those of its model; QUIET for what is none of them."""
    if name not in class_names:
        return QUIET
    place = class_names.index(name)
    if place < len(_CLASS_COLOURS):
        return QColor(_CLASS_COLOURS[place])
    return QColor.fromHslF(place * _GOLDEN % 1, 0.55, 0.65)


def apply_style(app: QApplication) -> None:
    """Give the program its looks, the same on every system."""
    app.setStyle("Fusion")
    palette = QPalette()
    roles = QPalette.ColorRole
    for role, colour in {
        roles.Window: _PANEL,
        roles.WindowText: _INK,
        roles.Base: _DEEP,
        roles.AlternateBase: _PANEL,
        roles.Text: _INK,
        roles.Button: _RAISED,
        roles.ButtonText: _INK,
        roles.ToolTipBase: _RAISED,
        roles.ToolTipText: _INK,
        roles.PlaceholderText: QUIET,
        roles.Highlight: _CHOSEN,
        roles.HighlightedText: _INK,
    }.items():
        palette.setColor(role, colour)
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor("#6B7075"))
    app.setPalette(palette)


class WrappedLabel(QLabel):
    """Text that wraps to its width, even in long names, can be selected, and is never taken for markup."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self._text = ""
        self.setTextFormat(Qt.TextFormat.PlainText)  # names and reasons are other people's text
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setText(text)

    def setText(self, text: str) -> None:
        """Show a text."""
        self._text = text
        self.setAccessibleName(text)
        super().setText(_MAY_BREAK.sub(rf"\1{_BREAK}", text))

    def text(self) -> str:
        """Return the text as it was given."""
        return self._text

"""Text in the window."""

from __future__ import annotations

import re
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

_BREAK: Final = "\N{ZERO WIDTH SPACE}"
_MAY_BREAK: Final = re.compile(r"([/\\_.-]+|[^\s/\\_.-]{24})(?=\S)")


class Wrapped(QLabel):
    """Text that wraps to its width, long names too, can be selected, and is never taken for markup."""

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

"""The line below the window: how far it is, what was last told, how the picture is shown."""

from __future__ import annotations

import time
from collections.abc import Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QProgressBar, QStatusBar

from xray_infer.run.results import ERROR, REJECTED
from xray_infer.viewer.words import NOT_JUDGED, UNREAD


class Status(QStatusBar):
    """See the module. `told` is a line that stays until the next one; `picture` is the right end."""

    def __init__(self) -> None:
        super().__init__()
        self.told = ""
        self._bar = QProgressBar()
        self._bar.setMaximumWidth(160)
        self._bar.setTextVisible(False)
        self._bar.hide()
        self._text, self.picture = QLabel(), QLabel()
        for label in (self._text, self.picture):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.addWidget(self._bar)
        self.addWidget(self._text, 1)
        self.addPermanentWidget(self.picture)
        self.begin()

    def begin(self) -> None:
        """Count from here on."""
        self.listed = self.judging = False
        self.skipped = 0
        self.told = ""
        self._first: tuple[float, int] | None = None  # when there was an answer, and how many there were
        self._rate = 0.0

    @property
    def text(self) -> str:
        """What stands there."""
        return self._text.text()

    def show_progress(self, count: int, counts: Mapping[str, int]) -> None:
        """Show how many of so many films have an answer, by status."""
        done = sum(counts.values())
        self._bar.setVisible(self.judging and count > 0)
        self._bar.setRange(0, max(count, 1))
        self._bar.setValue(done)
        words = list(self._words(count, done, counts)) if count else []
        if self.judging and not self.listed:
            words.append("looking for images")
        self._text.setText("  ·  ".join(filter(None, (", ".join(words), self.told))))

    def _words(self, count: int, done: int, counts: Mapping[str, int]) -> list[str]:
        words = [f"{done:,} of {count:,} films"]
        words += [
            f"{counts[status]:,} {what}"
            for status, what in ((REJECTED, NOT_JUDGED), (ERROR, UNREAD))
            if counts.get(status)
        ]
        if self.skipped:
            words.append(f"{self.skipped:,} other files")
        if rate := self._answers_a_second(done):
            words.append(f"{rate:.1f} a second")
        return words

    def _answers_a_second(self, done: int) -> float:
        """Return the rate since the first look that found an answer, without the model's loading."""
        if self.judging and done:
            now = time.monotonic()
            since, count = self._first = self._first or (now, done)
            self._rate = (done - count) / (now - since) if now > since else 0.0
        return self._rate

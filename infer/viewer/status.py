"""The line below the window: the progress, the last message, the picture's size, zoom, window and level."""

from __future__ import annotations

import time
from collections.abc import Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QProgressBar, QStatusBar

from xray_infer.run.results import ERROR, REJECTED
from xray_infer.viewer.words import NOT_CLASSIFIED, UNREAD


class StatusLine(QStatusBar):
    """See the module. `message` stays until the next one; `picture` is the label at the right end."""

    def __init__(self) -> None:
        super().__init__()
        self.message = ""
        self._bar = QProgressBar()
        self._bar.setMaximumWidth(160)
        self._bar.setTextVisible(False)
        self._bar.hide()
        self._text, self.picture = QLabel(), QLabel()
        self._text.setIndent(6)  # off the window's edge, where no progress is shown
        for label in (self._text, self.picture):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.addWidget(self._bar)
        self.addWidget(self._text, 1)
        self.addPermanentWidget(self.picture)
        self.reset()

    def reset(self) -> None:
        """Start again for a new worklist."""
        self.listed = self.classifying = False
        self.skipped = 0
        self.message = ""
        self._first: tuple[float, int] | None = None  # time of the first answers, and their number
        self._rate = 0.0

    @property
    def text(self) -> str:
        """The text at the left."""
        return self._text.text()

    def show_progress(self, count: int, counts: Mapping[str, int]) -> None:
        """Show how many of `count` films have an answer; `counts` is by status."""
        done = sum(counts.values())
        self._bar.setVisible(self.classifying and count > 0)
        self._bar.setRange(0, max(count, 1))
        self._bar.setValue(done)
        words = list(self._words(count, done, counts)) if count else []
        if self.classifying and not self.listed:
            words.append("looking for images")
        self._text.setText("  ·  ".join(filter(None, (", ".join(words), self.message))))

    def _words(self, count: int, done: int, counts: Mapping[str, int]) -> list[str]:
        words = [f"{done:,} of {count:,} films"]
        words += [
            f"{counts[status]:,} {what}"
            for status, what in ((REJECTED, NOT_CLASSIFIED), (ERROR, UNREAD))
            if counts.get(status)
        ]
        if self.skipped:
            words.append(f"{self.skipped:,} other files skipped")
        if rate := self._films_per_second(done):
            words.append(f"{rate:.1f} films per second")
        return words

    def _films_per_second(self, done: int) -> float:
        """Return the rate since the first answers, so that loading the model does not count."""
        if self.classifying and done:
            now = time.monotonic()
            since, count = self._first = self._first or (now, done)
            self._rate = (done - count) / (now - since) if now > since else 0.0
        return self._rate

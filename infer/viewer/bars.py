"""The probabilities of a film, a bar a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from xray_infer.classes import CLASS_NAMES
from xray_infer.viewer.style import CLASS_COLOURS

_BAR_HEIGHT: Final = 26


class Bars(QWidget):
    """The probabilities, a bar a class; a click takes the class for the heat map."""

    picked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._chances: Mapping[str, float] = {}
        self.setFixedHeight(_BAR_HEIGHT * len(CLASS_NAMES))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_chances(self, chances: Mapping[str, float]) -> None:
        """Show probabilities by class, 0..1; none without an answer."""
        self._chances = chances
        said = ", ".join(f"{name} {value:.1%}" for name, value in chances.items())
        self.setAccessibleName(f"Probabilities: {said or 'none'}")
        self.update()

    def sizeHint(self) -> QSize:
        """Qt's hook."""
        return QSize(240, _BAR_HEIGHT * len(CLASS_NAMES))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt's hook."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = painter.fontMetrics()
        names = max(metrics.horizontalAdvance(name) for name in CLASS_NAMES) + 8
        numbers = metrics.horizontalAdvance("100.0 %") + 8
        most = self.width() - names - numbers
        for number, name in enumerate(CLASS_NAMES):
            line = QRect(0, number * _BAR_HEIGHT, self.width(), _BAR_HEIGHT)
            middle = Qt.AlignmentFlag.AlignVCenter
            painter.setPen(self.palette().text().color())
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft | middle, name)
            track = QRectF(names, line.top() + 6, most, _BAR_HEIGHT - 12)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self.palette().base())
            painter.drawRoundedRect(track, 3, 3)
            value = self._chances.get(name)
            if value is not None:
                painter.setBrush(CLASS_COLOURS[name])
                painter.drawRoundedRect(
                    QRectF(track.left(), track.top(), track.width() * value, track.height()), 3, 3
                )
                painter.setPen(self.palette().text().color())
                painter.drawText(line, Qt.AlignmentFlag.AlignRight | middle, f"{value:.1%}")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt's hook."""
        number = int(event.position().y()) // _BAR_HEIGHT
        if 0 <= number < len(CLASS_NAMES):
            self.picked.emit(CLASS_NAMES[number])

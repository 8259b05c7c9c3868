"""Controls of the heat map: the class that it is drawn for, and its strength over the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from PySide6.QtCore import QRect, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QGroupBox,
    QRadioButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from xray_infer.classes import HEATMAP_NOTICE, PREDICTED
from xray_infer.outputs.heatmaps.blend import blend
from xray_infer.outputs.heatmaps.methods import Heatmap
from xray_infer.outputs.heatmaps.overlay import describe
from xray_infer.viewer.render import ArrayImage
from xray_infer.viewer.style import QUIET, WrappedLabel
from xray_infer.viewer.words import NO_HEAT_MAP

KEYS: Final = 10  # that choose a class, 0 to 9
_BAR, _NUMBERS = 12, 18  # heights of the scale, in points of the screen


class ColourScale(QWidget):
    """The heat map's colours from 0 to its largest value, as they look over gray."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._end = ""
        self.setFixedHeight(_BAR + _NUMBERS)

    def show_end(self, end: str) -> None:
        """Show the value of the last colour; an empty text hides the scale."""
        self._end = end
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt's hook."""
        if not self._end:
            return
        width = self.width()
        gray = np.full((_BAR, width), 96, np.uint8)
        heat = np.linspace(0, 255 * 256, width).astype(np.uint16)[None].repeat(_BAR, axis=0)
        bar = np.empty((_BAR, width, 3), np.uint8)
        blend(gray, heat, bar)
        painter = QPainter(self)
        painter.drawImage(0, 0, ArrayImage(bar))
        painter.setPen(QUIET)
        below = QRect(0, _BAR, width, _NUMBERS)
        for side, text in ((Qt.AlignmentFlag.AlignLeft, "0"), (Qt.AlignmentFlag.AlignRight, self._end)):
            painter.drawText(below, side | Qt.AlignmentFlag.AlignVCenter, text)


class HeatControls(QGroupBox):
    """Controls of the heat map: the class that it is drawn for, and its strength over the picture."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Heat map", parent)
        self._buttons = QButtonGroup(self)
        self._names: tuple[str, ...] = ()
        self._classes = QGridLayout()
        self.show_classes(())
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setRange(0, 100)
        self._slider.setPageStep(10)
        self._slider.setAccessibleName("Strength of the heat map, in per cent")
        self._slider.setToolTip("[ and ]; H turns it off and on")
        self._before = 100
        self._scale = ColourScale()
        self._text = WrappedLabel()
        layout = QVBoxLayout(self)
        layout.addLayout(self._classes)
        layout.addWidget(self._slider)
        layout.addWidget(self._scale)
        layout.addWidget(self._text)
        self._buttons.idClicked.connect(self.changed)
        self._slider.valueChanged.connect(self.changed)

    def show_classes(self, class_names: Sequence[str]) -> None:
        """Offer the classes of a model, beside the most probable one, which is chosen."""
        for button in self._buttons.buttons():
            self._buttons.removeButton(button)
            self._classes.removeWidget(button)
            button.deleteLater()
        self._names = (PREDICTED, *class_names)
        for number, name in enumerate(self._names):
            button = QRadioButton(f"{number} {name}".replace("&", "&&"))
            if number < KEYS:
                button.setToolTip(f"Key {number}")
            self._buttons.addButton(button, number)
            self._classes.addWidget(button, number // 2, number % 2)
        self._buttons.button(0).setChecked(True)

    @property
    def shown(self) -> str:
        """The class whose heat map is shown, or `predicted`."""
        return self._names[self._buttons.checkedId()]

    @property
    def strength(self) -> float:
        """Opacity of the heat map, 0 to 1."""
        return self._slider.value() / 100

    def pick(self, name: str) -> None:
        """Choose this class, and turn the heat map on if it is off."""
        self._buttons.button(self._names.index(name)).setChecked(True)
        if self._slider.value() == 0:
            self._slider.setValue(self._before)
        self.changed.emit()

    def fade(self, by: int) -> None:
        """Make the heat map stronger or weaker by so many per cent."""
        self._slider.setValue(self._slider.value() + by)

    def toggle(self) -> None:
        """Turn the heat map off, or back on with the strength that it had."""
        if self._slider.value():
            self._before = self._slider.value()
            self._slider.setValue(0)
        else:
            self._slider.setValue(self._before)

    def describe(self, heatmap: Heatmap | None) -> None:
        """Show the scale and the explanation of this heat map."""
        if heatmap is None:
            self._scale.show_end("")
            self._text.setText(NO_HEAT_MAP)
            return
        self._scale.show_end(f"{heatmap.scale:.3g} {heatmap.unit}")
        self._text.setText(f"{describe(heatmap)} {HEATMAP_NOTICE}")

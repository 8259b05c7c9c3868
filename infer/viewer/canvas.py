"""The picture: pan, zoom, window and level, inversion, the heat map over it; or a few words in its place."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from xray_infer.viewer.images import to_image
from xray_infer.viewer.placement import STEP, Placement
from xray_infer.viewer.render import Levels, Window, render

# Of dragging: so many pixels make the window e times as wide, or the level less by all its width.
PIXELS_A_FACTOR: Final = 300.0
NOTCH: Final = 120.0  # of a wheel, in Qt's units
_MARGIN: Final = 10


class Drag(Enum):
    """What moving the mouse does."""

    NOTHING = auto()
    PAN = auto()
    WINDOW = auto()


class Canvas(QWidget):
    """See the module. The left button pans; the right one, or the left with Shift, changes window and level.

    To the right is a wider window, upwards a brighter picture. A double click fits the picture in again.
    """

    changed = Signal()  # window, level or zoom

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(240, 240)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        self.setAccessibleName("Picture")
        self._levels: Levels | None = None
        self._words = ""
        self._window = Window(0, 255)
        self._placement: Placement | None = None  # None: fitted to whatever size there is
        self._heat: NDArray[np.uint16] | None = None
        self._strength = 0.0
        self._drag = Drag.NOTHING
        self._last = QPointF()

    @property
    def window_now(self) -> Window:
        """Window and level as they are."""
        return self._window

    @property
    def words(self) -> str:
        """What stands in the picture's place; empty while there is one."""
        return self._words

    @property
    def has_picture(self) -> bool:
        """Whether a picture is shown."""
        return self._levels is not None

    def show_picture(self, levels: Levels) -> None:
        """Show a picture as a whole, in the window that it comes with; inversion stays as it is."""
        self._levels, self._words, self._placement = levels, "", None
        self.reset_window()

    def show_words(self, words: str) -> None:
        """Show words in the picture's place."""
        self._levels, self._words = None, words
        self._updated()

    def show_heat(self, heat: NDArray[np.uint16] | None, strength: float) -> None:
        """Lay a heat map over the picture, as `stretch` returns it; `strength` 0 to 1."""
        self._heat, self._strength = heat, strength
        self.update()

    def zoom(self, factor: float, at: QPointF | None = None) -> None:
        """Enlarge around a point of the widget, by default its middle."""
        placed = self._placed()
        if placed is None or self._levels is None:
            return
        ratio = self.devicePixelRatioF()
        offset = (0.0, 0.0)
        if at is not None:
            middle = QPointF(self.width() / 2, self.height() / 2)
            offset = ((at.x() - middle.x()) * ratio, (at.y() - middle.y()) * ratio)
        fitting = Placement.fitting(self._levels.shape, self._screen()).scale
        self._place(placed.zoomed(factor, offset, smallest=min(fitting, 1.0)))

    def fit(self) -> None:
        """Show all of the picture."""
        self._placement = None
        self._updated()

    def actual_size(self) -> None:
        """Show a pixel of the picture as one of the screen."""
        placed = self._placed()
        if placed is not None:
            self._place(Placement(1.0, placed.x, placed.y))

    def pan(self, dx: float, dy: float) -> None:
        """Move the picture by so many points of the screen."""
        placed = self._placed()
        if placed is not None:
            ratio = self.devicePixelRatioF()
            self._place(placed.moved(dx * ratio, dy * ratio))

    def change_window(self, *, wider: float = 0.0, brighter: float = 0.0) -> None:
        """Change window and level, see `Window.changed`."""
        if self._levels is not None:
            reach = self._levels.reach
            self._window = self._window.changed(wider=wider, brighter=brighter, reach=reach)
            self._updated()

    def invert(self, inverted: bool) -> None:
        """Turn black and white round, for this and the next pictures."""
        self._window = Window(self._window.black, self._window.white, inverted)
        self._updated()

    def reset_window(self) -> None:
        """Take the window that the picture comes with."""
        if self._levels is not None:
            self._window = Window.of(self._levels.picture, inverted=self._window.inverted)
            self._updated()

    def state(self) -> str:
        """Return zoom, window and level in words; empty without a picture."""
        placed = self._placed()
        if placed is None or self._levels is None:
            return ""
        inverted = ", inverted" if self._window.inverted else ""
        picture = self._levels.picture  # in its file's own measure, as other programs tell it
        span = abs(picture.unit) * self._window.width
        level = picture.zero + picture.unit * self._window.level
        form = ",.0f" if abs(picture.unit) >= 1 else ".4g"
        window = f"window {span:{form}}, level {level:{form}}"
        height, width = self._levels.shape
        return f"{width:,} x {height:,}, {placed.scale:.0%}, {window}{inverted}"

    def sizeHint(self) -> QSize:
        """Qt's hook."""
        return QSize(700, 700)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt's hook."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(0, 0, 0))
        placed = self._placed()
        if self._levels is None or placed is None:
            self._paint_words(painter)
            return
        shown = render(self._levels, self._window, placed, self._screen(), self._heat, self._strength)
        if shown is not None:
            ratio = self.devicePixelRatioF()
            height, width = shown.pixels.shape[:2]
            target = QRectF(shown.x / ratio, shown.y / ratio, width / ratio, height / ratio)
            painter.drawImage(target, to_image(shown.pixels))

    def _paint_words(self, painter: QPainter) -> None:
        font = painter.font()
        font.setPointSizeF(font.pointSizeF() * 1.2)
        painter.setFont(font)
        painter.setPen(QColor(230, 230, 230))
        room = QRectF(self.rect()).adjusted(4 * _MARGIN, _MARGIN, -4 * _MARGIN, -_MARGIN)
        painter.drawText(room, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._words)

    def _screen(self) -> tuple[int, int]:
        ratio = self.devicePixelRatioF()
        return max(1, round(self.height() * ratio)), max(1, round(self.width() * ratio))

    def _placed(self) -> Placement | None:
        if self._levels is None:
            return None
        return self._placement or Placement.fitting(self._levels.shape, self._screen())

    def _place(self, placement: Placement) -> None:
        if self._levels is not None:
            self._placement = placement.kept_in(self._levels.shape)
            self._updated()

    def _updated(self) -> None:
        self.update()
        self.changed.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Qt's hook."""
        left = event.button() == Qt.MouseButton.LeftButton
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if event.button() == Qt.MouseButton.RightButton or (left and shift):
            self._drag = Drag.WINDOW
        elif left or event.button() == Qt.MouseButton.MiddleButton:
            self._drag = Drag.PAN
        self._last = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Qt's hook."""
        moved = event.position() - self._last
        self._last = event.position()
        if self._drag == Drag.PAN:
            self.pan(moved.x(), moved.y())
        elif self._drag == Drag.WINDOW:
            self.change_window(wider=moved.x() / PIXELS_A_FACTOR, brighter=-moved.y() / PIXELS_A_FACTOR)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Qt's hook."""
        self._drag = Drag.NOTHING

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Qt's hook."""
        self.fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Qt's hook."""
        notches = event.angleDelta().y() / NOTCH
        if notches:
            self.zoom(STEP**notches, event.position())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt's hook."""
        self.changed.emit()

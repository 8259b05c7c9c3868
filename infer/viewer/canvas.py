"""Shows the picture with pan, zoom, window and level, inversion, heat map and box; or a message instead."""

from __future__ import annotations

from dataclasses import replace
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
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from xray_infer.images.preprocess import Area
from xray_infer.viewer.render import STEP, ArrayImage, ImagePyramid, Placement, WindowLevel, render
from xray_infer.viewer.style import OUTLINE

# A drag over so many pixels makes the window e times as wide, or lowers the level by the window's width.
PIXELS_PER_FACTOR: Final = 300.0
NOTCH: Final = 120.0  # one notch of a wheel, in Qt's units
PAN_STEP: Final = 60  # of one key, in points of the screen
WINDOW_STEP: Final = 0.1  # of one key: the window's width changes by the factor e^0.1
BRIGHTNESS_STEP: Final = 0.05  # of one key: the level changes by this share of the window's width
_MARGIN: Final = 10


class Drag(Enum):
    """What moving the mouse does."""

    NOTHING = auto()
    PAN = auto()
    WINDOW = auto()


class Canvas(QWidget):
    """See the module. The left button pans; the right one, or the left with Shift, changes window and level.

    To the right makes the window wider, up makes the picture brighter. A double click fits the picture again.
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
        self._pyramid: ImagePyramid | None = None
        self._message = ""
        self._window_level = WindowLevel(0, 255)
        self._placement: Placement | None = None  # None: fitted to whatever size there is
        self._heat: NDArray[np.uint16] | None = None
        self._strength = 0.0
        self._lungs: Area | None = None
        self._shows_lungs = False
        self._drag = Drag.NOTHING
        self._last = QPointF()

    @property
    def window_level(self) -> WindowLevel:
        """Window and level as they are now."""
        return self._window_level

    @property
    def message(self) -> str:
        """The message in the picture's place; empty while there is a picture."""
        return self._message

    @property
    def has_picture(self) -> bool:
        """Whether a picture is shown."""
        return self._pyramid is not None

    def show_picture(self, pyramid: ImagePyramid) -> None:
        """Show the whole picture, with its own window and level; inversion stays as it is."""
        self._pyramid, self._message, self._placement = pyramid, "", None
        self.reset_window()

    def show_message(self, message: str) -> None:
        """Show a message in the picture's place."""
        self._pyramid, self._message = None, message
        self._updated()

    def show_heat(self, heat: NDArray[np.uint16] | None, strength: float) -> None:
        """Lay a heat map over the picture, as `stretch` returns it; `strength` 0 to 1."""
        self._heat, self._strength = heat, strength
        self.update()

    def show_lungs(self, lungs: Area | None) -> None:
        """Know where the lungs are that the model was given; None where it was given all of the picture."""
        self._lungs = lungs
        self.update()

    def toggle_lungs(self) -> None:
        """Draw a box around the lungs that the model was given, or draw it no more."""
        self._shows_lungs = not self._shows_lungs
        self.update()

    def zoom(self, factor: float, at: QPointF | None = None) -> None:
        """Enlarge around a point of the widget, by default its middle."""
        placed = self._placed()
        if placed is None or self._pyramid is None:
            return
        ratio = self.devicePixelRatioF()
        offset = (0.0, 0.0)
        if at is not None:
            middle = QPointF(self.width() / 2, self.height() / 2)
            offset = ((at.x() - middle.x()) * ratio, (at.y() - middle.y()) * ratio)
        fitting = Placement.fitting(self._pyramid.shape, self._screen()).scale
        self._place(placed.zoomed(factor, offset, smallest=min(fitting, 1.0)))

    def zoom_notches(self, notches: int) -> None:
        """Enlarge around the middle by so many notches of the wheel; negative ones make it smaller."""
        self.zoom(STEP**notches)

    def fit(self) -> None:
        """Fit the picture to the widget."""
        self._placement = None
        self._updated()

    def actual_size(self) -> None:
        """Show each pixel of the picture as one pixel of the screen."""
        placed = self._placed()
        if placed is not None:
            self._place(Placement(1.0, placed.x, placed.y))

    def pan(self, dx: float, dy: float) -> None:
        """Move the picture by so many points of the screen."""
        placed = self._placed()
        if placed is not None:
            ratio = self.devicePixelRatioF()
            self._place(placed.moved(dx * ratio, dy * ratio))

    def pan_steps(self, right: int, down: int) -> None:
        """Move the picture by so many steps; negative ones move it to the left and up."""
        self.pan(PAN_STEP * right, PAN_STEP * down)

    def widen_window(self, steps: int) -> None:
        """Make the window wider by so many steps; negative ones make it narrower."""
        self.change_window(wider=WINDOW_STEP * steps)

    def brighten(self, steps: int) -> None:
        """Make the picture brighter by so many steps; negative ones make it darker."""
        self.change_window(brighter=BRIGHTNESS_STEP * steps)

    def change_window(self, *, wider: float = 0.0, brighter: float = 0.0) -> None:
        """Change window and level, see `WindowLevel.changed`."""
        if self._pyramid is not None:
            reach = self._pyramid.reach
            self._window_level = self._window_level.changed(wider=wider, brighter=brighter, reach=reach)
            self._updated()

    def invert(self) -> None:
        """Exchange black and white, for this and the next pictures."""
        self._window_level = replace(self._window_level, inverted=not self._window_level.inverted)
        self._updated()

    def reset_window(self) -> None:
        """Go back to the picture's own window and level."""
        if self._pyramid is not None:
            self._window_level = WindowLevel.of(self._pyramid.picture, inverted=self._window_level.inverted)
            self._updated()

    def state(self) -> str:
        """Return size, zoom, window and level as text; empty without a picture."""
        placed = self._placed()
        if placed is None or self._pyramid is None:
            return ""
        inverted = ", inverted" if self._window_level.inverted else ""
        picture = self._pyramid.picture  # in the file's own units, as other programs show them
        span = abs(picture.unit) * self._window_level.width
        level = picture.zero + picture.unit * self._window_level.level
        form = ",.0f" if abs(picture.unit) >= 1 else ".4g"
        window = f"window {span:{form}}, level {level:{form}}"
        height, width = self._pyramid.shape
        return f"{width:,} x {height:,}, {placed.scale:.0%}, {window}{inverted}"

    def sizeHint(self) -> QSize:
        """Qt's hook."""
        return QSize(700, 700)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt's hook."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(0, 0, 0))
        placed = self._placed()
        if self._pyramid is None or placed is None:
            self._paint_message(painter)
            return
        shown = render(self._pyramid, self._window_level, placed, self._screen(), self._heat, self._strength)
        if shown is not None:
            ratio = self.devicePixelRatioF()
            height, width = shown.pixels.shape[:2]
            target = QRectF(shown.x / ratio, shown.y / ratio, width / ratio, height / ratio)
            painter.drawImage(target, ArrayImage(shown.pixels))
        if self._lungs is not None and self._shows_lungs:
            painter.setPen(QPen(OUTLINE, 1))
            painter.drawRect(self._on_screen(self._lungs, self._pyramid.shape, placed))

    def _on_screen(self, area: Area, shape: tuple[int, int], placed: Placement) -> QRectF:
        """Return where an area of a picture of this height and width stands in the widget."""
        (height, width), scale = shape, placed.scale / self.devicePixelRatioF()
        corners = [
            QPointF((x * width - placed.x) * scale, (y * height - placed.y) * scale)
            for x, y in ((area.left, area.top), (area.right, area.bottom))
        ]
        return QRectF(*corners).translated(self.width() / 2, self.height() / 2)

    def _paint_message(self, painter: QPainter) -> None:
        font = painter.font()
        font.setPointSizeF(font.pointSizeF() * 1.2)
        painter.setFont(font)
        painter.setPen(QColor(230, 230, 230))
        room = QRectF(self.rect()).adjusted(4 * _MARGIN, _MARGIN, -4 * _MARGIN, -_MARGIN)
        painter.drawText(room, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._message)

    def _screen(self) -> tuple[int, int]:
        ratio = self.devicePixelRatioF()
        return max(1, round(self.height() * ratio)), max(1, round(self.width() * ratio))

    def _placed(self) -> Placement | None:
        if self._pyramid is None:
            return None
        return self._placement or Placement.fitting(self._pyramid.shape, self._screen())

    def _place(self, placement: Placement) -> None:
        if self._pyramid is not None:
            self._placement = placement.kept_in(self._pyramid.shape)
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
            self.change_window(wider=moved.x() / PIXELS_PER_FACTOR, brighter=-moved.y() / PIXELS_PER_FACTOR)

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

"""The list of films: thumbnail, name, label and confidence. Only rows in view cost drawing and thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import QModelIndex, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFont, QPainter, QResizeEvent
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from xray_infer.run.results import OK
from xray_infer.viewer.films import FILM, Film, Films, ModelIndex
from xray_infer.viewer.picture_loader import THUMBNAIL_SIDE
from xray_infer.viewer.style import QUIET, WARNING, class_colour
from xray_infer.viewer.words import detail_of, label_of

GAP: Final = 6
ROW_HEIGHT: Final = THUMBNAIL_SIDE + GAP
SETTLE_MS: Final = 60  # thumbnails are requested when scrolling pauses for so long


class FilmDelegate(QStyledItemDelegate):
    """Draws one film's line."""

    def __init__(self, films: Films, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._films = films

    def sizeHint(self, option: QStyleOptionViewItem, index: ModelIndex) -> QSize:
        """Qt's hook."""
        return QSize(200, ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: ModelIndex) -> None:
        """Qt's hook."""
        film: Film = index.data(FILM)
        rect: QRect = option.rect
        state: QStyle.StateFlag = option.state
        palette = option.palette
        if state & QStyle.StateFlag.State_Selected:
            painter.fillRect(rect, palette.highlight())
        self._paint_thumbnail(painter, rect, index.row())
        left = rect.left() + THUMBNAIL_SIDE + 2 * GAP
        room = QRect(left, rect.top() + GAP, rect.right() - left - GAP, rect.height() - 2 * GAP)
        line = room.height() // 3
        plain: QFont = option.font
        bold = QFont(plain)
        bold.setBold(True)
        label, detail = label_of(film.prediction), detail_of(film.prediction)
        _write(painter, room.adjusted(0, 0, 0, -2 * line), film.name, plain, palette.text().color())
        _write(
            painter, room.adjusted(0, line, 0, -line), label, bold, _colour(film), Qt.TextElideMode.ElideRight
        )
        _write(painter, room.adjusted(0, 2 * line, 0, 0), detail, plain, QUIET, Qt.TextElideMode.ElideRight)

    def _paint_thumbnail(self, painter: QPainter, rect: QRect, place: int) -> None:
        square = QRect(rect.left() + GAP, rect.top() + GAP // 2, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        painter.fillRect(square, QColor(0, 0, 0))
        thumbnail = self._films.thumbnail(place)
        if thumbnail is not None:
            x = square.left() + (square.width() - thumbnail.width()) // 2
            y = square.top() + (square.height() - thumbnail.height()) // 2
            painter.drawPixmap(x, y, thumbnail)


def _colour(film: Film) -> QColor:
    if film.prediction is None:
        return QUIET
    if film.prediction.status != OK:
        return WARNING
    return class_colour(film.prediction.row.class_names, film.prediction.label)


def _write(
    painter: QPainter,
    room: QRect,
    text: str,
    font: QFont,
    colour: QColor,
    elide: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle,
) -> None:
    painter.setFont(font)
    painter.setPen(colour)
    shown = painter.fontMetrics().elidedText(text, elide, room.width())
    line = Qt.TextFlag.TextSingleLine  # even if a name holds a line break
    painter.drawText(room, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter | line, shown)


class FilmList(QListView):
    """See the module."""

    chosen = Signal(int)  # a film's place
    no_more = Signal()  # there is no further film of those that were looked for
    in_view = Signal(int, int)  # the first and the last place in view, when the view has settled

    def __init__(self, films: Films, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._films = films
        self.setModel(films)
        self.setItemDelegate(FilmDelegate(films, self))
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(220)
        self.setAccessibleName("Films")
        self._port = self.viewport()  # the first call costs 7 ms, and 90 while other threads run Python
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._emit_in_view)
        self.verticalScrollBar().valueChanged.connect(self.settle)
        films.rowsInserted.connect(self.settle)
        self.selectionModel().currentChanged.connect(self._emit_chosen)

    def choose(self, place: int) -> None:
        """Go to a film; beyond either end, to the first or the last."""
        count = len(self._films)
        if count:
            self.setCurrentIndex(self._films.index(min(max(place, 0), count - 1)))

    def step(self, by: int) -> None:
        """Go forward or back by so many films."""
        self.choose(max(self.place, 0) + by)

    def go_to_first(self) -> None:
        """Go to the first film."""
        self.choose(0)

    def go_to_last(self) -> None:
        """Go to the last film."""
        self.choose(len(self._films) - 1)

    def step_to_unanswered(self, step: int) -> None:
        """Go to the next film, 1, or the one before, -1, that could not be read or was rejected."""
        place = self._films.next_unanswered(self.place, step)
        if place is None:
            self.no_more.emit()
        else:
            self.choose(place)

    @property
    def place(self) -> int:
        """The place of the film in view; -1 for none."""
        return self.currentIndex().row()

    def settle(self) -> None:
        """Emit `in_view` a little later."""
        if not self._settle.isActive():
            self._settle.start()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt's hook."""
        super().resizeEvent(event)
        self.settle()

    def dataChanged(self, first: ModelIndex, last: ModelIndex, roles: Sequence[int] = ()) -> None:
        """Qt's hook: draw these rows again. Qt's own method lays out the whole list for each answer."""
        for place in range(first.row(), last.row() + 1):
            self.update(self._films.index(place))

    def keyboardSearch(self, text: str) -> None:
        """Qt's hook: does nothing, because letters are the window's keys."""

    def _emit_in_view(self) -> None:
        if len(self._films):
            first = self.indexAt(self._port.rect().topLeft()).row()
            last = self.indexAt(self._port.rect().bottomLeft()).row()
            self.in_view.emit(max(first, 0), last if last >= 0 else len(self._films) - 1)

    def _emit_chosen(self, now: QModelIndex, before: QModelIndex) -> None:
        if now.isValid():
            self.chosen.emit(now.row())

"""The films of a worklist as a model of Qt's list view, each with its answer once there is one."""

from __future__ import annotations

import html
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QPixmap

from xray_infer.classifier import Prediction
from xray_infer.run.alarm import RunFilms
from xray_infer.run.results import Row, printable_name
from xray_infer.run.sources import Item
from xray_infer.viewer.words import detail_of, label_of

MOST_THUMBNAILS: Final = 400  # 16 KB each; thumbnails beyond are made again when they come into view
FILM: Final = Qt.ItemDataRole.UserRole  # the role under which `data` gives the Film itself

ModelIndex = QModelIndex | QPersistentModelIndex


@dataclass(slots=True)
class Film:
    """One input, and the answer once there is one."""

    item: Item
    prediction: Prediction | None = None

    @property
    def name(self) -> str:
        """Its path as the results show it."""
        return printable_name(self.item.name)

    @property
    def failed(self) -> bool:
        """Whether there is certainly no picture to show: the file cannot be read, or its kind is rejected."""
        found = self.prediction
        return found is not None and found.confidence is None and found.ood_score is None


class Films(QAbstractListModel):
    """See the module. For the interface thread alone."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._films: list[Film] = []
        self._thumbnails: OrderedDict[int, QPixmap] = OrderedDict()
        self.counts: Counter[str] = Counter()  # answers by status
        self.judged = RunFilms()

    def __len__(self) -> int:
        return len(self._films)

    def __getitem__(self, place: int) -> Film:
        return self._films[place]

    def rows(self) -> Iterator[Row]:
        """Yield the rows of all films that have an answer, in order."""
        return (film.prediction.row for film in self._films if film.prediction)

    def clear(self) -> None:
        """Forget all films."""
        self.beginResetModel()
        self._films.clear()
        self._thumbnails.clear()
        self.counts.clear()
        self.judged = RunFilms()
        self.endResetModel()

    def extend(self, items: Sequence[Item]) -> None:
        """Put films at the end."""
        first = len(self._films)
        self.beginInsertRows(QModelIndex(), first, first + len(items) - 1)
        self._films.extend(map(Film, items))
        self.endInsertRows()

    def answer(self, place: int, prediction: Prediction) -> None:
        """Give a film its answer."""
        self._films[place].prediction = prediction
        self.counts[prediction.status] += 1
        self.judged.add(prediction.row)
        self._changed(place)

    def thumbnail(self, place: int) -> QPixmap | None:
        """Return a film's thumbnail, None if it is not in memory."""
        found = self._thumbnails.get(place)
        if found is not None:
            self._thumbnails.move_to_end(place)
        return found

    def keep_thumbnail(self, place: int, thumbnail: QPixmap) -> None:
        """Keep a thumbnail; drop the least recently used one when there are too many."""
        self._thumbnails[place] = thumbnail
        while len(self._thumbnails) > MOST_THUMBNAILS:
            self._thumbnails.popitem(last=False)
        self._changed(place)

    def next_unanswered(self, place: int, step: int) -> int | None:
        """Return the place of the next film, in steps of 1 or -1, without an answer; else None."""
        end = len(self._films) if step > 0 else -1
        found = (one for one in range(place + step, end, step) if self._is_unanswered(one))
        return next(found, None)

    def _is_unanswered(self, place: int) -> bool:
        prediction = self._films[place].prediction
        return prediction is not None and prediction.confidence is None

    def _changed(self, place: int) -> None:
        index = self.index(place)
        self.dataChanged.emit(index, index)

    def rowCount(self, parent: ModelIndex = QModelIndex()) -> int:  # noqa: B008  Qt's signature
        """Qt's hook."""
        return 0 if parent.isValid() else len(self._films)

    def data(self, index: ModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt's hook: the film for FILM, words for people and for screen readers."""
        if not index.isValid():
            return None
        film = self._films[index.row()]
        if role == FILM:
            return film
        if role == Qt.ItemDataRole.DisplayRole:
            return film.name
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            lines = filter(None, (film.name, label_of(film.prediction), detail_of(film.prediction)))
            if role == Qt.ItemDataRole.AccessibleTextRole:
                return "\n".join(lines)
            return f"<qt>{'<br>'.join(map(html.escape, lines))}</qt>"  # else Qt takes names for markup
        return None

"""The window: puts the list, the picture, the answer and the threads together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QImage,
    QPixmap,
)
from PySide6.QtWidgets import (
    QHBoxLayout,
    QMainWindow,
    QMessageBox,
    QSplitter,
    QWidget,
)

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.classifier import Prediction
from xray_infer.model.manifest import ModelManifest
from xray_infer.outputs.heatmaps.methods import Heatmap
from xray_infer.run.results import Rules
from xray_infer.run.sources import Item
from xray_infer.viewer.actions import keys_page
from xray_infer.viewer.answer import AnswerPanel
from xray_infer.viewer.asking import Asking
from xray_infer.viewer.canvas import Canvas
from xray_infer.viewer.film_list import FilmList
from xray_infer.viewer.films import Film, Films
from xray_infer.viewer.heat_controls import PREDICTED
from xray_infer.viewer.judging import Judge, Lister, Opening, Wanted
from xray_infer.viewer.menus import add_menus
from xray_infer.viewer.pictures import PictureLoader, Request
from xray_infer.viewer.placement import STEP
from xray_infer.viewer.render import Levels, stretch
from xray_infer.viewer.saving import HeatMapFile, RowsFile, Saver
from xray_infer.viewer.status import Status
from xray_infer.viewer.words import refusal_of

WELCOME: Final = (
    "Drop chest X-rays or a folder here.\n"
    "Ctrl+O opens images, Ctrl+Shift+O a folder.\n"
    "JPEG, PNG, TIFF, WebP, BMP, DICOM, zip and tar archives.\n"
    "F1 shows the keys."
)
TELL_MS: Final = 150  # between two looks at what has been done
READING_MS: Final = 300  # without a picture, until the window says that it is on its way
ENDING_MS: Final = 4000  # that threads have to end when the window closes
PAN_STEP: Final = 60  # points of the screen, of one key
WINDOW_STEP: Final = 0.1


class Window(QMainWindow):
    """See the module. `open` shows files and folders; closing it ends its threads."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__()
        self.setWindowTitle("xray-view")
        self.setAcceptDrops(True)
        self.resize(1280, 820)
        self.films = Films(self)
        self.film_list = FilmList(self.films)
        self.canvas = Canvas()
        self.answer = AnswerPanel()
        self.status = Status()
        self._number = 0
        self._opening: Opening | None = None
        self._heatmaps: tuple[Heatmap, ...] = ()
        self._asking = Asking(self)
        self._lay_out()
        add_menus(self)
        self.lister, self.judge, self.loader = Lister(self), Judge(wanted, self), PictureLoader(self)
        self.saver = Saver(self)
        self._connect()
        self.canvas.show_words(WELCOME)
        self.answer.show_answer("", None)
        self._reading = QTimer(self)
        self._reading.setSingleShot(True)
        self._reading.timeout.connect(self._tell_reading)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tell_progress)
        self._timer.start(TELL_MS)
        self.judge.start()
        self.loader.start()

    def _lay_out(self) -> None:
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self.film_list)
        split.addWidget(self.canvas)
        split.setStretchFactor(1, 1)
        split.setSizes([300, 700])
        middle = QWidget()
        row = QHBoxLayout(middle)
        row.setContentsMargins(6, 6, 6, 0)
        row.addWidget(split, 1)
        row.addWidget(self.answer)
        self.setCentralWidget(middle)
        self.setStatusBar(self.status)
        self.film_list.setFocus()

    def _connect(self) -> None:
        self.lister.listed.connect(self._on_listed)
        self.lister.complete.connect(self._on_complete)
        self.judge.ready.connect(self._on_ready)
        self.judge.judged.connect(self._on_judged)
        self.judge.done.connect(self._on_done)
        self.judge.broken.connect(self._on_no_model)
        self.lister.broken.connect(self._tell)
        self.loader.broken.connect(self._tell)
        self.loader.loaded.connect(self._on_loaded)
        self.loader.refused.connect(self._on_refused)
        self.loader.thumbnail.connect(self._on_thumbnail)
        self.film_list.chosen.connect(self._on_chosen)
        self.film_list.in_view.connect(self._on_in_view)
        self.answer.heat.changed.connect(self._draw_heat)
        self.canvas.changed.connect(lambda: self.status.picture.setText(self.canvas.state()))
        self.saver.saved.connect(self._tell)
        self.saver.failed.connect(self._tell)

    # What a person does.

    def open(self, paths: Sequence[str]) -> None:
        """Show these files, folders, archives or URIs instead of what is shown."""
        if self._opening:
            self._opening.films.stop()
        self._number += 1
        self._opening = Opening(self._number, tuple(paths))
        self.loader.forget()
        self.films.clear()
        self.status.begin()
        self.status.judging = self.judge.isRunning()
        self.canvas.show_words("")
        self.answer.show_answer("", None)
        self._heatmaps = ()
        self.setWindowTitle(f"{Path(paths[0]).name or paths[0]} - xray-view")
        self.lister.take(self._opening)
        self.judge.take(self._opening)

    def ask_for_files(self) -> None:
        """Ask for images, and open them."""
        if paths := self._asking.files():
            self.open(paths)

    def ask_for_folder(self) -> None:
        """Ask for a folder, and open it."""
        if paths := self._asking.folder():
            self.open(paths)

    def step(self, by: int) -> None:
        """Go on or back by so many films."""
        self.film_list.choose(max(self.film_list.place, 0) + by)

    def go_to_end(self, which: int) -> None:
        """Go to the first film, -1, or the last, 1."""
        self.film_list.choose(0 if which < 0 else len(self.films) - 1)

    def step_to_unanswered(self, step: int) -> None:
        """Go to the next film, or the one before, that could not be read or was not judged."""
        place = self.films.next_unjudged(self.film_list.place, step)
        if place is None:
            self._tell("no more films without an answer in this direction")
        else:
            self.film_list.choose(place)

    def zoom(self, notches: int) -> None:
        """Enlarge by notches of the wheel, or the reverse."""
        self.canvas.zoom(STEP**notches)

    def pan(self, direction: tuple[int, int]) -> None:
        """Move the picture a step."""
        self.canvas.pan(PAN_STEP * direction[0], PAN_STEP * direction[1])

    def change_window(self, by: tuple[int, int]) -> None:
        """Make the window wider, the picture brighter, or the reverse, by a step."""
        self.canvas.change_window(wider=WINDOW_STEP * by[0], brighter=WINDOW_STEP * by[1] / 2)

    def show_keys(self) -> None:
        """Show all keys."""
        QMessageBox(
            QMessageBox.Icon.NoIcon, "Keys and mouse", f"{keys_page()}<p>{RESEARCH_NOTICE}</p>", parent=self
        ).exec()

    def save_heat_map(self) -> None:
        """Ask where, and save the heat map of the class that is shown."""
        film, heatmap = self._film(), self._heatmap()
        if film is None or film.prediction is None or heatmap is None:
            self._tell("there is no heat map to save: this film has no answer")
            return
        stem = Path(film.name).name
        path = self._asking.where(f"{stem}.{heatmap.class_name}.heatmap.jpg", "Pictures (*.jpg *.jpeg *.png)")
        if path:
            self.saver.save(HeatMapFile(path, film.item, film.prediction, heatmap))

    def save_row(self) -> None:
        """Ask where, and save the film's row."""
        film = self._film()
        if film is None or film.prediction is None:
            self._tell("there is no row to save: this film has no answer yet")
            return
        path = self._asking.where(f"{Path(film.name).name}.csv", "Results (*.csv *.jsonl *.parquet)")
        if path:
            self.saver.save(RowsFile(path, [film.prediction.row]))

    def save_rows(self) -> None:
        """Ask where, and save the rows of all films."""
        rows = list(self.films.rows())
        if not rows:
            self._tell("there are no rows to save yet")
            return
        path = self._asking.where("results.csv", "Results (*.csv *.jsonl *.parquet)")
        if path:
            self.saver.save(RowsFile(path, rows, len(self.films) - len(rows)))

    # What the threads tell.

    def _on_listed(self, number: int, items: list[Item]) -> None:
        if number != self._number:
            return
        first = not len(self.films)
        self.films.extend(items)
        if first:
            self.film_list.choose(0)

    def _on_complete(self, number: int, skipped: int, problem: str) -> None:
        if number != self._number:
            return
        self.status.listed, self.status.skipped = True, skipped
        if problem and not len(self.films):
            self.canvas.show_words(problem)
        elif problem:
            self._tell(problem)

    def _on_ready(self, known: tuple[ModelManifest, Rules]) -> None:
        self.answer.know(*known)

    def _on_no_model(self, problem: str) -> None:
        self.status.judging = False
        self.answer.show_problem(problem)
        self._tell(problem)

    def _on_judged(self, number: int, place: int, prediction: Prediction) -> None:
        if number != self._number:
            return
        self.films.answer(place, prediction)
        if place == self.film_list.place:
            self._show_answer()
            if self.films[place].failed:
                self.canvas.show_words(refusal_of(prediction.status, prediction.reason))

    def _on_done(self, number: int) -> None:
        if number == self._number:
            self.status.judging = False
            self._tell_progress()

    def _on_loaded(self, number: int, place: int, levels: Levels) -> None:
        if (number, place) == (self._number, self.film_list.place):
            self.canvas.show_picture(levels)

    def _on_refused(self, number: int, place: int, status: str, reason: str) -> None:
        if (number, place) == (self._number, self.film_list.place):
            self.canvas.show_words(refusal_of(status, reason))

    def _on_thumbnail(self, number: int, place: int, image: QImage) -> None:
        if number == self._number:
            self.films.keep_thumbnail(place, QPixmap.fromImage(image))

    def _on_chosen(self, place: int) -> None:
        film = self.films[place]
        if film.prediction is None and self._opening:
            self._opening.films.want(place)
        self._show_answer()
        if film.failed and film.prediction:
            self.canvas.show_words(refusal_of(film.prediction.status, film.prediction.reason))
            return
        self.canvas.show_words("")  # never one film's picture beside another's answer
        self._reading.start(READING_MS)
        beside = [one for one in (place + 1, place - 1) if 0 <= one < len(self.films)]
        self.loader.show(self._request(place), [self._request(one) for one in beside])

    def _on_in_view(self, first: int, last: int) -> None:
        wanted = [
            place
            for place in range(first, min(last + 1, len(self.films)))
            if self.films.thumbnail(place) is None and not self.films[place].failed
        ]
        self.loader.want_thumbnails([self._request(place) for place in wanted])

    def _request(self, place: int) -> Request:
        return Request(self._number, place, self.films[place].item)

    # What is shown.

    def _film(self) -> Film | None:
        place = self.film_list.place
        return self.films[place] if 0 <= place < len(self.films) else None

    def _show_answer(self) -> None:
        film = self._film()
        if film is None:
            return
        self.answer.show_answer(film.name, film.prediction)
        answered = film.prediction is not None and film.prediction.cam is not None
        self._heatmaps = film.prediction.heatmaps() if film.prediction and answered else ()
        self._draw_heat()

    def _heatmap(self) -> Heatmap | None:
        """Return the map of the class that is shown; all classes share one scale, to be compared."""
        film = self._film()
        if not self._heatmaps or film is None or film.prediction is None:
            return None
        shown = self.answer.heat.shown
        name = film.prediction.raw_label if shown == PREDICTED else shown
        return next(one for one in self._heatmaps if one.class_name == name)

    def _draw_heat(self) -> None:
        heatmap, strength = self._heatmap(), self.answer.heat.strength
        self.answer.heat.describe(heatmap)
        wanted = heatmap is not None and strength > 0
        self.canvas.show_heat(stretch(heatmap) if wanted and heatmap else None, strength)

    def _tell_reading(self) -> None:
        film = self._film()
        if film is not None and not self.canvas.has_picture and not self.canvas.words:
            self.canvas.show_words(f"Reading {film.name}")

    def _tell(self, text: str) -> None:
        self.status.told = text
        self._tell_progress()

    def _tell_progress(self) -> None:
        self.status.show_progress(len(self.films), self.films.counts)

    # Coming and going.

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt's hook."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt's hook."""
        paths = [url.toLocalFile() or url.toString() for url in event.mimeData().urls()]
        if paths:
            event.acceptProposedAction()
            self.open(paths)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Qt's hook: everything stops, and what is being saved is saved."""
        self._timer.stop()
        self.hide()
        if self._opening:
            self._opening.films.stop()
        self.judge.end()
        self.loader.end()
        self.saver.close()
        self._wait(ENDING_MS)
        event.accept()

    @property
    def still_running(self) -> bool:
        """Whether a thread has not ended: it waits for a file that no one gives."""
        return not self._wait(0)

    def _wait(self, milliseconds: int) -> bool:
        """Wait for so long for all threads to end; return whether they have."""
        until = time.monotonic() + milliseconds / 1000
        threads = (self.judge, self.loader, self.lister)
        ended = [one.wait(max(0, round(1000 * (until - time.monotonic())))) for one in threads]
        return all(ended)

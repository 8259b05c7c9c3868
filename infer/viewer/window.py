"""The window: puts the list, the picture, the answer and the threads together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QImage, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QSplitter, QWidget

from xray_infer.classes import PREDICTED
from xray_infer.classifier import Prediction
from xray_infer.model.alarm_reference import AlarmReference
from xray_infer.model.manifest import ModelManifest
from xray_infer.outputs.heatmaps.methods import Heatmap
from xray_infer.outputs.naming import safe
from xray_infer.run.alarm import judge
from xray_infer.run.results import Rules
from xray_infer.run.sources import Item
from xray_infer.viewer.actions import (
    Action,
    Menus,
    class_actions,
    film_actions,
    heat_actions,
    picture_actions,
)
from xray_infer.viewer.answer import AnswerPanel
from xray_infer.viewer.canvas import Canvas
from xray_infer.viewer.classifying import ClassifierSettings, ClassifierThread, Lister, Worklist
from xray_infer.viewer.film_list import FilmList
from xray_infer.viewer.films import Film, Films
from xray_infer.viewer.picture_loader import PictureLoader, PictureRequest
from xray_infer.viewer.render import ImagePyramid, stretch
from xray_infer.viewer.saving import PICTURES, RESULTS, FileDialogs, HeatMapFile, RowsFile, Saver
from xray_infer.viewer.status import StatusLine
from xray_infer.viewer.words import (
    NO_HEAT_MAP_TO_SAVE,
    NO_MORE_UNANSWERED,
    NO_ROW_TO_SAVE,
    NO_ROWS_TO_SAVE,
    WELCOME,
    refusal_of,
)

PROGRESS_MS: Final = 150  # between two updates of the status line
COMPARED_EVERY: Final = 10  # films, from one look of the alarm to the next
READING_MS: Final = 300  # without a picture, until the window says that the picture is being read
ENDING_MS: Final = 4000  # that threads have to end when the window closes


class Window(QMainWindow):
    """See the module. `open` shows files and folders; closing it ends its threads."""

    def __init__(self, settings: ClassifierSettings) -> None:
        super().__init__()
        self.setWindowTitle("xray-view")
        self.setAcceptDrops(True)
        self.resize(1280, 820)
        self.films = Films(self)
        self.film_list = FilmList(self.films)
        self.canvas = Canvas()
        self.answer = AnswerPanel()
        self.status = StatusLine()
        self._number = 0  # of the worklist that is shown; what belongs to another one comes too late
        self._worklist: Worklist | None = None
        self._heatmaps: tuple[Heatmap, ...] = ()
        self._alarm: AlarmReference | None = None
        self._compared = 0  # films that the alarm that is shown speaks of
        self._dialogs = FileDialogs(self)
        self._lay_out()
        self._menus = Menus(self, self._actions())
        self.lister, self.loader = Lister(self), PictureLoader(self)
        self.classifier = ClassifierThread(settings, self)
        self.saver = Saver(self)
        self._connect()
        self.canvas.show_message(WELCOME)
        self.answer.show_answer("", None)
        self._reading = QTimer(self)
        self._reading.setSingleShot(True)
        self._reading.timeout.connect(self._show_reading)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._show_progress)
        self._timer.start(PROGRESS_MS)
        self.classifier.start()
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

    def _actions(self) -> list[Action]:
        return [
            Action("&File", "Open &images...", ("Ctrl+O",), self.ask_for_images),
            Action("&File", "Open &folder...", ("Ctrl+Shift+O",), self.ask_for_folder),
            Action("&File", "&Save heat map...", ("Ctrl+S",), self.save_heat_map),
            Action("&File", "Save &row...", ("Ctrl+R",), self.save_row),
            Action("&File", "Save &all rows...", ("Ctrl+Shift+R",), self.save_rows),
            Action("&File", "&Quit", ("Ctrl+Q",), self.close),
            *film_actions(self.film_list),
            *heat_actions(self.answer.heat),
            *picture_actions(self.canvas),
        ]

    def _connect(self) -> None:
        self.lister.listed.connect(self._on_listed)
        self.lister.complete.connect(self._on_list_complete)
        self.classifier.ready.connect(self._on_ready)
        self.classifier.classified.connect(self._on_classified)
        self.classifier.complete.connect(self._on_complete)
        self.classifier.failed.connect(self._on_no_model)
        self.loader.loaded.connect(self._on_loaded)
        self.loader.refused.connect(self._on_refused)
        self.loader.thumbnail.connect(self._on_thumbnail)
        self.film_list.chosen.connect(self._on_chosen)
        self.film_list.in_view.connect(self._on_in_view)
        self.film_list.no_more.connect(lambda: self._show_message(NO_MORE_UNANSWERED))
        self.answer.heat.changed.connect(self._draw_heat)
        self.canvas.changed.connect(lambda: self.status.picture.setText(self.canvas.state()))
        for message in (self.lister.failed, self.loader.failed, self.saver.saved, self.saver.failed):
            message.connect(self._show_message)

    # What the user does.

    def open(self, paths: Sequence[str]) -> None:
        """Show these files, folders, archives or URIs instead of what is shown."""
        if self._worklist:
            self._worklist.films.stop()
        self._number += 1
        self._worklist = Worklist(self._number, tuple(paths))
        self.loader.forget()
        self.films.clear()
        self.status.reset()
        self.status.classifying = self.classifier.isRunning()
        self.canvas.show_message("")
        self.canvas.show_lungs(None)
        self.answer.show_answer("", None)
        self._heatmaps = ()
        self.setWindowTitle(f"{Path(paths[0]).name or paths[0]} - xray-view")
        self.lister.submit(self._worklist)
        self.classifier.submit(self._worklist)

    def ask_for_images(self) -> None:
        """Ask for images, and open them."""
        if paths := self._dialogs.ask_images():
            self.open(paths)

    def ask_for_folder(self) -> None:
        """Ask for a folder, and open it."""
        if paths := self._dialogs.ask_folder():
            self.open(paths)

    def save_heat_map(self) -> None:
        """Ask where, and save the heat map of the class that is shown."""
        film, heatmap = self._film(), self._heatmap()
        if film is None or film.prediction is None or heatmap is None:
            self._show_message(NO_HEAT_MAP_TO_SAVE)
            return
        stem = Path(film.name).name
        path = self._dialogs.ask_where(f"{stem}.{safe(heatmap.class_name)}.heatmap.jpg", PICTURES)
        if path:
            self.saver.save(HeatMapFile(path, film.item, film.prediction, heatmap))

    def save_row(self) -> None:
        """Ask where, and save the film's row."""
        film = self._film()
        if film is None or film.prediction is None:
            self._show_message(NO_ROW_TO_SAVE)
            return
        path = self._dialogs.ask_where(f"{Path(film.name).name}.csv", RESULTS)
        if path:
            self.saver.save(RowsFile(path, film.prediction.row.class_names, [film.prediction.row]))

    def save_rows(self) -> None:
        """Ask where, and save the rows of all films."""
        rows = list(self.films.rows())
        if not rows:
            self._show_message(NO_ROWS_TO_SAVE)
            return
        path = self._dialogs.ask_where("results.csv", RESULTS)
        if path:
            self.saver.save(RowsFile(path, rows[0].class_names, rows, len(self.films) - len(rows)))

    # What the threads report.

    def _on_listed(self, number: int, items: list[Item]) -> None:
        if number != self._number:
            return
        first = not len(self.films)
        self.films.extend(items)
        if first:
            self.film_list.go_to_first()

    def _on_list_complete(self, number: int, skipped: int, problem: str) -> None:
        if number != self._number:
            return
        self.status.listed, self.status.skipped = True, skipped
        if problem and not len(self.films):
            self.canvas.show_message(problem)
        elif problem:
            self._show_message(problem)

    def _on_ready(self, known: tuple[ModelManifest, Rules]) -> None:
        manifest, rules = known
        self._alarm = manifest.alarm_reference
        self.answer.show_model(manifest, rules)
        self._menus.add(class_actions(self.answer.heat, manifest.class_names))

    def _on_no_model(self, problem: str) -> None:
        self.status.classifying = False
        self.answer.show_problem(problem)
        self._show_message(problem)

    def _on_classified(self, number: int, place: int, prediction: Prediction) -> None:
        if number != self._number:
            return
        self.films.answer(place, prediction)
        if place == self.film_list.place:
            self._show_answer()
            if self.films[place].failed:
                self.canvas.show_message(refusal_of(prediction.status, prediction.reason))

    def _on_complete(self, number: int) -> None:
        if number == self._number:
            self.status.classifying = False
            self._show_progress()

    def _on_loaded(self, number: int, place: int, pyramid: ImagePyramid) -> None:
        if (number, place) == (self._number, self.film_list.place):
            self.canvas.show_picture(pyramid)

    def _on_refused(self, number: int, place: int, status: str, reason: str) -> None:
        if (number, place) == (self._number, self.film_list.place):
            self.canvas.show_message(refusal_of(status, reason))

    def _on_thumbnail(self, number: int, place: int, image: QImage) -> None:
        if number == self._number:
            self.films.keep_thumbnail(place, QPixmap.fromImage(image))

    # What the list reports.

    def _on_chosen(self, place: int) -> None:
        film = self.films[place]
        if film.prediction is None and self._worklist:
            self._worklist.films.prioritise(place)
        self._show_answer()
        if film.failed and film.prediction:
            self.canvas.show_message(refusal_of(film.prediction.status, film.prediction.reason))
            return
        self.canvas.show_message("")  # never one film's picture beside another film's answer
        self._reading.start(READING_MS)
        beside = [one for one in (place + 1, place - 1) if 0 <= one < len(self.films)]
        self.loader.show(self._request(place), [self._request(one) for one in beside])

    def _on_in_view(self, first: int, last: int) -> None:
        missing = [
            place
            for place in range(first, min(last + 1, len(self.films)))
            if self.films.thumbnail(place) is None and not self.films[place].failed
        ]
        self.loader.show_thumbnails([self._request(place) for place in missing])

    def _request(self, place: int) -> PictureRequest:
        return PictureRequest(self._number, place, self.films[place].item)

    # What is shown.

    def _film(self) -> Film | None:
        place = self.film_list.place
        return self.films[place] if 0 <= place < len(self.films) else None

    def _show_answer(self) -> None:
        film = self._film()
        if film is None:
            return
        self.answer.show_answer(film.name, film.prediction)
        self.canvas.show_lungs(film.prediction.lungs if film.prediction else None)
        answered = film.prediction is not None and film.prediction.cam is not None
        self._heatmaps = film.prediction.heatmaps() if film.prediction and answered else ()
        self._draw_heat()

    def _heatmap(self) -> Heatmap | None:
        """Return the map of the class that is shown; all classes share one scale, so that they compare."""
        film = self._film()
        if not self._heatmaps or film is None or film.prediction is None:
            return None
        shown = self.answer.heat.shown
        name = film.prediction.raw_label if shown == PREDICTED else shown
        return next(one for one in self._heatmaps if one.class_name == name)

    def _draw_heat(self) -> None:
        heatmap, strength = self._heatmap(), self.answer.heat.strength
        self.answer.heat.describe(heatmap)
        visible = heatmap is not None and strength > 0
        self.canvas.show_heat(stretch(heatmap) if visible and heatmap else None, strength)

    def _show_reading(self) -> None:
        film = self._film()
        if film is not None and not self.canvas.has_picture and not self.canvas.message:
            self.canvas.show_message(f"Reading {film.name}")

    def _show_message(self, text: str) -> None:
        self.status.message = text
        self._show_progress()

    def _show_progress(self) -> None:
        self.status.show_progress(len(self.films), self.films.counts)
        judged = self.films.judged.whole.count
        pause = COMPARED_EVERY if self.status.classifying else 1
        if not self._compared <= judged < self._compared + pause:
            self._show_alarm(judged)

    def _show_alarm(self, judged: int) -> None:
        """Show what the alarm says of so many films."""
        self._compared = judged
        self.answer.show_alarm(judge(self.films.judged, self._alarm) if judged else None)

    # How files are dropped on it, and how it ends.

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
        """Qt's hook: everything stops; files that are being saved are finished."""
        self._timer.stop()
        self.hide()
        if self._worklist:
            self._worklist.films.stop()
        self.classifier.end()
        self.loader.end()
        self.saver.close()
        self._wait(ENDING_MS)
        event.accept()

    @property
    def still_running(self) -> bool:
        """Whether a thread has not ended, because it waits for a file that does not arrive."""
        return not self._wait(0)

    def _wait(self, milliseconds: int) -> bool:
        """Wait for all threads to end, at most so long; return whether they have ended."""
        until = time.monotonic() + milliseconds / 1000
        threads = (self.classifier, self.loader, self.lister)
        ended = [one.wait(max(0, round(1000 * (until - time.monotonic())))) for one in threads]
        return all(ended)

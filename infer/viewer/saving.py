"""Saving the heat map in view and rows: asks where, then writes in a thread, each file whole or not at all.

`FileDialogs` also asks which files to open: every dialog begins in the folder of the last answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from xray_infer.atomic import write_atomically
from xray_infer.classifier import Prediction
from xray_infer.errors import OutputError, XrayError
from xray_infer.images.isolation import IsolatedPrepare
from xray_infer.images.limits import DEFAULT_LIMITS
from xray_infer.images.preprocess import STUDY
from xray_infer.outputs.heatmaps.methods import Heatmap
from xray_infer.outputs.heatmaps.overlay import draw_overlay, encode
from xray_infer.run.results import Row, columns
from xray_infer.run.sources import Item
from xray_infer.run.writers import find_writer
from xray_infer.viewer.threads import fault_message

FORMATS: Final = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}  # of a heat map, by suffix
PICTURES: Final = "Pictures (*.jpg *.jpeg *.png)"
RESULTS: Final = "Results (*.csv *.jsonl *.parquet)"


class FileDialogs:
    """Dialogs over a window; each returns nothing when the user cancels it."""

    def __init__(self, parent: QWidget) -> None:
        self._parent = parent
        self._folder = str(Path.cwd())

    def ask_images(self) -> list[str]:
        """Ask for images to open."""
        paths, _ = QFileDialog.getOpenFileNames(self._parent, "Open images", self._folder)
        if paths:
            self._folder = str(Path(paths[0]).parent)
        return paths

    def ask_folder(self) -> list[str]:
        """Ask for a folder to open."""
        path = QFileDialog.getExistingDirectory(self._parent, "Open a folder", self._folder)
        self._folder = path or self._folder
        return [path] if path else []

    def ask_where(self, name: str, kinds: str) -> Path | None:
        """Ask where to save a file, by default under `name`; `kinds` in Qt's form."""
        path, _ = QFileDialog.getSaveFileName(self._parent, "Save", str(Path(self._folder, name)), kinds)
        if not path:
            return None
        self._folder = str(Path(path).parent)
        return Path(path)


@dataclass(frozen=True, slots=True)
class HeatMapFile:
    """A heat map to be written as `--heatmap-for all` writes that of its class: the same bytes."""

    path: Path
    item: Item
    prediction: Prediction
    heatmap: Heatmap

    def write(self) -> str:
        """Write it, and return what to tell the user. Raises XrayError."""
        form = FORMATS.get(self.path.suffix.lower())
        if form is None:
            raise OutputError(f"{self.path}: cannot write this format; use one of {', '.join(FORMATS)}")
        # In a process of its own: a large picture must not hold up the window.
        with IsolatedPrepare(STUDY, keep_pixels=True) as prepare:
            pixels = prepare(self.item.read(DEFAULT_LIMITS)).pixels
        assert pixels is not None  # they were asked for
        data = encode(draw_overlay(pixels, self.heatmap, self.prediction.row), form)
        write_atomically(self.path, lambda temporary: temporary.write_bytes(data))
        return f"saved {self.path}"


@dataclass(frozen=True, slots=True)
class RowsFile:
    """Rows of a model's classes, to be written as the command writes them; `left` films have none yet."""

    path: Path
    class_names: Sequence[str]
    rows: Iterable[Row]
    left: int = 0

    def write(self) -> str:
        """Write them, and return what to tell the user. Raises XrayError."""
        count = 0
        with find_writer(self.path)(self.path, columns(self.class_names)) as writer:
            for row in self.rows:
                writer.write(row)
                count += 1
            writer.finish()
        rest = f"; {self.left:,} films have no answer yet" if self.left else ""
        return f"saved {count:,} {'row' if count == 1 else 'rows'} in {self.path}{rest}"


class Saver(QObject):
    """Writes one file after the other, and reports each."""

    saved = Signal(str)
    failed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(1, "save")

    def save(self, file: HeatMapFile | RowsFile) -> None:
        """Write a file after those that were submitted before."""
        self._pool.submit(self._save, file.write)

    def _save(self, write: Callable[[], str]) -> None:
        try:
            self.saved.emit(write())
        except XrayError as error:
            self.failed.emit(str(error))
        except Exception as error:
            self.failed.emit(fault_message(error))

    def close(self) -> None:
        """Wait until all files are written."""
        self._pool.shutdown()

"""Files that a person asks for: the heat map in view, rows. Written in a thread, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, Signal

from xray_infer.atomic import write_atomically
from xray_infer.classifier import Prediction
from xray_infer.errors import OutputError, XrayError
from xray_infer.images.isolation import IsolatedPrepare
from xray_infer.images.limits import DEFAULT_LIMITS
from xray_infer.outputs.heatmaps.methods import Heatmap
from xray_infer.outputs.heatmaps.overlay import draw_overlay, encode
from xray_infer.run.results import Row
from xray_infer.run.sources import Item
from xray_infer.run.writers import find_writer
from xray_infer.viewer.threads import fault

FORMATS: Final = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}  # of a heat map, by suffix


@dataclass(frozen=True, slots=True)
class HeatMapFile:
    """A heat map to be written as `--heatmap-for all` writes that of its class: the same bytes."""

    path: Path
    item: Item
    prediction: Prediction
    heatmap: Heatmap

    def write(self) -> str:
        """Write it, and return what to tell. Raises XrayError."""
        form = FORMATS.get(self.path.suffix.lower())
        if form is None:
            raise OutputError(f"{self.path}: cannot write this format; use one of {', '.join(FORMATS)}")
        with IsolatedPrepare(keep_pixels=True) as prepare:  # a large picture must not hold up the window
            pixels = prepare(self.item.read(DEFAULT_LIMITS)).pixels
        assert pixels is not None  # they were asked for
        data = encode(draw_overlay(pixels, self.heatmap, self.prediction.row), form)
        write_atomically(self.path, lambda temporary: temporary.write_bytes(data))
        return f"saved {self.path}"


@dataclass(frozen=True, slots=True)
class RowsFile:
    """Rows to be written as the command writes them; `left` films have none yet."""

    path: Path
    rows: Iterable[Row]
    left: int = 0

    def write(self) -> str:
        """Write them, and return what to tell. Raises XrayError."""
        count = 0
        with find_writer(self.path)(self.path) as writer:
            for row in self.rows:
                writer.write(row)
                count += 1
            writer.finish()
        rest = f"; {self.left:,} films have no answer yet" if self.left else ""
        return f"saved {count:,} {'row' if count == 1 else 'rows'} in {self.path}{rest}"


class Saver(QObject):
    """Writes one file after the other, and tells of each."""

    saved = Signal(str)
    failed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(1, "save")

    def save(self, file: HeatMapFile | RowsFile) -> None:
        """Write a file after those that were asked for before."""
        self._pool.submit(self._save, file.write)

    def _save(self, write: Callable[[], str]) -> None:
        try:
            self.saved.emit(write())
        except XrayError as error:
            self.failed.emit(str(error))
        except Exception as error:
            self.failed.emit(fault(error))

    def close(self) -> None:
        """Wait until all is written."""
        self._pool.shutdown()

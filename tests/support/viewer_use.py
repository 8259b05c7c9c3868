"""What a person does with the viewer's window in tests, and what is seen of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from click.testing import CliRunner
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

from xray_infer.cli import main

if TYPE_CHECKING:
    from xray_infer.viewer.window import Window

LONG_MS = 60_000


def finish(qtbot: Any, window: Window) -> None:
    qtbot.waitUntil(
        lambda: len(window.films) > 0 and window.films.counts.total() == len(window.films), timeout=LONG_MS
    )
    qtbot.waitUntil(lambda: not window.status.classifying, timeout=LONG_MS)


def press(
    qtbot: Any, window: Window, key: Any, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
) -> None:
    qtbot.keyClick(window, key, modifier)


def shot(window: Window) -> np.ndarray:
    """The canvas as it looks, BGR."""
    image = window.canvas.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    pixels = rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)
    return pixels[..., ::-1].copy()  # the image's memory goes with it


def area(seen: np.ndarray, height: int = 300, width: int = 260) -> tuple[slice, slice]:
    """Where a fitted picture of this size stands in a shot, without its outermost pixels."""
    scale = min(seen.shape[0] / height, seen.shape[1] / width)
    size = (height * scale, width * scale)
    starts = [(whole - part) / 2 for whole, part in zip(seen.shape, size, strict=False)]
    down, across = (
        slice(int(start) + 2, int(start + part) - 2) for start, part in zip(starts, size, strict=True)
    )
    return down, across


def command_rows(folder: Path, model: Path, tmp_path: Path, *options: object) -> Path:
    """The file of results that the command writes."""
    out = tmp_path / "command.csv"
    CliRunner().invoke(main, [str(folder), "--model", str(model), "--out", str(out), *map(str, options)])
    return out

"""What a person does with the viewer's window in tests, and what is seen of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from xray_infer.cli import main
from xray_infer.viewer.window import Window

LONG_MS = 60_000


def finish(qtbot: QtBot, window: Window) -> None:
    """Wait until every film that is open has its answer."""
    qtbot.waitUntil(
        lambda: len(window.films) > 0 and window.films.counts.total() == len(window.films), timeout=LONG_MS
    )
    qtbot.waitUntil(lambda: not window.status.classifying, timeout=LONG_MS)


def press(
    window: Window,
    key: Qt.Key,
    modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:
    """Press and let go of a key."""
    QTest.keyClick(window, key, modifier)


def shot(window: Window) -> NDArray[np.uint8]:
    """The canvas as it looks, BGR."""
    image = window.canvas.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    pixels = rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)
    return pixels[..., ::-1].copy()  # the image's memory goes with it


def area(seen: NDArray[np.uint8], height: int = 300, width: int = 260) -> tuple[slice, slice]:
    """Where a fitted picture of this size stands in a shot, without its outermost pixels."""
    scale = min(seen.shape[0] / height, seen.shape[1] / width)
    size = (height * scale, width * scale)
    rows, columns = (
        slice(int((whole - part) / 2) + 2, int((whole + part) / 2) - 2)
        for whole, part in zip(seen.shape[:2], size, strict=True)
    )
    return rows, columns


def command_rows(folder: Path, model: Path, tmp_path: Path, *options: object) -> Path:
    """The file of results that the command writes."""
    out = tmp_path / "command.csv"
    CliRunner().invoke(main, [str(folder), "--model", str(model), "--out", str(out), *map(str, options)])
    return out

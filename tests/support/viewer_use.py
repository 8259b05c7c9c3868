"""What a person does with the viewer's window in tests, and what is seen of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

from xray_infer.cli import main

LONG_MS = 60_000


def finish(qtbot, window):
    qtbot.waitUntil(
        lambda: len(window.films) > 0 and window.films.counts.total() == len(window.films), timeout=LONG_MS
    )
    qtbot.waitUntil(lambda: not window.status.judging, timeout=LONG_MS)


def press(qtbot, window, key, modifier=Qt.KeyboardModifier.NoModifier):
    qtbot.keyClick(window, key, modifier)


def shot(window) -> np.ndarray:
    """The canvas as it looks, BGR."""
    image = window.canvas.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    pixels = rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)
    return pixels[..., ::-1].copy()  # the image's memory goes with it


def area(seen, height=300, width=260) -> tuple[slice, slice]:
    """Where a fitted picture of this size stands in a shot, without its outermost pixels."""
    scale = min(seen.shape[0] / height, seen.shape[1] / width)
    size = (height * scale, width * scale)
    starts = [(whole - part) / 2 for whole, part in zip(seen.shape, size, strict=False)]
    return tuple(
        slice(int(start) + 2, int(start + part) - 2) for start, part in zip(starts, size, strict=True)
    )


def command_rows(folder, model, tmp_path, *options) -> Path:
    """The file of results that the command writes."""
    out = tmp_path / "command.csv"
    CliRunner().invoke(main, [str(folder), "--model", str(model), "--out", str(out), *map(str, options)])
    return out

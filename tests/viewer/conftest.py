"""A window of the viewer with the tiny model, and a folder with good and bad files to open in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pytestqt.qtbot import QtBot
from specimens import jpeg
from viewer_use import LONG_MS, finish

from xray_infer.run.settings import EngineOptions
from xray_infer.viewer.classifying import ClassifierSettings
from xray_infer.viewer.window import Window

OpenWindow = Callable[..., Window]


@pytest.fixture
def open_window(qtbot: QtBot, tiny_onnx: Path) -> Iterator[OpenWindow]:
    """Make a window with the tiny model, and open paths in it; all windows are closed in the end."""
    made = []

    def make(*paths: object, model: Path = tiny_onnx, **options: Any) -> Window:
        engine = EngineOptions(isolate_s=60.0, **{"workers": 1, **options})
        window = Window(ClassifierSettings(model, "onnx", engine))
        made.append(window)
        qtbot.addWidget(window)
        with qtbot.waitExposed(window):
            window.show()
        if paths:
            window.open([str(path) for path in paths])
        return window

    yield make
    for window in made:
        window.close()
        assert not window.still_running


@pytest.fixture
def mixed(folder: Path, xray: NDArray[np.uint8]) -> Path:
    """Six good images, an empty file and a cut one."""
    (folder / "film1.tif").write_bytes(b"")
    (folder / "film2.jpg").write_bytes(jpeg(xray)[:800])
    return folder


@pytest.fixture
def ready(qtbot: QtBot, open_window: OpenWindow, mixed: Path) -> Window:
    """A window in which all of `mixed` is classified, and the first film is in view."""
    window = open_window(mixed)
    finish(qtbot, window)
    qtbot.waitUntil(lambda: window.canvas.has_picture, timeout=LONG_MS)
    return window

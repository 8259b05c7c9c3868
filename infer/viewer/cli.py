"""The command `xray-view`."""

from __future__ import annotations

import os
import platform
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import XrayError, extra_for
from xray_infer.options import MIN_CONFIDENCE, MODEL, OOD_THRESHOLD, RUNTIME, VERSION
from xray_infer.terminal import (
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    debug_option,
    hide_native_output,
    one_line_errors,
    say,
)

if TYPE_CHECKING:
    from PySide6.QtCore import QMessageLogContext, QtMsgType
    from PySide6.QtWidgets import QApplication

    from xray_infer.viewer.classifying import ClassifierSettings
    from xray_infer.viewer.window import Window

LIBRARIES: Final = (
    "libegl1 libgl1 libdbus-1-3 libfontconfig1 libglib2.0-0 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 "
    "libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-shape0 libxcb-xkb1"
)
_CALLS: Final = 100
ADVICE: Final = f"on Debian and Ubuntu: apt install {LIBRARIES}"
NO_SCREEN: Final = "on a computer without a screen: xray-infer FOLDER --out results.csv --report page.html"


@click.command(
    epilog="Every option can be given as an environment variable, XRAY_VIEW_MODEL for --model. "
    f"{RESEARCH_NOTICE}",
    context_settings={"auto_envvar_prefix": "XRAY_VIEW", "help_option_names": ["-h", "--help"]},
)
@click.argument("paths", nargs=-1)
@MODEL
@RUNTIME
@MIN_CONFIDENCE
@OOD_THRESHOLD
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Worker threads (default: one per processor).",
)
@debug_option
@VERSION
def main(paths: tuple[str, ...], model: Path | None, runtime: str | None, debug: bool, **rules: Any) -> None:
    """Show chest X-rays in a window, each with the model's answer.

    PATHS are images, folders or archives. Without PATHS, drop files on the window. F1 lists the keys.
    """
    with one_line_errors("xray-view", debug=debug):
        _check_qt()
        from xray_infer.images.limits import DEFAULT_DECODE_SECONDS
        from xray_infer.run.settings import EngineOptions
        from xray_infer.viewer.classifying import ClassifierSettings

        # A file that crashes or hangs its decoder must not end the window.
        options = EngineOptions(isolate_s=DEFAULT_DECODE_SECONDS, **rules)
        with nullcontext() if debug else hide_native_output():
            status = run(paths, ClassifierSettings(model, runtime or "onnx", options))
        sys.exit(status)


def run(paths: tuple[str, ...], settings: ClassifierSettings) -> int:
    """Show the window until it is closed, and return the exit status."""
    app, window = make_window(settings)
    status = 0

    def stop(number: int, frame: object) -> None:
        nonlocal status
        status = EXIT_INTERRUPTED
        window.close()

    # Python runs signal handlers between its own instructions: at each tick of the window's timer.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    window.show()
    if paths:
        window.open(paths)
    app.exec()
    if window.still_running:
        os._exit(status)  # a thread waits for a file that may never arrive; ending it loses nothing
    return status


def make_window(settings: ClassifierSettings) -> tuple[QApplication, Window]:
    """Start Qt, and return it with the window, which is not shown yet."""
    from PySide6.QtCore import qInstallMessageHandler
    from PySide6.QtWidgets import QApplication

    qInstallMessageHandler(_Messages())
    app = QApplication(["xray-view"])
    app.setApplicationDisplayName("xray-view")
    # Afterwards: an OpenCV with windows of its own, where one is installed, turns Qt to its plugins.
    import cv2

    from xray_infer.viewer.style import apply_style
    from xray_infer.viewer.window import Window

    cv2.setNumThreads(1)  # the workers are the parallelism
    apply_style(app)
    return app, Window(settings)


class _Messages:
    """Keeps Qt's messages off the terminal, but for the reason why Qt cannot open a window."""

    def __init__(self) -> None:
        self._warnings: list[str] = []

    def __call__(self, kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
        from PySide6.QtCore import QtMsgType

        if kind in (QtMsgType.QtWarningMsg, QtMsgType.QtCriticalMsg):
            self._warnings = [*self._warnings[-9:], " ".join(text.split())]
        if kind == QtMsgType.QtFatalMsg:
            say(f"xray-view: cannot open a window: {why_no_window(self._warnings, text)}")
            sys.stderr.flush()
            os._exit(EXIT_USAGE)


def why_no_window(warnings: Sequence[str], last: str) -> str:
    """Return why Qt gave up, in a line that says what to do."""
    screen = [text for text in warnings if "could not connect to display" in text]
    if screen:
        return f"{screen[-1].removeprefix('qt.qpa.xcb: ').rstrip('. ')}; {NO_SCREEN}"
    return f"{(warnings[-1] if warnings else last).rstrip('. ')}; {ADVICE}"


def _check_qt() -> None:
    """Raise MissingExtraError without PySide6, XrayError for one that cannot be used."""
    try:
        with extra_for("xray-view", "viewer"):
            import PySide6.QtWidgets
    except ImportError as error:
        raise XrayError(f"Qt cannot be loaded: {error}; {ADVICE}") from error
    if loses_references(lambda: PySide6.QtCore.QElapsedTimer().start()):
        raise XrayError(
            f"PySide6 {PySide6.__version__} does not work with Python {platform.python_version()}: it would "
            "crash after some minutes; pip install 'PySide6-Essentials<6.12', or use Python 3.12"
        )


def loses_references(call: Callable[[], object]) -> bool:
    """Tell whether each call takes a reference to None with it: at the last of them Python ends itself.

    PySide6 6.12.0 is built so; from Python 3.12 on None is never freed (PEP 683), and nothing is lost.
    """
    before = sys.getrefcount(None)
    for _ in range(_CALLS):
        call()
    return before - sys.getrefcount(None) > _CALLS / 2

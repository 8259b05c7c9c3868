"""A screen without a monitor (Xvfb), with a keyboard and a mouse (xdotool)."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 1320, 860
PATIENCE_S = 180.0  # only a fault waits for so long
QUIET_S = 1.0  # without a change: longer than any timer by which the window redraws


def missing() -> str:
    """Name what is not installed."""
    return ", ".join(name for name in ("Xvfb", "xdotool") if shutil.which(name) is None)


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Wait until it holds; fail after PATIENCE_S."""
    until = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.05)


class Screen:
    """A context: the display runs as long as the block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Screen:
        read, write = os.pipe()
        # Without -noreset the server starts anew when its last window closes, and refuses who comes
        # meanwhile.
        displayed = ("-displayfd", str(write), "-fbdir", str(self._folder), "-noreset")
        self._server = subprocess.Popen(
            ["Xvfb", "-nolisten", "tcp", "-screen", "0", f"{WIDTH}x{HEIGHT}x24", *displayed],
            pass_fds=[write],
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(read) as stream:
            number = stream.readline().strip()
        assert number, "Xvfb did not start"
        self.environment = {
            **os.environ,
            "DISPLAY": f":{number}",
            "QT_QPA_PLATFORM": "xcb",
            "XDG_CONFIG_HOME": str(self._folder),  # file dialogs remember there how they were left
        }
        return self

    def __exit__(self, *problem: object) -> None:
        self._server.terminate()
        self._server.wait()

    def do(self, *words: object) -> str:
        """Give xdotool a command and return what it prints; nothing where it fails."""
        done = subprocess.run(
            ["xdotool", *map(str, words)],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        return done.stdout.strip()

    def windows(self, name: str) -> list[str]:
        """Return the windows with this in their names."""
        return self.do("search", "--onlyvisible", "--name", name).split()

    def focus(self, name: str) -> str:
        """Wait for a window and give it the keyboard; no window manager does it here."""
        wait_until(lambda: bool(self.windows(name)), f"a window named {name}")
        window = self.windows(name)[-1]
        self.do("windowfocus", "--sync", window)
        return window

    def answer(self, dialog: str, text: str) -> None:
        """Wait for a dialog, type an answer and Return, and wait until the dialog has gone."""
        self.focus(dialog)
        self.do("type", "--delay", 5, text)
        self.do("key", "Return")
        wait_until(lambda: not self.windows(dialog), f"the end of the dialog {dialog}")

    def press(self, *keys: str) -> None:
        """Press and let go of keys, such as ctrl+o, one after the other."""
        for key in keys:
            self.do("key", key)
            time.sleep(0.05)

    def drag(self, start: tuple[int, int], end: tuple[int, int], button: int = 1) -> None:
        """Drag the mouse from a point of the screen to another."""
        self.do("mousemove", *start, "mousedown", button)
        for share in (0.25, 0.5, 0.75, 1.0):
            at = [round(a + share * (b - a)) for a, b in zip(start, end, strict=True)]
            self.do("mousemove", *at)
            time.sleep(0.03)
        self.do("mouseup", button)

    def look(self) -> NDArray[np.uint8]:
        """Return what is on the screen, BGR uint8 [HEIGHT, WIDTH, 3]; of Xvfb's file, an X window dump."""
        data = (self._folder / "Xvfb_screen0").read_bytes()
        header = struct.unpack(">25I", data[:100])
        start = header[0] + 12 * header[19]  # the header, and a palette of so many colours
        line = header[12]
        rows = np.frombuffer(data, np.uint8, HEIGHT * line, start).reshape(HEIGHT, line)
        return rows[:, : 4 * WIDTH].reshape(HEIGHT, WIDTH, 4)[..., :3].copy()

    def settled(self) -> NDArray[np.uint8]:
        """Return what is on the screen when it has stopped changing."""
        seen, since = self.look(), time.monotonic()

        def quiet() -> bool:
            nonlocal seen, since
            now = self.look()
            if not np.array_equal(now, seen):
                seen, since = now, time.monotonic()
            return time.monotonic() - since > QUIET_S

        wait_until(quiet, "the end of all changes on the screen")
        return seen

    def changed(self, before: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what is on the screen when it has changed from `before` and stopped changing."""
        wait_until(lambda: not np.array_equal(self.look(), before), "a change on the screen")
        return self.settled()

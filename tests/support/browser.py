"""Chromium without a window, driven by its DevTools protocol over a pipe: no package, no port, no network.

https://chromedevtools.github.io/devtools-protocol/; the pipe (--remote-debugging-pipe) carries JSON messages
that end in a NUL byte.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_S = 60
KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "Escape": 27, "Tab": 9, "Enter": 13}


def found_browser() -> str | None:
    """Return the path of a Chromium; XRAY_TEST_CHROMIUM names another."""
    return os.environ.get("XRAY_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Tab:
    """One page. `messages` are what its console, its exceptions and its content policy said."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive, self._left = send, receive, b""
        self._number, self._session = 0, None
        self.messages: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def open(self, address: str) -> None:
        """Load a page, and wait until it and its script are done."""
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value(self, expression: str) -> Any:
        """Return what an expression of JavaScript gives, as JSON carries it."""
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression holds."""
        end = time.monotonic() + PATIENCE_S
        while not self.value(expression):
            assert time.monotonic() < end, expression
            time.sleep(0.02)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key of KEYS and let it go."""
        named = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": 8 * shift}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **named, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page another size in pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, scheme: str) -> None:
        """Prefer `light` or `dark` colours."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Save what is seen as PNG, the `whole` page or the window."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            assert select.select([self._receive], [], [], PATIENCE_S)[0], "the browser does not answer"
            more = os.read(self._receive, 1 << 20)
            assert more, "the browser has ended"
            self._left += more
        message, _, self._left = self._left.partition(b"\0")
        read: dict[str, Any] = json.loads(message)
        return read

    def _note(self, event: dict[str, Any]) -> None:
        method, given = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.messages.append(str(given["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.messages.append(f"{given['type']}: {given['args']}")
        elif method == "Log.entryAdded":
            self.messages.append(f"{given['entry']['level']}: {given['entry']['text']}")
        elif method == "Network.requestWillBeSent" and not given["request"]["url"].startswith("file:"):
            self.messages.append(f"asked for {given['request']['url'][:200]}")


@contextmanager
def chromium(profile: Path) -> Iterator[Tab]:
    """Yield a tab of a Chromium of its own, with its files in `profile`."""
    to_browser, from_browser = os.pipe(), os.pipe()
    # Above 3 and 4, where the browser looks for them.
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (to_browser[0], from_browser[1])]
    command = [found_browser() or NAMES[0], "--headless=new", "--no-sandbox", "--disable-gpu"]
    command += ["--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"]
    command += [f"--user-data-dir={profile}", "--remote-debugging-pipe"]

    def place() -> None:
        os.dup2(theirs[0], 3)
        os.dup2(theirs[1], 4)

    with subprocess.Popen(
        command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, close_fds=False, preexec_fn=place
    ) as process:
        for end in (to_browser[0], from_browser[1], *theirs):
            os.close(end)
        try:
            tab = Tab(to_browser[1], from_browser[0])
            yield tab
            tab._session = None
            tab.call("Browser.close")
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            os.close(to_browser[1])
            os.close(from_browser[0])

"""The command `xray-view`: how it starts, how it ends, what it says where there is no window."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from approved import approved
from click.testing import CliRunner
from places import SAMPLES

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.viewer.cli import LIBRARIES, NO_SCREEN, loses_references, main, why_no_window

SAYS = approved("xray-view")

PATIENCE_S = 60
START_S = 300  # only a fault waits for so long
COMMAND = [sys.executable, "-m", "xray_infer.viewer"]

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds children in Linux's /proc")


def test_help_says_what_it_is_for():
    shown = CliRunner().invoke(main, ["--help"]).stdout
    assert SAYS["paths-are-images-folders"] in shown
    assert RESEARCH_NOTICE in " ".join(shown.split())
    for option in ("--model", "--runtime", "--min-confidence", "--ood-threshold", "--workers"):
        assert option in shown


def test_without_a_screen_it_is_one_line_that_says_what_to_do():
    environment = {name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"}
    done = subprocess.run(
        [*COMMAND, str(SAMPLES)],
        env={**environment, "DISPLAY": ":987", "QT_QPA_PLATFORM": "xcb"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(SAYS["xray-view-cannot-open"])
    assert NO_SCREEN in done.stderr or LIBRARIES in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("warnings", "expected"),
    [
        (
            ["qt.qpa.xcb: could not connect to display :3", "From 6.5.0, xcb-cursor0 is needed."],
            f"could not connect to display :3; {NO_SCREEN}",
        ),
        (["From 6.5.0, xcb-cursor0 is needed."], "From 6.5.0, xcb-cursor0 is needed; on Debian and Ubuntu"),
        ([], "no plugin; on Debian and Ubuntu"),
    ],
)
def test_why_there_is_no_window(warnings, expected):
    assert why_no_window(warnings, "no plugin.").startswith(expected)


def test_a_qt_that_loses_references_is_found_out():
    """PySide6 6.12.0 on Python 3.11: each call takes one, until Python aborts."""
    taken = []

    def lose():
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(None))
        taken.append(0)

    loses_references(lambda: None)  # what measures coverage rewrites a function at its first call
    try:
        found = loses_references(lose)
    finally:
        for _ in taken:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(None))
    assert found is (sys.version_info < (3, 12))
    assert not loses_references(lambda: None)
    from PySide6.QtCore import QElapsedTimer

    assert not loses_references(lambda: QElapsedTimer().start())


@pytest.fixture
def started():
    """The command on the samples, once what decodes for it has started; the processes of that, too."""
    process = subprocess.Popen(
        [*COMMAND, str(SAMPLES)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    children: set[int] = set()
    until = time.monotonic() + START_S
    while len(children) < 2 and time.monotonic() < until:  # one decodes for the model, one for the window
        time.sleep(0.02)
        for task in Path(f"/proc/{process.pid}/task").glob("*/children"):
            children |= set(filter(decodes, map(int, task.read_text().split())))
    assert len(children) >= 2
    yield process, children
    for number in filter(running, (process.pid, *children)):
        os.kill(number, signal.SIGKILL)
    process.communicate()


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_what_it_started(started, number):
    process, children = started
    process.send_signal(number)
    out, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, errors) == (130, "", "")
    until = time.monotonic() + PATIENCE_S
    while any(map(running, children)):
        assert time.monotonic() < until, "its children live on"
        time.sleep(0.05)


@linux
def test_decoders_that_hang_do_not_keep_it_from_closing(started):
    process, children = started
    for number in children:
        os.kill(number, signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, errors) == (130, "", "")


def decodes(number: int) -> bool:
    """Whether a process has begun to run the decoder.

    Between fork and exec it is still a copy of its parent: to stop it there leaves the parent's thread in
    vfork, where not even SIGKILL ends it, and keeps the parent's pipes open.
    """
    try:
        return b"isolation.child" in Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return False


def running(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False

"""The viewer as its user sees it: a real window on a virtual screen, driven by keyboard and mouse.

With XRAY_VIEW_SHOTS=FOLDER, what is on the screen at each step is kept there as PNG.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import virtual_screen
from places import SAMPLES
from virtual_screen import Screen, wait_until

from xray_infer.run.settings import EngineOptions

pytestmark = pytest.mark.skipif(
    bool(virtual_screen.missing()), reason=f"not installed: {virtual_screen.missing()}"
)


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    with Screen(tmp_path_factory.mktemp("screen")) as opened:
        yield opened


@pytest.fixture
def start(screen, tmp_path):
    """Start xray-view on the screen, in a folder of its own; what still runs in the end is killed."""
    started = []

    def run(*arguments):
        command = [sys.executable, "-m", "xray_infer.viewer", *map(str, arguments)]
        with (tmp_path / "errors.txt").open("w") as errors:
            process = subprocess.Popen(command, cwd=tmp_path, env=screen.environment, stderr=errors)
        started.append(process)
        try:
            screen.focus("xray-view")
        except AssertionError:
            if process.poll() is not None and "apt install" in (tmp_path / "errors.txt").read_text():
                pytest.skip("Qt's libraries for X are not installed")
            raise
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def keep(name: str, seen: np.ndarray) -> np.ndarray:
    folder = os.environ.get("XRAY_VIEW_SHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(Path(folder, f"{name}.png")), seen)
    return seen


def where_things_are(qtbot) -> dict[str, tuple[int, int, int, int]]:
    """Left, top, width, height in the window, of the slider and the canvas; from a twin without a screen."""
    from xray_infer.viewer.classifying import ClassifierSettings
    from xray_infer.viewer.window import Window

    twin = Window(ClassifierSettings(None, "onnx", EngineOptions(workers=1)))
    qtbot.addWidget(twin)
    with qtbot.waitExposed(twin):
        twin.show()
    twin.open([str(SAMPLES)])
    qtbot.waitUntil(lambda: twin.films.counts.total() == 6, timeout=60_000)
    qtbot.wait(300)
    places = {}
    for name, widget in (("slider", twin.answer.heat._slider), ("canvas", twin.canvas)):
        corner = widget.mapTo(twin, widget.rect().topLeft())
        places[name] = (corner.x(), corner.y(), widget.width(), widget.height())
    twin.close()
    return places


def processes_of(group: int) -> list[int]:
    """The children of a process, by /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == group:
            found.append(int(stat.parent.name))
    return found


def test_open_a_folder_look_at_it_export_and_close(screen, start, tmp_path, qtbot):
    places = where_things_are(qtbot)
    process = start()
    keep("1-welcome", screen.settled())
    screen.press("ctrl+shift+o")
    screen.focus("Open a folder")
    screen.type(str(SAMPLES))
    window = screen.focus("samples - xray-view")
    wait_until(lambda: (screen.look()[..., 1] > 150).sum() > 50_000, "a picture")
    first = keep("2-opened", screen.settled())

    geometry = dict(
        line.split("=") for line in screen.do("getwindowgeometry", "--shell", window).splitlines()
    )
    left, top = int(geometry["X"]), int(geometry["Y"])

    def part(seen, name):
        x, y, width, height = places[name]
        return seen[top + y : top + y + height, left + x : left + x + width].astype(int)

    def answered() -> bool:
        """Whether the panel beside the canvas shows bars in their colours."""
        x, y, width, height = places["canvas"]
        seen = screen.look()[top + y : top + y + height // 2, left + x + width :]
        return bool((np.ptp(seen.astype(int), axis=2) > 100).sum() > 300)

    screen.press("Right")
    wait_until(answered, "an answer")
    second = keep("3-next", screen.settled())
    assert np.abs(part(second, "canvas") - part(first, "canvas")).mean() > 1
    assert (np.ptp(part(second, "canvas"), axis=2) == 0).all()  # gray: no heat map yet

    x, y, width, height = places["slider"]
    middle = top + y + height // 2
    screen.drag((left + x + 6, middle), (left + x + width // 2, middle))
    faded = keep("4-slider", screen.settled())
    screen.drag((left + x + width // 2, middle), (left + x + width - 4, middle))
    strong = keep("5-slider-full", screen.settled())
    colour = [np.ptp(part(seen, "canvas"), axis=2).mean() for seen in (second, faded, strong)]
    assert 0 == colour[0] < colour[1] < colour[2]

    of_class = {}
    for key, name in (("1", "covid"), ("2", "pneumonia"), ("3", "normal")):
        screen.press(key)
        of_class[name] = part(keep(f"6-{name}", screen.settled()), "canvas")
    assert len({seen.tobytes() for seen in of_class.values()}) == 3

    x, y, width, height = places["canvas"]
    centre = (left + x + width // 2, top + y + height // 2)
    screen.press("h")
    screen.drag(centre, (centre[0] - 120, centre[1] - 40), button=3)
    keep("7-window", screen.settled())
    screen.do("mousemove", *centre, "click", "--repeat", 4, 4)
    screen.drag(centre, (centre[0] + 90, centre[1] + 60))
    screen.press("i")
    changed = part(keep("8-zoomed-inverted", screen.settled()), "canvas")
    assert np.abs(changed - part(second, "canvas")).mean() > 20

    screen.press("i", "r", "f", "2", "ctrl+s")
    screen.focus("Save")
    screen.type(str(tmp_path / "heat.png"))
    wait_until(lambda: (tmp_path / "heat.png").exists(), "the heat map's file")
    screen.focus("samples - xray-view")
    screen.press("ctrl+shift+r")
    screen.focus("Save")
    screen.type(str(tmp_path / "rows.csv"))
    wait_until(lambda: (tmp_path / "rows.csv").exists(), "the rows' file")
    screen.focus("samples - xray-view")
    keep("9-saved", screen.settled())

    command = [sys.executable, "-m", "xray_infer", str(SAMPLES), "--out", "r.csv", "--heatmap", "maps"]
    more = ["--heatmap-for", "all", "--heatmap-format", "png"]
    subprocess.run([*command, *more], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "rows.csv").read_bytes() == (tmp_path / "r.csv").read_bytes()
    (expected,) = (tmp_path / "maps").glob("phantom_bilateral_2.png.pneumonia.*")
    assert (tmp_path / "heat.png").read_bytes() == expected.read_bytes()

    screen.press("ctrl+q")
    assert process.wait(30) == 0
    assert (tmp_path / "errors.txt").read_text() == ""


def test_a_bad_file_shows_its_reason(screen, start, tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a_cut.png").write_bytes((SAMPLES / "phantom_normal_1.png").read_bytes()[:9000])
    os.symlink(SAMPLES / "phantom_normal_1.png", folder / "b_whole.png")
    process = start(folder)
    screen.focus("films - xray-view")
    wait_until(lambda: (screen.look()[..., 2] > 200).sum() > 300, "the reason")
    keep("10-bad-file", screen.settled())
    screen.press("ctrl+q")
    assert process.wait(30) == 0


@pytest.mark.parametrize("how", ["ctrl+q", "signal"])
def test_closing_in_the_middle_of_a_run_is_clean(screen, start, tmp_path, how):
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(3000):
        os.symlink(SAMPLES / "phantom_normal_1.png", folder / f"{number:04d}.png")
    process = start(folder)
    wait_until(lambda: (np.ptp(screen.look()[100:, :290].astype(int), axis=2) > 100).sum() > 300, "answers")
    keep("11-in-the-middle", screen.look())
    children = processes_of(process.pid)
    assert len(children) >= 2
    if how == "signal":
        process.send_signal(signal.SIGTERM)
    else:
        screen.press("ctrl+q")
    assert process.wait(30) == (130 if how == "signal" else 0)
    wait_until(lambda: not any(Path(f"/proc/{one}").exists() for one in children), "the children's end")
    assert (tmp_path / "errors.txt").read_text() == ""

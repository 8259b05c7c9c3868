"""The viewer as its user sees it: a real window on a virtual screen, driven by keyboard and mouse.

With XRAY_VIEW_SHOTS=FOLDER, what is on the screen at each step, and at a test's end, is kept there as PNG.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import virtual_screen
from numpy.typing import NDArray
from places import SAMPLES
from virtual_screen import HEIGHT, PATIENCE_S, WIDTH, Screen, wait_until

pytestmark = pytest.mark.skipif(
    bool(virtual_screen.missing()), reason=f"not installed: {virtual_screen.missing()}"
)

EVERY_LABEL = ("--min-confidence", "0")  # "uncertain" has no colour of its own

Picture = NDArray[np.uint8]
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    with Screen(tmp_path_factory.mktemp("screen")) as opened:
        yield opened


@pytest.fixture
def start(screen: Screen, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Start xray-view on the screen, in the test's folder; what still runs in the end is killed."""
    started = []

    def run(*arguments: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "xray_infer.viewer", *EVERY_LABEL, *map(str, arguments)]
        with (tmp_path / "errors.txt").open("w") as errors:
            process = subprocess.Popen(command, cwd=tmp_path, env=screen.environment, stderr=errors)
        started.append(process)
        wait_until(lambda: bool(screen.windows("xray-view")) or process.poll() is not None, "the window")
        if process.poll() is not None:
            said = (tmp_path / "errors.txt").read_text()
            if "apt install" in said:
                pytest.skip("Qt's libraries for X are not installed")
            pytest.fail(f"xray-view ended: {said}")
        screen.focus("xray-view")
        return process

    yield run
    keep(f"{request.node.name}-end", screen.look())
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def keep(name: str, seen: Picture) -> Picture:
    folder = os.environ.get("XRAY_VIEW_SHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(Path(folder, f"{name}.png")), seen)
    return seen


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the screen, in pixels."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def around(cls, marked: NDArray[np.bool_]) -> Box:
        """Return the smallest box with all that is marked; `marked` is bool [height, width]."""
        return cls(*cv2.boundingRect(marked.astype(np.uint8)))

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def middle(self) -> tuple[int, int]:
        return self.left + self.width // 2, self.top + self.height // 2

    def of(self, seen: Picture) -> NDArray[np.int64]:
        return seen[self.top : self.top + self.height, self.left : self.right].astype(np.int64)

    def colour(self, seen: Picture) -> float:
        """Return how far from gray the part is, in the mean."""
        return float(np.ptp(self.of(seen), axis=2).mean())


def changed_by(screen: Screen, key: str) -> NDArray[np.bool_]:
    """Press a key, and again so that all is as before; return which pixels differed in between."""
    before = screen.settled()
    screen.press(key)
    after = screen.changed(before)
    screen.press(key)
    wait_until(lambda: np.array_equal(screen.look(), before), f"the second {key} to undo the first")
    differ: NDArray[np.bool_] = (after != before).any(axis=2)
    return differ


def coloured_lines(seen: Picture) -> int:
    """Count the labels in the list that have their class's colour, or that of a bad file."""
    colour = np.ptp(seen[:, :290].astype(np.int64), axis=2)
    rows = np.flatnonzero((colour > 100).any(axis=1))
    return int((np.diff(rows, prepend=-HEIGHT) > 10).sum())


def find_picture(screen: Screen) -> Box:
    """Return where the picture is: I inverts it, and writes a word in the status line."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(changed_by(screen, "i").astype(np.uint8))
    return Box.around(labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax())


def find_slider(screen: Screen, picture: Box) -> Box:
    """Return where the slider is, right of the picture: H moves it to its right end, and colours the picture.

    Its place depends on how many lines the answer above it takes.
    """
    changed = changed_by(screen, "h")
    changed[:, : picture.right] = False
    slider = Box.around(changed)
    assert slider.width > 8 * slider.height > 0
    return slider


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


def test_open_a_folder_look_at_it_export_and_close(screen: Screen, start: Start, tmp_path: Path) -> None:
    # The only folder in the dialog's own. While a longer path is typed, Qt's dialog selects the folders along
    # it; once in 20 runs, without a window manager, it wrote their names over the text.
    folder = tmp_path / "samples"
    shutil.copytree(SAMPLES, folder)
    process = start()
    screen.do("mousemove", WIDTH - 1, HEIGHT - 1)  # keep the pointer off the picture: it is seen, too
    keep("1-welcome", screen.settled())
    screen.press("ctrl+shift+o")
    screen.answer("Open a folder", folder.name)
    screen.focus("samples - xray-view")
    wait_until(lambda: (screen.look()[..., 1] > 150).sum() > 50_000, "a picture")
    wait_until(lambda: coloured_lines(screen.look()) == 6, "all answers")
    first = keep("2-opened", screen.settled())
    screen.press("Right")
    second = keep("3-next", screen.changed(first))
    picture = find_picture(screen)
    slider = find_slider(screen, picture)
    assert np.abs(picture.of(second) - picture.of(first)).mean() > 1
    assert picture.colour(second) == 0  # gray: no heat map yet

    row = slider.middle[1]
    screen.drag((slider.left + 6, row), (slider.middle[0], row))
    wait_until(lambda: picture.colour(screen.look()) > 0, "a heat map")
    faded = keep("4-slider", screen.settled())
    screen.drag((slider.middle[0], row), (slider.right - 4, row))
    strong = keep("5-slider-full", screen.changed(faded))
    assert picture.colour(strong) > picture.colour(faded)

    of_class, seen = set(), strong
    for key, name in (("1", "covid"), ("2", "pneumonia"), ("3", "normal")):
        screen.press(key)
        seen = keep(f"6-{name}", screen.changed(seen))
        of_class.add(picture.of(seen).tobytes())
    assert len(of_class) == 3

    across, down = picture.middle
    screen.press("h")
    gray = screen.changed(seen)
    assert np.array_equal(picture.of(gray), picture.of(second))
    screen.drag(picture.middle, (across - 120, down - 40), button=3)
    windowed = keep("7-window", screen.changed(gray))
    screen.do("mousemove", across, down, "click", "--repeat", 4, 4)
    zoomed = screen.changed(windowed)
    screen.drag(picture.middle, (across + 90, down + 60))
    panned = screen.changed(zoomed)
    screen.press("i")
    inverted = keep("8-zoomed-inverted", screen.changed(panned))
    for one, other in ((gray, windowed), (windowed, zoomed), (zoomed, panned), (panned, inverted)):
        assert np.abs(picture.of(one) - picture.of(other)).mean() > 1
    assert np.abs(picture.of(inverted) - picture.of(second)).mean() > 20

    screen.press("i", "r", "f", "2", "ctrl+s")
    screen.answer("Save", str(tmp_path / "heat.png"))
    wait_until(lambda: (tmp_path / "heat.png").exists(), "the heat map's file")
    screen.focus("samples - xray-view")
    screen.press("ctrl+shift+r")
    screen.answer("Save", str(tmp_path / "rows.csv"))
    wait_until(lambda: (tmp_path / "rows.csv").exists(), "the rows' file")
    screen.focus("samples - xray-view")
    keep("9-saved", screen.settled())

    command = [sys.executable, "-m", "xray_infer", str(folder), "--out", "r.csv", "--heatmap", "maps"]
    more = ["--heatmap-for", "all", "--heatmap-format", "png", *EVERY_LABEL]
    subprocess.run([*command, *more], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "rows.csv").read_bytes() == (tmp_path / "r.csv").read_bytes()
    (expected,) = (tmp_path / "maps").glob("phantom_bilateral_2.png.pneumonia.*")
    assert (tmp_path / "heat.png").read_bytes() == expected.read_bytes()

    screen.press("ctrl+q")
    assert process.wait(PATIENCE_S) == 0
    assert (tmp_path / "errors.txt").read_text() == ""


def test_a_bad_file_shows_its_reason(screen: Screen, start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a_cut.png").write_bytes((SAMPLES / "phantom_normal_1.png").read_bytes()[:9000])
    os.symlink(SAMPLES / "phantom_normal_1.png", folder / "b_whole.png")
    process = start(folder)
    screen.focus("films - xray-view")
    wait_until(lambda: coloured_lines(screen.look()) == 2, "both answers")
    seen = keep("10-bad-file", screen.settled())
    blue, _, red = np.moveaxis(seen[:, :290].astype(np.int64), 2, 0)
    assert (red - blue > 80).sum() > 100  # the label in the colour of a warning
    assert (seen[300:500, 320:890] > 150).sum() > 300  # the reason in the picture's place
    screen.press("ctrl+q")
    assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("how", ["ctrl+q", "signal"])
def test_closing_in_the_middle_of_a_run_is_clean(
    screen: Screen, start: Start, tmp_path: Path, how: str
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(3000):
        os.symlink(SAMPLES / "phantom_normal_1.png", folder / f"{number:04d}.png")
    process = start(folder)
    wait_until(lambda: coloured_lines(screen.look()) >= 2, "answers")
    keep("11-in-the-middle", screen.look())
    children = processes_of(process.pid)
    assert len(children) >= 2
    if how == "signal":
        process.send_signal(signal.SIGTERM)
    else:
        screen.press("ctrl+q")
    assert process.wait(PATIENCE_S) == (130 if how == "signal" else 0)
    wait_until(lambda: not any(Path(f"/proc/{one}").exists() for one in children), "the children's end")
    assert (tmp_path / "errors.txt").read_text() == ""

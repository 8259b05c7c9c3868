"""A window in a process of its own, without a screen, that opens a folder and is used while it fills.

`python -m benchmarks.studies.viewer.session PATH STARTED HOW`, STARTED in seconds since the epoch, HOW
`start` (close at the first answer) or `fill`; prints a `Session` as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from xray_infer.viewer.window import Window

BEAT_MS: Final = 5
FRAME_MS: Final = 16
STEP_MS: Final = 700  # from film to film
LEAF_MS: Final = 150
LOOK_MS: Final = 20
SCROLL: Final = 40  # points of the screen a frame
STILL_MS: Final = 2000
# The phases, in their order. The last is as long for every number of films: the pictures that were looked at
# decide about memory.
STILL, FILLING, USED = "nothing to do", "filling", "filling, scrolling, going from film to film"
LEAFING = "full, going from film to film"
LEAFED: Final = 100  # films, or all


@dataclass(slots=True)
class Session:
    """What was seen. Times in ms; `marks` since the process was started, `peaks_mb` of window and children.

    `late`, by phase: by how much each beat of the interface thread came late. `frames`: what drawing the list
    took. `pictures`, by phase: from choosing a film to its picture on the screen. `images_per_s`: by phase.
    """

    marks: dict[str, float] = field(default_factory=dict)
    late: dict[str, list[float]] = field(default_factory=dict)
    frames: list[float] = field(default_factory=list)
    pictures: dict[str, list[float]] = field(default_factory=dict)
    peaks_mb: list[float] = field(default_factory=list)
    images_per_s: dict[str, float] = field(default_factory=dict)


class Visit:
    """Opens `path` in a window, uses it, and closes it; `session` fills meanwhile."""

    def __init__(self, window: Window, path: str, session: Session) -> None:
        from PySide6.QtCore import Qt, QTimer

        self._window, self._path, self._session = window, path, session
        self._bar = window.film_list.verticalScrollBar()
        self._phase = STILL
        self._beaten = self._since = time.perf_counter()
        self._counted = self._leafed = 0
        self._chosen = 0.0
        self._timers = {}
        for call, ms in (
            (self._beat, BEAT_MS),
            (self._scroll, FRAME_MS),
            (self._step, STEP_MS),
            (self._look, LOOK_MS),
        ):
            timer = QTimer(window)
            timer.setTimerType(Qt.TimerType.PreciseTimer)
            timer.setInterval(ms)
            timer.timeout.connect(call)
            self._timers[call.__name__] = timer
        window.canvas.changed.connect(self._pictured)

    def begin(self) -> None:
        """Do nothing for a while, then open the folder."""
        from PySide6.QtCore import QTimer

        self._window.answer.heat.fade(50)
        self._beaten = time.perf_counter()
        self._timers["_beat"].start()
        QTimer.singleShot(STILL_MS, self._open)

    def _open(self) -> None:
        self._since, self._phase = time.perf_counter(), FILLING
        self._window.open([self._path])
        self._timers["_look"].start()

    def _beat(self) -> None:
        now = time.perf_counter()
        late = 1000 * (now - self._beaten) - BEAT_MS
        self._session.late.setdefault(self._phase, []).append(max(0.0, late))
        self._beaten = now

    def _scroll(self) -> None:
        at_end = self._bar.value() == self._bar.maximum()
        self._bar.setValue(0 if at_end else self._bar.value() + SCROLL)
        began = time.perf_counter()
        self._window.film_list.viewport().repaint()
        self._session.frames.append(1000 * (time.perf_counter() - began))

    def _step(self) -> None:
        where = self._bar.value()
        self._leafed += self._phase == LEAFING
        self._chosen = time.perf_counter()
        last = self._window.film_list.place == len(self._window.films) - 1
        self._window.film_list.go_to_first() if last else self._window.film_list.step(1)
        self._bar.setValue(where)

    def _pictured(self) -> None:
        if self._chosen and self._window.canvas.has_picture:
            found = self._session.pictures.setdefault(self._phase, [])
            found.append(1000 * (time.perf_counter() - self._chosen))
            self._chosen = 0.0

    def _count(self, done: int) -> None:
        now = time.perf_counter()
        self._session.images_per_s[self._phase] = (done - self._counted) / (now - self._since)
        self._since, self._counted = now, done

    def _look(self) -> None:
        count, done = len(self._window.films), self._window.films.counts.total()
        if self._phase == FILLING and 3 * done > count > 0:
            self._count(done)
            self._phase = USED
            self._timers["_scroll"].start()
            self._timers["_step"].start()
        elif self._phase == USED and done == count:
            self._count(done)
            self._phase = LEAFING
            self._timers["_scroll"].stop()
            self._timers["_step"].setInterval(LEAF_MS)
        elif self._phase == LEAFING and self._leafed >= min(LEAFED, count):
            for timer in self._timers.values():
                timer.stop()
            self._session.peaks_mb = list(peaks_mb())
            self._window.close()


def peaks_mb() -> tuple[float, float]:
    """Return the peak memory of this process so far, and of its children together, in MB; see proc(5)."""
    from xray_infer.benchmarks.processes import high_water_mb

    children = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")).split()
    return high_water_mb(os.getpid()), sum(high_water_mb(int(one)) for one in children)


def main(path: str, started: float, how: str) -> None:
    """Run one session and print it."""
    session = Session()

    def mark(name: str) -> None:
        session.marks.setdefault(name, 1000 * (time.time() - started))

    mark("Python")
    from PySide6.QtCore import QEvent, QObject

    from xray_infer.images.limits import DEFAULT_DECODE_SECONDS
    from xray_infer.run.settings import EngineOptions
    from xray_infer.viewer.classifying import ClassifierSettings
    from xray_infer.viewer.cli import make_window

    app, window = make_window(
        ClassifierSettings(None, "onnx", EngineOptions(isolate_s=DEFAULT_DECODE_SECONDS))
    )

    def done() -> None:
        if how == "start" and {"the first picture", "the first answer"} <= session.marks.keys():
            window.close()

    class Watch(QObject):
        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() == QEvent.Type.Paint:
                mark("the window is drawn")
                if window.canvas.has_picture:
                    mark("the first picture")
                    done()
            return False

    def answered(*judged: object) -> None:
        mark("the first answer")
        done()

    watch = Watch()
    window.canvas.installEventFilter(watch)
    window.lister.listed.connect(lambda *listed: mark("the list"))
    window.classifier.classified.connect(answered)
    visit = Visit(window, path, session)
    if how == "start":
        window.show()
        window.open([path])
    else:
        window.classifier.ready.connect(lambda known: visit.begin())
        window.show()
    app.exec()
    mark("it is closed")
    print(json.dumps(dataclasses.asdict(session)), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])

"""How far a run is and what it came to: counts by status, label and reason, for people and for records.

Progress goes to standard error: one line that changes on a terminal, a line now and then elsewhere.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TextIO

from xray_infer.classes import RESEARCH_NOTICE, UNCERTAIN
from xray_infer.errors import SourceError
from xray_infer.run.alarm import RunFilms
from xray_infer.run.results import ERROR, OK, REJECTED, Row

# Reasons that name a size or a score differ from file to file: they are grouped without it, and what
# still differs must not make memory grow with the folder.
MEASURE: Final = re.compile(r"\d[\d,]*\.\d+|\d[\d,]{2,}")
MOST_REASONS: Final = 500
OTHER_REASON: Final = "other reasons; see the column 'reason'"


class Summary:
    """Counts of a run in constant memory; `class_names` are those of its model."""

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = class_names
        self.statuses: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.reasons: dict[str, Counter[str]] = {REJECTED: Counter(), ERROR: Counter()}
        self.films = RunFilms()

    def add(self, row: Row) -> None:
        """Count one row."""
        self.statuses[row.status] += 1
        if row.status == OK:
            self.labels[row.label] += 1
            self.films.add(row)
            return
        self._add_reason(row.status, MEASURE.sub("...", row.reason), 1)

    def _add_reason(self, status: str, reason: str, count: int) -> None:
        reasons = self.reasons[status]
        reasons[reason if reason in reasons or len(reasons) < MOST_REASONS else OTHER_REASON] += count

    def counts(self) -> dict[str, Any]:
        """Return all counts, for JSON."""
        return {
            "images": self.total,
            "by_status": dict(self.statuses),
            "by_label": dict(self.labels),
            "by_reason": {status: dict(reasons) for status, reasons in self.reasons.items()},
        }

    def state(self) -> dict[str, Any]:
        """Return all counts and what the alarm needs, for JSON."""
        return {**self.counts(), "films": self.films.state()}

    def join(self, counts: Mapping[str, Any]) -> None:
        """Add what another summary's `state` returned."""
        self.statuses.update(counts["by_status"])
        self.labels.update(counts["by_label"])
        for status, reasons in counts["by_reason"].items():
            for reason, count in reasons.items():
                self._add_reason(status, reason, count)
        self.films.join(counts["films"])

    @property
    def total(self) -> int:
        """Number of rows."""
        return self.statuses.total()

    @property
    def unread(self) -> int:
        """Number of inputs that could not be read."""
        return self.statuses[ERROR]

    @property
    def failed(self) -> int:
        """Number of rows without an answer."""
        return self.total - self.statuses[OK]

    def lines(
        self, *, seconds: float, reused: int = 0, most_reasons: int = 10, alarm: str = ""
    ) -> Iterator[str]:
        """Yield the summary's lines for a person. `reused` rows took no time; `alarm` is what that says."""
        rate = (self.total - reused) / max(seconds, 1e-9)
        yield f"{self.total:,} images in {seconds:.1f} s ({rate:.1f} images/s)"
        shown = [name for name in (*self.class_names, UNCERTAIN) if name != UNCERTAIN or self.labels[name]]
        counts = ", ".join(f"{self.labels[name]:,} {name}" for name in shown)
        yield f"{self.statuses[OK]:,} classified: {counts}"
        for status, what in ((REJECTED, "rejected, not judged"), (ERROR, "could not be read")):
            if self.statuses[status]:
                yield f"{self.statuses[status]:,} {what}:"
            rest = self.statuses[status]
            named = Counter({one: n for one, n in self.reasons[status].items() if one != OTHER_REASON})
            for reason, count in named.most_common(most_reasons):
                rest -= count
                yield f"  {count:,} x {reason}"
            if rest:
                yield f"  {rest:,} x {OTHER_REASON}"
        if alarm:
            yield alarm
        yield RESEARCH_NOTICE


SECONDS_BETWEEN_FRAMES: Final = 0.25
SECONDS_BETWEEN_LINES: Final = 30.0
_TO_END: Final = "\x1b[K"  # ECMA-48: erase to the end of the line


class Progress:
    """Shows a run's counts, rate and time left.

    `count` returns the number of inputs, None where that is not known; it may take a while and is called in
    a thread of its own, unless the run is short. With `quiet` nothing is written.
    """

    def __init__(self, count: Callable[[], int | None], *, quiet: bool, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._quiet = quiet
        self._count: Callable[[], int | None] | None = count
        self._all: int | None = None
        self._started = self._shown = time.monotonic()

    def _find_all(self, count: Callable[[], int | None]) -> None:
        with suppress(SourceError):  # the run itself meets it, and says so
            self._all = count()

    def update(self, summary: Summary, *, reused: int) -> None:
        """Show how far the run is, unless it was just shown. `reused` rows came from an earlier run."""
        if not self._is_time():
            return
        if self._count:
            threading.Thread(target=self._find_all, args=(self._count,), daemon=True).start()
            self._count = None
        seconds = time.monotonic() - self._started
        self._show(progress_line(summary, reused=reused, count=self._all, seconds=seconds))

    def listing(self, count: int) -> None:
        """Show how many inputs are listed so far, unless it was just shown."""
        if self._is_time():
            self._show(f"{count:,} images listed")

    def _is_time(self) -> bool:
        now = time.monotonic()
        pause = SECONDS_BETWEEN_FRAMES if self._terminal else SECONDS_BETWEEN_LINES
        if self._quiet or now - self._shown < pause:
            return False
        self._shown = now
        return True

    def _show(self, text: str) -> None:
        self._stream.write(f"\r{text}{_TO_END}" if self._terminal else f"{text}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Take the changing line away."""
        if self._terminal and not self._quiet:
            self._stream.write(f"\r{_TO_END}")
            self._stream.flush()


def progress_line(summary: Summary, *, reused: int, count: int | None, seconds: float) -> str:
    """Return one line: done of all, failures, images/s and time left. `reused` rows took no time."""
    done = summary.total
    rate = (done - reused) / max(seconds, 1e-9)
    parts = [f"{done:,} images" if count is None else f"{done:,} of {count:,} images"]
    if summary.failed:
        parts.append(f"{summary.failed:,} without an answer")
    parts.append(f"{rate:.1f} images/s")
    if count is not None and rate > 0:
        parts.append(f"{duration(max(0, count - done) / rate)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a time in words of the unit that fits: 12 s, 3 min, 2 h 05 min."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"

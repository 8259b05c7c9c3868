"""A folder that is watched: files are classified as they arrive, once each, when they are complete.

The folder is listed again and again: that works on network shares, where no notices of changes come. A
file is taken as complete when its stamp has not changed for `settle_s`. One that changes afterwards is
another input, and gets another row. Rows stand in the order of arrival; the output is put in place anew
whenever the folder is quiet. The journal stays: a watch that is started again goes on, and classifies
nothing twice, even what was moved away meanwhile keeps its row. Memory holds a name and a stamp for each
file that was seen.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from xray_infer.atomic import write_atomically
from xray_infer.errors import OutputError, SourceError
from xray_infer.run.engine import Task
from xray_infer.run.file_job import FileJob
from xray_infer.run.journal import Journal
from xray_infer.run.record import write_record
from xray_infer.run.sources.folder import FolderSource
from xray_infer.run.writers import Writer
from xray_infer.terminal import Report

FORMATS: Final = (".csv", ".jsonl")  # a Parquet file cannot be read before it is closed
# Putting the output in place copies it: at most this share of the time goes into that.
COPY_SHARE: Final = 0.05


@dataclass(slots=True)
class Watch:
    """A job whose source is listed again every `interval_s`, until its `stop` is requested."""

    job: FileJob
    report: Report
    settle_s: float = 2.0
    interval_s: float = 1.0
    _taken: dict[str, str] = field(default_factory=dict)
    _waiting: dict[str, tuple[str, float]] = field(default_factory=dict)

    def to_file(self, *, restart: bool) -> None:
        """Classify into a file until the end is asked for. Raises OutputError, SourceError for no folder."""
        job, out = self.job, self.job.out
        if out.suffix.lower() not in FORMATS:
            raise OutputError(f"{out}: --watch needs a file that grows; use one of {', '.join(FORMATS)}")
        if not isinstance(job.source, FolderSource):
            raise SourceError(f"{job.source.location}: --watch needs a folder on a disk or a share")
        fingerprint = {**job.fingerprint(), "watch": True}
        with (
            Journal(out, fingerprint, job.engine.maker, restart=restart) as journal,
            job.open_writer() as writer,
            job.page or nullcontext(),
        ):

            def publish() -> None:
                _put_copy_in_place(writer)
                record = job.record(fingerprint)
                write_record(out, record)
                if job.page:
                    job.page.publish(record)

            for name, row in journal.rows():
                job.write(name, row, writer)
                job.reused += 1
            for outcome in job.engine.run(self._arrivals(journal, publish)):
                job.keep(outcome, journal, writer)
            job.finished = True
            publish()

    def _arrivals(self, journal: Journal, publish: Callable[[], None]) -> Iterator[Task | None]:
        """Yield files as they are complete; None when there are no more for now."""
        published, pause, away = -1, 0.0, False
        while not self.job.stop.requested:
            try:
                yield from self._complete(journal)
                away = False
            except SourceError as error:
                # An empty folder, or a share that is away for a while.
                if not away and not Path(self.job.source.location).is_dir():
                    self.report(f"{error}; waiting for it")
                    away = True
            yield None  # all rows so far are written when this comes back
            if self.job.summary.total != published and time.monotonic() >= pause:
                published, began = self.job.summary.total, time.monotonic()
                publish()
                pause = time.monotonic() + (time.monotonic() - began) / COPY_SHARE
            self.job.stop.wait(self.interval_s)

    def _complete(self, journal: Journal) -> Iterator[Task]:
        for item in self.job.source:
            if self.job.stop.requested:
                return
            stamp, now = item.stamp(), time.monotonic()
            if self._taken.get(item.name) == stamp:
                continue
            before, since = self._waiting.get(item.name, ("", now))
            if before != stamp:
                since = now
            if now - since < self.settle_s:
                self._waiting[item.name] = (stamp, since)
                continue
            self._waiting.pop(item.name, None)
            self._taken[item.name] = stamp
            # Not `job.known`: a row is appended, so one whose files were moved away would stand twice.
            if journal.find(item.name, stamp) is None:
                yield Task(item, stamp)


def _put_copy_in_place(writer: Writer) -> None:
    """Put a copy of the rows so far in place. Raises OutputError."""
    write_atomically(writer.path, lambda temporary: shutil.copyfile(writer.partial, temporary))

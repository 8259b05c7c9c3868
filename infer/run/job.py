"""A run from a source to its results: resumable into a file, or straight to standard output.

Into a file: every row goes to the journal first and to `OUT.partial` then; at the end the file takes its
place, the record is written and the journal is removed. A run that ends early, however, leaves the
journal, and the same run goes on from it.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from xray_infer.errors import OutputError
from xray_infer.run.beside import Artifact, Tells
from xray_infer.run.engine import Engine, Outcome, Task
from xray_infer.run.fingerprint import Fingerprint, fingerprint_of
from xray_infer.run.journal import Journal
from xray_infer.run.progress import Progress
from xray_infer.run.record import Course, run_record, write_record
from xray_infer.run.results import OK, Row
from xray_infer.run.sources import Item, Source
from xray_infer.run.stopping import Stop
from xray_infer.run.summary import Summary
from xray_infer.run.writers import Writer, find_writer
from xray_infer.run.writers.jsonl_file import to_line

if TYPE_CHECKING:
    from xray_infer.outputs.page.page import Page


@dataclass(slots=True)
class Job:
    """One run's parts and its state.

    `source` is what `items` comes from. `artifacts` are what the engine makes beside the rows. `page` is the
    report, None without one.
    """

    engine: Engine
    source: Source
    items: Iterable[Item]
    stop: Stop
    progress: Progress
    artifacts: Sequence[Artifact] = ()
    page: Page | None = None
    summary: Summary = field(default_factory=Summary)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    write_s: float = 0.0
    reused: int = 0
    journaled: int = 0
    finished: bool = False
    _all_listed: bool = False

    def fingerprint(self) -> Fingerprint:
        """Return everything that the rows depend on, but the inputs themselves."""
        return fingerprint_of(self.engine.maker, self.engine.options, self.source.location, self.artifacts)

    def to_file(self, out: Path, *, restart: bool) -> None:
        """Classify into a file. Raises OutputError; the rows so far are safe in the journal then."""
        fingerprint = self.fingerprint()
        with (
            Journal(out, fingerprint, self.engine.maker, restart=restart) as journal,
            find_writer(out)(out) as writer,
            self.page or nullcontext(),
        ):
            for outcome in self.engine.run(self._tasks(journal)):
                self.keep(outcome, journal, writer)
            self.finished = self._all_listed
            if self.finished:
                writer.finish()
            record = self.record(out, fingerprint)
            write_record(out, record)
            if self.finished:
                if self.page:
                    self.page.finish(record)
                journal.remove()

    def known(self, journal: Journal, name: str, stamp: str) -> Row | None:
        """Return the row of an input that is finished: its row is in the journal, its files are in place."""
        row = journal.find(name, stamp)
        if row is not None and row.status == OK and not all(one.stands(name) for one in self.artifacts):
            return None
        return row

    def keep(self, outcome: Outcome, journal: Journal, writer: Writer) -> None:
        """Put one row where it is safe, then where it is read, and count it. Raises OutputError."""
        began = time.perf_counter()
        if outcome.task.known:
            self.reused += 1
        elif outcome.final:
            journal.append(outcome.task.item.name, outcome.task.stamp, outcome.row)
            self.journaled += 1
        self.write(outcome.task.item.name, outcome.row, writer)
        self.write_s += time.perf_counter() - began
        self.progress.update(self.summary, reused=self.reused)

    def write(self, name: str, row: Row, writer: Writer) -> None:
        """Put one row where it is read, and count it. Raises OutputError."""
        writer.write(row)
        if self.page:
            self.page.write(name, row)
        self.summary.add(row)

    def record(self, out: Path, fingerprint: Fingerprint) -> dict[str, Any]:
        """Return the record of the run so far."""
        course = Course(
            started=self.started,
            ended=datetime.now(UTC),
            finished=self.finished,
            reused=self.reused,
            skipped=self.source.skipped,
            workers=self.engine.workers,
            stage_s={**self.engine.seconds.totals(), "write": self.write_s},
            beside={name: fact for one in self._tellers() for name, fact in one.record().items()},
        )
        return run_record(out.name, self.engine.manifest, fingerprint, course, self.summary)

    def to_stream(self, stream: TextIO) -> None:
        """Classify to JSON Lines on a stream, each row at once; nothing is kept to resume from."""
        for outcome in self.engine.run(self._tasks(None)):
            try:
                stream.write(to_line(outcome.row) + "\n")
                stream.flush()
            except BrokenPipeError as error:
                # Python would flush it once more at its end, and complain.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise OutputError("standard output was closed by its reader") from error
            self.summary.add(outcome.row)
            self.progress.update(self.summary, reused=0)
        self.finished = self._all_listed

    def told(self) -> Iterator[str]:
        """Yield what a person wants to know in the end."""
        if self.source.skipped:
            yield f"{self.source.skipped:,} other files were skipped"
        if self.reused:
            yield f"{self.reused:,} rows are from an earlier run"
        yield from self.told_beside()
        seconds = (datetime.now(UTC) - self.started).total_seconds()
        yield from self.summary.lines(seconds=seconds, reused=self.reused)

    def told_beside(self) -> Iterator[str]:
        """Yield what the artifacts have to say."""
        for one in self._tellers():
            yield from one.told()

    def _tellers(self) -> Iterator[Tells]:
        return (one for one in self.artifacts if isinstance(one, Tells))

    def _tasks(self, journal: Journal | None) -> Iterator[Task]:
        for item in self.items:
            if self.stop.requested:
                return
            if journal is None:
                yield Task(item)
            else:
                # Before the file is read: if it changes meanwhile, the next run sees another stamp.
                stamp = item.stamp()
                yield Task(item, stamp, self.known(journal, item.name, stamp))
        self._all_listed = True


def listed(source: Source) -> Iterator[Item]:
    """Return the source's items, after a look at the first. Raises SourceError at once when there is none."""
    items = iter(source)
    return itertools.chain([next(items)], items)

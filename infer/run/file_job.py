"""A run into one file of results: resumable, or straight to standard output.

Into a file: every row goes to the journal first and to `OUT.partial` then; at the end the file takes its
place, the record is written and the journal is removed. A run that ends early, however, leaves the
journal, and the same run goes on from it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from xray_infer.errors import OutputError
from xray_infer.model.manifest import ModelManifest
from xray_infer.run.artifact import Artifact, ReportPage
from xray_infer.run.engine import Engine, Outcome, Task
from xray_infer.run.job import Job
from xray_infer.run.journal import Journal
from xray_infer.run.record import run_record, write_record
from xray_infer.run.results import OK, Row, columns
from xray_infer.run.settings import Fingerprint, fingerprint_of
from xray_infer.run.writers import STANDARD_OUTPUT, Writer, find_writer
from xray_infer.run.writers.jsonl_file import to_line


@dataclass(slots=True, kw_only=True)
class FileJob(Job):
    """A run into `out`, or to standard output where that is `-`.

    `artifacts` are what the engine makes beside the rows. `page` is the report, None without one. Of the
    rows, `journaled` are new and safe in the journal.
    """

    engine: Engine
    out: Path
    artifacts: Sequence[Artifact] = ()
    page: ReportPage | None = None
    write_s: float = 0.0
    journaled: int = 0
    _all_listed: bool = False

    def fingerprint(self) -> Fingerprint:
        """Return everything that the rows depend on, but the inputs themselves."""
        rows = fingerprint_of(self.engine.maker, self.engine.options, self.source.location)
        return {**rows, **{name: fact for one in self.artifacts for name, fact in one.facts().items()}}

    def to_file(self, *, restart: bool) -> None:
        """Classify into a file. Raises OutputError; the rows so far are safe in the journal then."""
        out, fingerprint = self.out, self.fingerprint()
        with (
            Journal(out, fingerprint, self.engine.maker, restart=restart) as journal,
            self.open_writer() as writer,
            self.page or nullcontext(),
        ):
            for outcome in self.engine.run(self._tasks(journal)):
                self.keep(outcome, journal, writer)
            self.finished = self._all_listed
            record = self.record(fingerprint)
            if self.finished:
                writer.note("alarm", json.dumps(record["alarm"]))
                writer.finish()
            write_record(out, record)
            if self.finished:
                if self.page:
                    self.page.finish(record)
                journal.remove()

    def open_writer(self) -> Writer:
        """Begin the file of results. Raises what `find_writer` and `Writer` do."""
        return find_writer(self.out)(self.out, columns(self.engine.manifest.class_names))

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

    def record(self, fingerprint: Fingerprint) -> dict[str, Any]:
        """Return the record of the run so far."""
        statistics = self.statistics(
            workers=self.engine.workers,
            stage_s={**self.engine.seconds.totals(), "write": self.write_s},
            beside={name: fact for one in self.artifacts for name, fact in one.record().items()},
        )
        return run_record(self.out.name, self.engine.manifest, fingerprint, statistics, self.summary)

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

    def manifest(self) -> ModelManifest:
        """See `Job`."""
        return self.engine.manifest

    def artifact_lines(self) -> Iterator[str]:
        """Yield what the artifacts have to say."""
        for one in self.artifacts:
            yield from one.closing_lines()

    def resume_line(self) -> str:
        """See `Job`."""
        kept = self.reused + self.journaled
        if not kept:
            return ""
        return f"{kept:,} rows are safe in {self.out}.journal; the same command goes on from there"

    def result_lines(self) -> Iterator[str]:
        """See `Job`; standard output needs no such line."""
        if str(self.out) != STANDARD_OUTPUT:
            yield f"results: {self.out}"
            if self.page is not None:
                yield f"report: {self.page.path}"

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

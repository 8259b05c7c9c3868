"""The unit of work: the inputs of one shard to its rows, by the local engine, on whatever machine.

A worker marks a shard before it begins. One that finds the mark takes it that whoever began was killed,
perhaps by one of the inputs, and decodes in a process of its own (`xray_infer.images.isolation`): what kills
a decoder is a row then. What still kills its workers, such as want of memory, is told after MOST_ATTEMPTS.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from xray_infer.errors import OutputError, XrayError
from xray_infer.images.limits import DEFAULT_DECODE_SECONDS
from xray_infer.model.runtimes import find_model
from xray_infer.run.engine import Engine
from xray_infer.run.progress import Summary
from xray_infer.run.results import columns
from xray_infer.run.settings import EngineOptions, Fingerprint, differences, fingerprint_of
from xray_infer.run.shards.shard_inputs import Reopener, digest
from xray_infer.run.shards.shard_store import Shard, Store
from xray_infer.run.writers import find_writer


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """All that a worker needs to know; goes to other processes and machines.

    `out` and `source` are as they were typed; `model` is the name of the model's piece in `out`; `runtime` a
    name in RUNTIMES or None; `fingerprint` what the rows are to depend on; `form` one of FORMATS.
    """

    out: str
    source: str
    model: str
    runtime: str | None
    options: EngineOptions
    fingerprint: Fingerprint
    form: str


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What came of one shard: its counts, or why it could not be made. Seconds by stage, over all threads.

    `fatal` says that the same would come of every shard.
    """

    number: int
    counts: dict[str, Any]
    stage_s: dict[str, float]
    error: str = ""
    fatal: bool = False


# Makes shards, in any order; what an engine is. `Job.stop` is looked at between them.
ShardEngine = Callable[[WorkerSettings, Sequence[Shard], Callable[[], bool]], Iterator[ShardResult]]

MOST_ATTEMPTS: Final = 10
NO_STAGES: Final[dict[str, float]] = {}


class ShardWorker(AbstractContextManager["ShardWorker", None]):
    """One model, loaded once, that makes one shard after the other.

    Raises OutputError when the store fails, XrayError when this machine would give other rows than
    the one that planned them.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._store = Store(settings.out)
        self._open = ExitStack()
        self._folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="xray-infer-")))
        try:
            path = self._folder / Path(settings.model).name
            self._store.fetch(settings.model, path)
            self._model = find_model(path)
            self._engine = self._open.enter_context(self._make_engine(settings.options))
            self._check()
        except BaseException:
            self.close()
            raise

    def make(self, shard: Shard) -> ShardResult:
        """Make one shard; what a user can mend comes back as its error."""
        try:
            return self._make(shard)
        except XrayError as error:
            return ShardResult(shard.number, {}, NO_STAGES, str(error))

    def __exit__(self, *error: object) -> None:
        """Close it, however the block ends."""
        self.close()

    def close(self) -> None:
        """Let go of the model and remove what was written beside the shards."""
        self._open.close()

    def _make_engine(self, options: EngineOptions) -> Engine:
        return Engine(self._model, options, runtime=self._settings.runtime)

    def _check(self) -> None:
        """Raise XrayError where rows made here would not be those that were planned."""
        planned = self._settings.fingerprint
        maker, options = self._engine.maker, self._settings.options
        here = {**planned, **fingerprint_of(maker, options, planned["source"])}
        different = differences(planned, here)
        if different:
            raise XrayError(
                f"a worker would give other rows than planned: {different}; "
                "install the same versions everywhere"
            )

    def _make(self, shard: Shard) -> ShardResult:
        text = self._store.read(shard.attempt) or b"0"
        begun = int(text) if text.isdigit() else 1
        if begun >= MOST_ATTEMPTS:
            self._store.remove(shard.attempt)
            raise XrayError(
                f"{self._store.where(shard.inputs)}: {begun} workers died of these inputs, perhaps for "
                "want of memory: give fewer --workers, or less at --max-megapixels"
            )
        self._store.write(shard.attempt, str(begun + 1).encode())
        if not begun:
            return self._classify(shard, self._engine)
        careful = replace(
            self._settings.options, isolate_s=self._settings.options.isolate_s or DEFAULT_DECODE_SECONDS
        )
        with self._make_engine(careful) as engine:
            return self._classify(shard, engine)

    def _classify(self, shard: Shard, engine: Engine) -> ShardResult:
        inputs = self._store.read(shard.inputs)
        if inputs is None:
            raise OutputError(f"{self._store.where(shard.inputs)}: is gone; give the command again")
        lines = inputs.splitlines(keepends=True)
        name = shard.rows(self._settings.form)
        class_names = engine.manifest.class_names
        summary, unread = Summary(class_names), 0
        before = engine.seconds.totals()
        folder = self._folder / shard.key
        folder.mkdir()
        try:
            with find_writer(folder / name)(folder / name, columns(class_names)) as writer:
                for outcome in engine.run(Reopener(self._settings.source).tasks(lines)):
                    writer.write(outcome.row)
                    summary.add(outcome.row)
                    unread += not outcome.final
                writer.finish()
            self._store.put(folder / name, name)
            size = (folder / name).stat().st_size
        finally:
            shutil.rmtree(folder)
        counts = {
            **summary.state(),
            "to_read_again": unread,
            "inputs_sha256": digest(lines),
            "rows_bytes": size,
        }
        self._store.write_json(shard.counts, counts)
        self._store.remove(shard.attempt)
        spent = {stage: total - before[stage] for stage, total in engine.seconds.totals().items()}
        return ShardResult(shard.number, counts, spent)


def local_engine(
    settings: WorkerSettings, shards: Sequence[Shard], stopped: Callable[[], bool]
) -> Iterator[ShardResult]:
    """Make shards in this process, one after the other, each by all workers."""
    with ShardWorker(settings) as worker:
        for shard in shards:
            if stopped():
                return
            yield worker.make(shard)

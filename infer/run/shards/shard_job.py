"""A run from a source into shards: list it, deal it, have every shard made that is not finished.

The one that plans holds the listing on its own disk, never in memory. `ShardOptions` is what the command line
asks for, `worker_settings` what the workers are told of it.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from xray_infer.atomic import refusal
from xray_infer.errors import OutputError, XrayError
from xray_infer.model.manifest import ModelManifest
from xray_infer.model.runtimes import Model
from xray_infer.run.job import Job
from xray_infer.run.object_store import is_uri
from xray_infer.run.progress import Summary
from xray_infer.run.record import run_record
from xray_infer.run.settings import EngineOptions, Fingerprint, differences, fingerprint_of, row_maker
from xray_infer.run.shards.on_ray import RayOptions, check_ray, ray_engine
from xray_infer.run.shards.shard_inputs import deal, digest, to_line
from xray_infer.run.shards.shard_store import FOLDERS, OURS, PLAN, RECORD, Shard, Store, each
from xray_infer.run.shards.work import ShardEngine, ShardResult, WorkerSettings, local_engine
from xray_infer.run.sources import Source
from xray_infer.run.writers import find_writer


@dataclass(frozen=True, slots=True)
class ShardOptions:
    """Where the shards go, how many images each holds, their format, and Ray where that is to make them.

    `source` is the source as it was typed: a store is reached by it, not by what may be shown.
    """

    out: str
    source: str
    size: int
    form: str
    ray: RayOptions | None = None

    def check(self) -> None:
        """Raise MissingExtraError, or OutputError, before anything is listed."""
        find_writer(Path(f"rows.{self.form}"))
        if self.ray is not None:
            check_ray()

    def engine(self) -> ShardEngine:
        """Return what makes the shards."""
        return local_engine if self.ray is None else ray_engine(self.ray)


def worker_settings(
    wanted: ShardOptions, model: Model, runtime: str | None, options: EngineOptions, source: Source
) -> WorkerSettings:
    """Return what workers need. Does not load the model: what plans may have no GPU.

    Raises ModelError, XrayError for a runtime that is broken.
    """
    manifest = model.manifest()
    maker = row_maker(manifest, model.digest, model.runtime_name(runtime, options.device), options)
    return WorkerSettings(
        out=wanted.out if is_uri(wanted.out) else os.path.abspath(wanted.out),
        source=wanted.source,
        model=f"model/{model.digest}{model.path.suffix.lower()}",
        runtime=runtime,
        options=options,
        fingerprint=fingerprint_of(maker, options, source.location),
        form=wanted.form,
    )


PLAN_VERSION: Final = 1
# A store that fails now and then costs shards, which another run makes; one that is away ends the run.
MOST_FAILED: Final = 10


@dataclass(slots=True, kw_only=True)
class ShardJob(Job):
    """A run into shards.

    `settings` are those of its workers, `engine` makes the shards; `shard_size` is the number of images per
    shard when there is no plan yet. Of `count` shards, `done` are in place and up to date.
    """

    settings: WorkerSettings
    store: Store
    model: Model
    engine: ShardEngine
    shard_size: int
    stage_s: dict[str, float] = field(default_factory=dict)
    images: int = 0
    count: int = 0
    done: int = 0
    _failed: list[str] = field(default_factory=list)

    def run(self, *, restart: bool) -> None:
        """Make what is not finished. Raises OutputError: another run's folder, or shards that failed."""
        plan = None if restart else self._known_plan()
        if plan is None:
            self._clear()
        try:
            with tempfile.TemporaryDirectory(prefix="xray-infer-") as temporary:
                waiting = self._plan(plan, Path(temporary))
        except OSError as error:
            place = Path(tempfile.gettempdir())
            raise refusal(place, "cannot hold the listing (TMPDIR names another)", error) from error
        if waiting is None:
            return
        self._make(waiting)
        self.finished = self.done == self.count
        self._write_record()
        if self._failed:
            raise OutputError(
                f"{len(self._failed):,} of {self.count:,} shards could not be made: {self._failed[0]}; "
                "the same command tries them again"
            )

    def _plan(self, plan: dict[str, Any] | None, folder: Path) -> list[Shard] | None:
        """List and deal the inputs, and return the shards to be made; None when the end is asked for."""
        if not self._list(folder / "listing"):
            return None
        count = plan["shards"] if plan else max(1, math.ceil(self.images / self.shard_size))
        if self.settings.model not in self.store.sizes("model"):
            self.store.put(self.model.path, self.settings.model)
        if not plan:
            self.store.write_json(
                PLAN, {"plan": PLAN_VERSION, "fingerprint": self._fingerprint(), "shards": count}
            )
        self.count = count
        self._write_record()
        dealt = folder / "dealt"
        dealt.mkdir()
        deal(folder / "listing", count, dealt)
        (folder / "listing").unlink()
        return self._put_inputs(dealt)

    def resume_line(self) -> str:
        """See `Job`."""
        if not self.count:
            return ""
        so_far = f"{self.done:,} of {self.count:,} shards are finished"
        return f"{so_far} in {self.store.location}; the same command goes on from there"

    def result_lines(self) -> Iterator[str]:
        """See `Job`."""
        yield f"results: {self.count:,} shards in {self.store.location}; for one file: xray-infer merge"

    def manifest(self) -> ModelManifest:
        """See `Job`."""
        return self.model.manifest()

    def _fingerprint(self) -> Fingerprint:
        return {**self.settings.fingerprint, "shard_format": self.settings.form}

    def _clear(self) -> None:
        """Remove what is left of a run that is started over, the plan first, or was killed doing so."""
        self.store.remove(PLAN)
        found = [name for folder in ("", *FOLDERS) for name in self.store.sizes(folder)]
        for _ in each(self.store.remove, (name for name in found if OURS.fullmatch(name))):
            pass

    def _known_plan(self) -> dict[str, Any] | None:
        """Return the plan that is to be gone on with, None where there is none. Raises OutputError."""
        plan = self.store.read_json(PLAN)
        if plan is None:
            return None
        where, go_on = self.store.where(PLAN), "give --restart to start it over, or another --out"
        try:
            version, found, shards = plan["plan"], dict(plan["fingerprint"]), int(plan["shards"])
        except (KeyError, TypeError, ValueError) as error:
            raise OutputError(f"{where}: not a plan of xray-infer; {go_on}") from error
        if version != PLAN_VERSION or shards < 1:
            raise OutputError(f"{where}: a plan of another version of xray-infer; {go_on}")
        different = differences(found, self._fingerprint())
        if different:
            raise OutputError(f"{where}: a run of another kind: {different}; {go_on}")
        return plan

    def _list(self, path: Path) -> bool:
        """Write the listing to a file; return False when the end is asked for meanwhile."""
        with open(path, "wb") as stream:
            for item in self.items:
                if self.stop.requested:
                    return False
                stream.write(to_line(self.images, item))
                self.images += 1
                self.progress.listing(self.images)
        return True

    def _put_inputs(self, dealt: Path) -> list[Shard]:
        """Put every shard's inputs in place, and return the shards that are not finished."""
        sizes = self.store.sizes()

        def put(number: int) -> tuple[Shard, dict[str, Any] | None]:
            shard, path = Shard(number, self.count), dealt / str(number)
            data = path.read_bytes() if path.exists() else b""
            self.store.write(shard.inputs, data)
            rows = shard.rows(self.settings.form)
            counts = self._counts(shard) if rows in sizes else None
            if (
                counts is not None
                and counts.get("inputs_sha256") == digest(data.splitlines(keepends=True))
                and counts.get("rows_bytes") == sizes[rows]
                and not counts.get("to_read_again")
            ):
                return shard, counts
            return shard, None

        waiting = []
        for shard, counts in each(put, range(self.count)):
            if counts is None:
                waiting.append(shard)
            else:
                self.done += 1
                self.summary.join(counts)
                self.reused += counts["images"]
        return waiting

    def _counts(self, shard: Shard) -> dict[str, Any] | None:
        """Return a shard's counts, None where they are absent or damaged: it is made again then."""
        try:
            counts = json.loads(self.store.read(shard.counts) or b"null")
            Summary(()).join(counts)  # as it will be joined
            return counts if counts["images"] >= 0 else None
        except (AttributeError, KeyError, TypeError, ValueError):
            return None

    def _make(self, waiting: list[Shard]) -> None:
        if not waiting:
            return
        for made in self.engine(self.settings, waiting, lambda: self.stop.requested):
            self._take(made)
            if self.stop.requested or len(self._failed) >= MOST_FAILED:
                break

    def _take(self, made: ShardResult) -> None:
        if made.fatal:
            raise XrayError(made.error)
        if made.error:
            self._failed.append(made.error)
            return
        self.done += 1
        self.summary.join(made.counts)
        for stage, seconds in made.stage_s.items():
            self.stage_s[stage] = self.stage_s.get(stage, 0.0) + seconds
        self.progress.update(self.summary, reused=self.reused)

    def _write_record(self) -> None:
        statistics = self.statistics(
            workers=self.settings.options.workers or 1,
            stage_s=self.stage_s,
            beside={"shards": self.count, "shards_finished": self.done},
        )
        results = f"rows-*-of-{self.count:05}.{self.settings.form}"
        record = run_record(results, self.manifest(), self._fingerprint(), statistics, self.summary)
        self.store.write_json(RECORD, record)

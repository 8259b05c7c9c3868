"""What is asked for on the command line, to what the workers of a run into shards need."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from xray_infer.model.embedding import READERS
from xray_infer.model.runtimes import Model
from xray_infer.run.object_store import is_uri
from xray_infer.run.settings import EngineOptions, fingerprint_of, row_maker
from xray_infer.run.shards.on_ray import RayOptions, check_ray, ray_engine
from xray_infer.run.shards.work import ShardEngine, WorkerSettings, local_engine
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
    manifest = READERS[model.format](model.path)
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

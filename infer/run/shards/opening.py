"""What is asked for on the command line, to what the workers of a run into shards need."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from xray_infer.model.embedding import READERS
from xray_infer.model.runtimes import Model
from xray_infer.run.engine import EngineOptions, row_maker
from xray_infer.run.fingerprint import fingerprint_of
from xray_infer.run.object_store import is_uri
from xray_infer.run.shards.on_ray import RayOptions, check_ray, make_on_ray
from xray_infer.run.shards.work import Make, Settings, make_here
from xray_infer.run.sources import Source
from xray_infer.run.writers import find_writer


@dataclass(frozen=True, slots=True)
class WantedShards:
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

    def make(self) -> Make:
        """Return what makes the shards."""
        return make_here if self.ray is None else make_on_ray(self.ray)


def settings_of(
    wanted: WantedShards, model: Model, runtime: str | None, options: EngineOptions, source: Source
) -> Settings:
    """Return what workers need. Does not load the model: what plans may have no GPU.

    Raises ModelError, XrayError for a runtime that is broken.
    """
    manifest = READERS[model.format](model.path)
    maker = row_maker(manifest, model.digest, model.runtime_name(runtime, options.device), options)
    return Settings(
        out=wanted.out if is_uri(wanted.out) else os.path.abspath(wanted.out),
        source=wanted.source,
        model=f"model/{model.digest}{model.path.suffix.lower()}",
        runtime=runtime,
        options=options,
        fingerprint=fingerprint_of(maker, options, source.location),
        form=wanted.form,
    )

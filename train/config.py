"""What decides the result of a training run, beside the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xray_infer.model.manifest import METHODS
from xray_infer.train.schedule import SCHEDULES, Schedule


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The configuration of a run. The defaults are the study's.

    `weights` is "imagenet", "none" or a backbone's path. `plain` runs every image through the whole
    network in every epoch, as Keras alone would; otherwise what lies below the freeze boundary is computed
    once for each view. `region` blackens part of each image (see `inputs.keep_region`). With
    `validation_only` the test split is not looked at, for choosing between schedules.
    `view_seed` seeds the augmented views of the fast path, made of held-out images too: runs that share it
    and the cache share the views, however they split the images.
    """

    weights: str = "imagenet"
    schedule: Schedule = SCHEDULES["study"]
    methods: tuple[str, ...] = METHODS
    seed: int = 0
    view_seed: int | None = None
    plain: bool = False
    region: str = "all"
    validation_only: bool = False

    def identity(self) -> dict[str, Any]:
        """Return what tells runs apart, as flat JSON types.

        The weights' folder does not, nor which methods are trained or whether they are tested: a folder
        may get these later.
        """
        facts = {**asdict(self), "weights": Path(self.weights).name}
        del facts["methods"], facts["validation_only"]
        return _flat(facts)


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in facts.items():
        name = f"{prefix}{key}"
        result |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return result

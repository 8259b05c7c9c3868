"""What decides the result of a training run, beside the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from xray_infer.atomic import write_json
from xray_infer.errors import DataError
from xray_infer.model.manifest import METHODS
from xray_infer.study.json_records import JsonError, from_json, load_object
from xray_infer.train.schedule import SCHEDULES, Schedule

IDENTITY_FILE: Final = "run.json"


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


def read_identity(out: Path) -> dict[str, Any]:
    """Return the configuration of the run in a folder, as `write_identity` left it in run.json.

    Raises OSError where there is none, DataError for one that is damaged.
    """
    path = out / IDENTITY_FILE
    try:
        found = load_object(path)
        from_json(str, found.get("data_sha256"), where="data_sha256")
    except JsonError as error:
        raise DataError(
            f"{path}: the configuration of the run is damaged: {error}; "
            "restore it from a copy, or train in a new folder"
        ) from error
    return found


def write_identity(out: Path, identity: Mapping[str, Any]) -> None:
    """Write run.json, atomically. Raises OutputError."""
    write_json(out / IDENTITY_FILE, identity)


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in facts.items():
        name = f"{prefix}{key}"
        result |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return result

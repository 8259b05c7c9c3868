"""How the two methods are trained: the study's schedule, and the best that was found on domains left out.

`TrainConfig` is what decides the result of a training run, beside the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from xray_infer.atomic import write_json
from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError
from xray_infer.images.preprocess import STUDY, Preprocessing
from xray_infer.model.json_records import JsonError, from_json, load_object
from xray_infer.model.manifest import METHODS
from xray_infer.study.class_choice import ClassChoice
from xray_infer.study.training_record import MethodSchedule


@dataclass(frozen=True, slots=True)
class Stage:
    """One method's training.

    Adam (Kingma and Ba 2015), with decoupled weight decay where `weight_decay` is above 0 (AdamW,
    Loshchilov and Hutter 2019). The rate is constant or (`cosine_decay`) falls to zero over the epochs
    as half a cosine (Loshchilov and Hutter 2017). `unfrozen` counts DenseNet121's layers from the top.
    `standardised` scales pooled features to mean 0 and deviation 1 while the head alone is trained; the
    scaling is folded into the head afterwards, so the network stays what it was; `l2` times the sum of
    its squared weights is then added to the loss. `augmented` is False where a stage trains on the images
    as they are, which takes the fast path and `Schedule.originals`. With `bfloat16` the fast
    path trains in mixed precision on a GPU or a processor that has it: 1.7 times as fast there.
    """

    epochs: int
    learning_rate: float
    unfrozen: int = 0
    cosine_decay: bool = False
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    standardised: bool = False
    l2: float = 0.0
    augmented: bool = True
    bfloat16: bool = False


@dataclass(frozen=True, slots=True)
class Schedule:
    """Both stages and what they share.

    `views` is how many augmented views of each image the fast path computes; the plain path augments
    anew in each epoch. A third view did not lower the validation loss of the study's schedule (three
    seeds). `augmentation` names a table of layers in `network`. With `originals` the fast path also
    trains on the images as they are: a rotation blurs, and no image to be judged is blurred. With
    `varied_quality` augmented views differ in sharpness, noise and exposure too (see `film_quality`), and
    with `domains_alike` all classes count the same, and in each class all domains (see
    `weighting`), in the loss of training and in that of validation, by which the epoch is chosen.
    """

    feature_extraction: Stage
    fine_tuning: Stage
    batch_size: int = 32
    views: int = 2
    augmentation: str = "study"
    originals: bool = False
    varied_quality: bool = False
    domains_alike: bool = False

    def stage(self, method: str) -> Stage:
        """Return the stage of one of METHODS."""
        stages = {"feature_extraction": self.feature_extraction, "fine_tuning": self.fine_tuning}
        return stages[method]

    def describe(self, method: str) -> MethodSchedule:
        """Return the schedule of one method, for its training record."""
        stage = self.stage(method)
        plain = stage.label_smoothing == 0 and stage.mixup == 0
        return MethodSchedule(
            optimizer="AdamW" if stage.weight_decay else "Adam",
            loss="sparse categorical cross-entropy" if plain else "categorical cross-entropy",
            **asdict(stage),
            batch_size=self.batch_size,
            views=self.views,
            augmentation=self.augmentation,
            originals=self.originals,
            varied_quality=self.varied_quality,
            domains_alike=self.domains_alike,
        )

    def with_stages(self, **changes: tuple[Any, Any]) -> Schedule:
        """Change fields of both stages at once, each to a pair of values: (extraction, fine-tuning)."""
        first = {name: pair[0] for name, pair in changes.items()}
        second = {name: pair[1] for name, pair in changes.items()}
        return replace(
            self,
            feature_extraction=replace(self.feature_extraction, **first),
            fine_tuning=replace(self.fine_tuning, **second),
        )


SCHEDULES: Final = {
    "study": Schedule(
        feature_extraction=Stage(epochs=4, learning_rate=1e-3),
        fine_tuning=Stage(epochs=4, learning_rate=1e-4, unfrozen=100, bfloat16=True),
    ),
    "best": Schedule(
        feature_extraction=Stage(
            epochs=20,
            learning_rate=1e-3,
            cosine_decay=True,
            standardised=True,
            l2=0.15,
            augmented=False,
        ),
        fine_tuning=Stage(
            epochs=4,
            learning_rate=2e-5,
            unfrozen=285,
            cosine_decay=True,
            weight_decay=0.01,
            label_smoothing=0.1,
            mixup=0.2,
            bfloat16=True,
        ),
        augmentation="strong",
        originals=True,
        varied_quality=True,
        domains_alike=True,
    ),
}


IDENTITY_FILE: Final = "run.json"


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The configuration of a run. The defaults are the study's.

    `weights` is "imagenet", "none" or a backbone's path. `plain` runs every image through the whole
    network in every epoch, as Keras alone would; otherwise what lies below the freeze boundary is computed
    once for each view. `region` blackens part of each image (see `inputs.keep_region`). With
    `validation_only` the test split is not looked at, for choosing between schedules.
    `view_seed` seeds the augmented views of the fast path, made of held-out images too: runs that share it
    and the cache share the views, however they split the images. `choice` says which of the data's classes
    are told apart, None for all.
    """

    weights: str = "imagenet"
    schedule: Schedule = SCHEDULES["study"]
    methods: tuple[str, ...] = METHODS
    seed: int = 0
    view_seed: int | None = None
    preprocessing: Preprocessing = STUDY
    plain: bool = False
    region: str = "all"
    validation_only: bool = False
    choice: ClassChoice | None = None

    def identity(self) -> dict[str, Any]:
        """Return what tells runs apart, as flat JSON types.

        The weights' folder does not, nor which methods are trained or whether they are tested: a folder
        may get these later. Nor does the choice of classes, but what comes of it: the classes and the data.
        """
        facts = {**asdict(self), "weights": Path(self.weights).name}
        del facts["methods"], facts["validation_only"], facts["choice"]
        return _flat(facts)


def read_identity(out: Path) -> dict[str, Any]:
    """Return the configuration of the run in a folder, as `write_identity` left it in run.json.

    One of before that names no classes has the study's.
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
    return {"classes": list(CLASS_NAMES)} | dict(found)


def write_identity(out: Path, identity: Mapping[str, Any]) -> None:
    """Write run.json, atomically. Raises OutputError."""
    write_json(out / IDENTITY_FILE, identity)


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in facts.items():
        name = f"{prefix}{key}"
        result |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return result

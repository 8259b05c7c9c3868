"""The training record, `METHOD.json` beside `METHOD.keras`: what a network was trained on, how, and how well.

`xray-train` writes it last, so that it also says that the method is finished. `xray-export` puts it into
the model files that it makes; `xray-bench`, `xray-train compare` and the report read it. All of them read
it here: a record that is damaged is one line that names the file, the reason and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from xray_infer.atomic import write_json
from xray_infer.classes import CLASS_NAMES, check_class_names
from xray_infer.errors import ModelError
from xray_infer.model.json_records import FLAT, REST, AnyFloat, JsonError, from_json, load_object, to_json
from xray_infer.study.domains import WithinDomains
from xray_infer.study.metrics import Metrics

ADVICE: Final = (
    "restore it from a copy, or delete it and train this method again: xray-train DATA --out RUN --resume"
)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What both methods of a run share: their data and classes, seed, backbone and versions.

    `data_sha256` is `Dataset.digest`: which images, labels and splits. `counts` are images by split and
    class. `backbone_sha256` is of the backbone's file, None for one that has no file. `class_names` is
    None in records of before, which are of the study's. `class_choice` is what `--classes` made the classes
    of: name to the data's names, None where it was not given.
    """

    data_sha256: str
    counts: Mapping[str, Mapping[str, int]]
    seed: int
    backbone_sha256: str | None
    preprocessing_version: int
    versions: Mapping[str, str]
    class_names: tuple[str, ...] | None = None
    class_choice: Mapping[str, tuple[str, ...]] | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the outputs."""
        return self.class_names or CLASS_NAMES


@dataclass(frozen=True, slots=True)
class MethodSchedule:
    """How one method was trained; the fields are explained in `train.schedule`."""

    optimizer: str
    loss: str
    epochs: int
    learning_rate: float
    unfrozen: int
    cosine_decay: bool
    weight_decay: float
    label_smoothing: float
    mixup: float
    standardised: bool
    l2: float
    augmented: bool
    bfloat16: bool
    batch_size: int
    views: int
    augmentation: str
    originals: bool
    varied_quality: bool | None = None  # None in records of 0.2 and before
    domains_alike: bool | None = None


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """The record of one trained method.

    `region` is the part of each image that was left visible and `path` where the trainable part began.
    `history` has a row an epoch: loss, accuracy, val_loss, val_accuracy, learning_rate, by name; a loss
    that diverged is not finite. `temperature`, above 0, divides the logits before the softmax. The
    metrics are those at this temperature; `test` is None while only the validation split was looked at. The
    figures within domains are None where the data names no domain, and in records of earlier versions.
    `other` holds fields of other versions of this program, as they were read.
    """

    method: str
    facts: RunFacts = field(metadata=FLAT)
    schedule: MethodSchedule
    region: str
    path: str
    history: tuple[Mapping[str, AnyFloat], ...]
    wall_seconds_since_start_or_resume: float
    temperature: float
    validation: Metrics
    other: Mapping[str, Any] = field(default_factory=dict, metadata=REST)
    test: Metrics | None = None
    validation_within_domains: WithinDomains | None = None
    test_within_domains: WithinDomains | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record in the layout of METHOD.json: one level, the facts after the method's name."""
        return to_json(self)


def write_training_record(path: Path, record: TrainingRecord) -> None:
    """Write METHOD.json, atomically. Raises OutputError."""
    write_json(path, record.to_dict())


def read_training_record(path: Path) -> TrainingRecord:
    """Read METHOD.json. Raises ModelError, one line, for one that is missing or damaged."""
    try:
        record = from_json(TrainingRecord, load_object(path))
        if record.temperature <= 0:
            raise JsonError("temperature is not above 0")
        check_class_names(record.facts.classes)
    except OSError as error:
        raise ModelError(f"{path}: cannot read the training record: {error.strerror}; {ADVICE}") from error
    except ValueError as error:  # a JsonError, or classes that cannot be
        raise ModelError(f"{path}: the training record is damaged: {error}; {ADVICE}") from error
    return record

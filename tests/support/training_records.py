"""Training records as `xray-train` writes them, and the ways in which such a file is damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xray_infer.classes import CLASS_NAMES
from xray_infer.study.metrics import Metrics, measure
from xray_infer.study.training_record import MethodSchedule, RunFacts, TrainingRecord

FACTS = RunFacts(
    data_sha256="0123456789abcdef" * 4,
    counts={split: dict.fromkeys(CLASS_NAMES, 4) for split in ("train", "val", "test")},
    seed=0,
    backbone_sha256=None,
    preprocessing_version=1,
    versions={"python": "3.11.0", "backend": "tensorflow"},
    class_names=CLASS_NAMES,
)
SCHEDULE = MethodSchedule(
    optimizer="Adam",
    loss="sparse categorical cross-entropy",
    epochs=1,
    learning_rate=1e-3,
    unfrozen=0,
    cosine_decay=False,
    weight_decay=0.0,
    label_smoothing=0.0,
    mixup=0.0,
    standardised=False,
    l2=0.0,
    augmented=True,
    bfloat16=False,
    batch_size=32,
    views=2,
    augmentation="study",
    originals=False,
)


def example_metrics(accuracy: float = 0.75) -> Metrics:
    """Metrics of 12 images, whose accuracy is then set to what a test wants to find again."""
    labels = np.arange(12) % 3
    probabilities = np.eye(3)[np.where(np.arange(12) < 9, labels, (labels + 1) % 3)]
    return replace(measure(labels, probabilities, CLASS_NAMES), accuracy=accuracy)


def example_record(*, data_sha256: str = FACTS.data_sha256, **changes: Any) -> TrainingRecord:
    """A whole record of fine-tuning; `changes` are fields of TrainingRecord."""
    record = TrainingRecord(
        method="fine_tuning",
        facts=replace(FACTS, data_sha256=data_sha256),
        schedule=SCHEDULE,
        region="all",
        path="features at pool3_pool",
        history=({"loss": 1.0, "accuracy": 0.5, "val_loss": 1.5, "val_accuracy": 0.25},),
        wall_seconds_since_start_or_resume=12.5,
        temperature=1.5,
        validation=example_metrics(),
        test=example_metrics(),
    )
    return replace(record, **changes)


def _text(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        fields = json.loads(path.read_text(encoding="utf-8"))
        change(fields)
        path.write_text(json.dumps(fields), encoding="utf-8")

    return damage


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


# What befalls a record, by the reason that a command must give.
DAMAGES: dict[str, Callable[[Path], object]] = {
    "the training record is damaged: the file is empty": lambda path: path.write_bytes(b""),
    "the training record is damaged: not valid JSON: ": lambda path: path.write_bytes(path.read_bytes()[:99]),
    "the training record is damaged: not text in UTF-8": lambda path: path.write_bytes(b'{"method": "\xff"}'),
    "the training record is damaged: nested too deeply": lambda path: path.write_bytes(b"[" * 200_000),
    "the training record is damaged: larger than 16 MB": lambda path: path.write_bytes(b" " * 17_000_000),
    "the training record is damaged: a list where a JSON object is": lambda path: path.write_bytes(b"[]"),
    'the training record is damaged: temperature is "1.5" where a finite number is expected': _text(
        lambda fields: fields.update(temperature="1.5")
    ),
    "the training record is damaged: temperature is NaN where a finite number": _text(
        lambda fields: fields.update(temperature=float("nan"))
    ),
    "the training record is damaged: temperature is not above 0": _text(
        lambda fields: fields.update(temperature=0)
    ),
    "the training record is damaged: data_sha256 is missing": _text(lambda fields: fields.pop("data_sha256")),
    "the training record is damaged: validation.classes.covid.recall is missing": _text(
        lambda fields: fields["validation"]["classes"]["covid"].pop("recall")
    ),
    "the training record is damaged: seed is Infinity where a whole number": _text(
        lambda fields: fields.update(seed=float("inf"))
    ),
    "cannot read the training record: Is a directory": _make_folder,
}

"""The study's two methods: feature extraction, then fine-tuning of the top layers.

Output folder (all files appear atomically):
    run.json                                 the configuration; a folder with another one is refused
    feature_extraction.keras, fine_tuning.keras    the best epoch of each, by validation loss
    feature_extraction.json, fine_tuning.json      the training record that the exporter puts into files
    feature_extraction.png, fine_tuning.png        learning curves and confusion matrix
    report.md                                      both methods side by side
While it runs, and so that it can resume after the last finished epoch:
    inputs.npy                               the decoded images
    METHOD.last.keras, METHOD.progress.json  the last epoch's model with optimiser state, and the history
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from xray_infer.atomic import make_folder, write_atomically, write_json, write_text
from xray_infer.datasets import SPLITS, Dataset, read_dataset
from xray_infer.errors import DataError
from xray_infer.preprocess import PREPROCESSING_VERSION
from xray_infer.train.inputs import InputBatches, decode_inputs
from xray_infer.train.metrics import Metrics, measure
from xray_infer.train.network import backbone_layers, build_classifier, freeze
from xray_infer.train.plots import plot_run
from xray_infer.train.progress import Progress
from xray_infer.train.report import compare

METHODS: Final = ("feature_extraction", "fine_tuning")


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """What decides the result of a run, beside the data. The defaults are the study's schedule.

    Learning rates are Adam's, constant or (`cosine_decay`) falling to zero over the method's epochs as half
    a cosine (Loshchilov and Hutter 2017); `unfrozen` counts DenseNet121's layers from the top.
    """

    weights: str = "imagenet"
    feature_extraction_epochs: int = 4
    fine_tuning_epochs: int = 4
    feature_extraction_rate: float = 1e-3
    fine_tuning_rate: float = 1e-4
    cosine_decay: bool = False
    unfrozen: int = 100
    batch_size: int = 32
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Arrays:
    """Decoded inputs and labels of all images, and the rows of each split."""

    inputs: NDArray[np.uint8]
    labels: NDArray[np.int64]
    rows: dict[str, slice]

    def batches(self, split: str, **options: Any) -> InputBatches:
        rows = self.rows[split]
        return InputBatches(self.inputs[rows], self.labels[rows], **options)


def train(data: Path, out: Path, config: TrainConfig, *, report: Callable[[str], None]) -> str:
    """Train both methods and return the text of report.md, which compares them on the test split.

    `report` gets lines of progress. Raises DataError for unusable data or an output folder of another
    configuration, ModelError when the backbone's weights cannot be had.
    """
    dataset = read_dataset(data, seed=config.seed)
    weights = Path(config.weights)
    backbone_digest = hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else None
    identity = {**asdict(config), "data_sha256": dataset.digest, "backbone_sha256": backbone_digest}
    identity["weights"] = weights.name
    _claim(out, identity)
    pending = [method for method in METHODS if not (out / f"{method}.json").exists()]
    if pending:
        arrays = _decode(dataset, out, report)
        facts = {**identity, "counts": dataset.counts(), "preprocessing_version": PREPROCESSING_VERSION}
        for method in pending:
            _complete(method, arrays, out, config, facts, report)
    (out / "inputs.npy").unlink(missing_ok=True)
    page = compare([json.loads((out / f"{method}.json").read_text()) for method in METHODS])
    write_text(out / "report.md", page)
    return page


def _complete(
    method: str,
    arrays: _Arrays,
    out: Path,
    config: TrainConfig,
    facts: dict[str, Any],
    report: Callable[[str], None],
) -> None:
    """Train one method, measure it, and write its record last: a record means that the method is done."""
    started = time.monotonic()
    keras.utils.set_random_seed(config.seed)
    if method == "feature_extraction":
        model = build_classifier(config.weights, seed=config.seed)
    else:
        model = keras.saving.load_model(out / "feature_extraction.keras", compile=False)
    history = _fit(model, method, arrays, out, config, report)
    model = keras.saving.load_model(out / f"{method}.keras", compile=False)
    record = {
        "method": method,
        **facts,
        "schedule": _schedule(config, method),
        "history": history,
        "wall_seconds_since_start_or_resume": round(time.monotonic() - started, 1),
        "validation": _evaluate(model, arrays, "val").to_dict(),
        "test": _evaluate(model, arrays, "test").to_dict(),
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
        },
    }
    write_atomically(out / f"{method}.png", partial(plot_run, record))
    write_json(out / f"{method}.json", record)
    for leftover in (f"{method}.last.keras", f"{method}.progress.json"):
        (out / leftover).unlink(missing_ok=True)


def _claim(out: Path, identity: dict[str, Any]) -> None:
    """Make the output folder this configuration's own, or refuse it."""
    make_folder(out)
    claim = out / "run.json"
    if claim.exists():
        found = json.loads(claim.read_text(encoding="utf-8"))
        different = sorted(key for key in identity if found.get(key) != identity[key])
        if different:
            raise DataError(f"{out} holds a run that differs in {', '.join(different)}; give a new --out")
    write_json(claim, identity)


def _decode(dataset: Dataset, out: Path, report: Callable[[str], None]) -> _Arrays:
    images = [image for split in SPLITS for image in dataset.split(split)]
    rows, start = {}, 0
    for split in SPLITS:
        count = len(dataset.split(split))
        if count == 0:
            raise DataError(f"the {split} split is empty; add images or a manifest with another split")
        rows[split] = slice(start, start + count)
        start += count
    labels = np.array([image.label for image in images], dtype=np.int64)
    return _Arrays(decode_inputs(images, out / "inputs.npy", report=report), labels, rows)


def _schedule(config: TrainConfig, method: str) -> dict[str, Any]:
    extraction = method == "feature_extraction"
    return {
        "optimizer": "Adam",
        "loss": "sparse categorical cross-entropy",
        "epochs": config.feature_extraction_epochs if extraction else config.fine_tuning_epochs,
        "learning_rate": config.feature_extraction_rate if extraction else config.fine_tuning_rate,
        "cosine_decay": config.cosine_decay,
        "unfrozen_layers": 0 if extraction else config.unfrozen,
        "batch_size": config.batch_size,
    }


def _learning_rate(schedule: dict[str, Any], steps: int) -> float | keras.optimizers.schedules.CosineDecay:
    """Return Adam's learning rate, with `steps` an epoch."""
    if schedule["cosine_decay"]:
        return keras.optimizers.schedules.CosineDecay(schedule["learning_rate"], schedule["epochs"] * steps)
    return schedule["learning_rate"]


def _fit(
    model: keras.Model,
    method: str,
    arrays: _Arrays,
    out: Path,
    config: TrainConfig,
    report: Callable[[str], None],
) -> list[dict[str, float]]:
    """Train one method, resuming after its last finished epoch; return the history, a row an epoch."""
    schedule = _schedule(config, method)
    last, progress_path = out / f"{method}.last.keras", out / f"{method}.progress.json"
    history: list[dict[str, float]] = []
    val_batches = arrays.batches("val", batch_size=config.batch_size)
    if last.exists() and progress_path.exists():
        history = json.loads(progress_path.read_text())
    train_batches = arrays.batches(
        "train", batch_size=config.batch_size, seed=config.seed, first_epoch=len(history)
    )
    if history:
        model = keras.saving.load_model(last)
        report(f"{method}: going on after epoch {len(history)} of {schedule['epochs']}")
    else:
        freeze(model, unfrozen=schedule["unfrozen_layers"])
        model.compile(
            optimizer=keras.optimizers.Adam(_learning_rate(schedule, len(train_batches))),
            loss=keras.losses.SparseCategoricalCrossentropy(),
            metrics=["accuracy"],
            jit_compile=False,  # measured on 2 cores: 20 images/s, with XLA 19
        )
        trainable = sum(layer.count_params() for layer in model.layers if layer.trainable)
        report(f"{method}: {trainable:,} parameters trained, {len(backbone_layers(model))} layers below")

    def keep(epoch: int, logs: dict[str, float]) -> None:
        history.append({key: float(value) for key, value in logs.items()})
        if logs["val_loss"] <= min(row["val_loss"] for row in history):
            write_atomically(out / f"{method}.keras", model.save)
        write_atomically(last, model.save)
        write_json(progress_path, history)

    model.fit(
        train_batches,
        validation_data=val_batches,
        initial_epoch=len(history),
        epochs=schedule["epochs"],
        shuffle=False,
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_end=keep),
            Progress(method, len(train_batches), report),
        ],
    )
    return history


def _evaluate(model: keras.Model, arrays: _Arrays, split: str) -> Metrics:
    probabilities = model.predict(arrays.batches(split, batch_size=32), verbose=0)
    return measure(arrays.labels[arrays.rows[split]], np.asarray(probabilities))

"""A training run: the study's two methods on one data set, from labelled images to a report.

Output folder (each file appears atomically):
    run.json                       the configuration; a folder with another one is refused
    split.csv                      the images with their splits: `--data` of the other commands takes it
    METHOD.keras                   the best epoch of feature_extraction and fine_tuning, by validation loss
    METHOD.json                    the training record that the exporter puts into files; written last
    METHOD.predictions.csv         logits of every validation and test image
    METHOD.log.csv, tensorboard/   the curves
    yardsticks.json                what guesses without lungs reach on the same images
    report.json, report.md, report.html, plots/
While it runs (see `stages`, `fixed_part`, `inputs`): METHOD.last.keras, METHOD.progress.json, cache/.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import keras

from xray_infer.atomic import make_folder, write_json
from xray_infer.errors import DataError
from xray_infer.host import installed_versions
from xray_infer.model.json_records import JsonError, from_json, load_json
from xray_infer.model.manifest import METHODS
from xray_infer.study.datasets import SPLITS, Dataset, check_split, read_images, split_images
from xray_infer.study.training_record import RunFacts, TrainingRecord, read_training_record
from xray_infer.terminal import Report
from xray_infer.train.data.splits import grouped_split, write_manifest
from xray_infer.train.data.yardsticks import Yardstick, yardsticks
from xray_infer.train.predictions import MethodResult, read_predictions
from xray_infer.train.report import write_report
from xray_infer.train.schedule import IDENTITY_FILE, TrainConfig, read_identity, write_identity
from xray_infer.train.trainer import Trainer

PACKAGES: Final = ("xray-infer", "keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "openvino", "numpy")


def train(
    data: Path,
    out: Path,
    config: TrainConfig,
    *,
    patient_pattern: str | None = None,
    cache: Path | None = None,
    report: Report,
) -> str:
    """Train on a manifest or a tree and return the text of report.md.

    Data without a split is split 80/10/10 by groups. A `cache` keeps decoded images and features for other
    runs; without it they are removed at the end. `report` gets lines of progress. Raises DataError for
    unusable data or an output folder of another configuration, ModelError when the backbone's weights
    cannot be had.
    """
    dataset = read_images(data, choice=config.choice, report=report)
    if not dataset.has_split:
        dataset = grouped_split(dataset, seed=config.seed, patient_pattern=patient_pattern, report=report)
    check_split(dataset, data)
    # Splits one after the other, so that features are computed for whole chunks of one split.
    ordered = tuple(image for split in SPLITS for image in dataset.split(split))
    return train_dataset(replace(dataset, images=ordered), out, config, cache=cache, report=report)


def train_dataset(
    dataset: Dataset, out: Path, config: TrainConfig, *, cache: Path | None = None, report: Report
) -> str:
    """Train on a data set with a split, as `train` does; its classes are those chosen."""
    records = train_methods(dataset, out, config, cache=cache, report=report)
    if config.validation_only:
        return _validation_lines(records)
    shared = records[0].facts
    shown = {
        "data_sha256": shared.data_sha256,
        "counts": shared.counts,
        "seed": shared.seed,
        "versions": shared.versions,
        "config": read_identity(out),
    }
    measured = _yardsticks(dataset, out, config.seed, report)
    return write_report(out, [read_result(out, record) for record in records], shown, measured)


def train_methods(
    dataset: Dataset, out: Path, config: TrainConfig, *, cache: Path | None = None, report: Report
) -> list[TrainingRecord]:
    """Train the methods of a run and return their records; there is no report.

    Images without a split are not used; they keep the place of their features in a shared `cache`.
    """
    used = replace(dataset, images=tuple(image for image in dataset.images if image.split))
    for split in SPLITS:
        split_images(used, split, use="which training needs")
    identity = {
        **config.identity(),
        "classes": list(used.classes),
        "data_sha256": used.digest,
        "backbone_sha256": _digest(config.weights),
    }
    _claim(out, identity)
    wanted = METHODS if METHODS[1] in config.methods else METHODS[:1]
    paths = {method: out / f"{method}.json" for method in wanted}
    finished = {method: read_training_record(path) for method, path in paths.items() if path.exists()}
    pending = [method for method in wanted if method not in finished]
    untested = [record for record in finished.values() if record.test is None and not config.validation_only]
    if pending or untested:
        write_manifest(used, out / "split.csv")
        facts = RunFacts(
            data_sha256=used.digest,
            counts=used.counts(),
            seed=config.seed,
            backbone_sha256=identity["backbone_sha256"],
            preprocessing_version=config.preprocessing.version,
            versions={**installed_versions(PACKAGES), "backend": keras.backend.backend()},
            class_names=used.classes,
            class_choice=None if config.choice is None else config.choice.parts,
        )
        trainer = Trainer(dataset, out, config, facts, cache or out / "cache", report)
        for record in untested:
            trainer.test(record)
        trainer.train(pending)
    shutil.rmtree(out / "cache", ignore_errors=True)
    return [read_training_record(paths[method]) for method in wanted if method in config.methods]


def _yardsticks(dataset: Dataset, out: Path, seed: int, report: Report) -> tuple[Yardstick, ...]:
    """Read the run's yardsticks, or measure them where it has none that can be read."""
    path = out / "yardsticks.json"
    try:
        return from_json(tuple[Yardstick, ...], load_json(path))
    except (OSError, JsonError):  # not there, or damaged
        measured = yardsticks(dataset, seed=seed, report=report)
        write_json(path, [one.to_dict() for one in measured])
        return measured


def read_result(out: Path, record: TrainingRecord) -> MethodResult:
    """Return a finished method of a run with its predictions. Raises DataError where they are damaged."""
    splits = read_predictions(out / f"{record.method}.predictions.csv", splits=("val", "test"))
    return MethodResult(
        method=record.method,
        schedule=asdict(record.schedule),
        history=record.history,
        temperature=record.temperature,
        wall_seconds=record.wall_seconds_since_start_or_resume,
        validation=splits["val"],
        test=splits["test"],
    )


def _validation_lines(records: Sequence[TrainingRecord]) -> str:
    lines = [
        f"{record.method}: validation accuracy {record.validation.accuracy:.4f}, "
        f"macro-F1 {record.validation.macro_f1:.4f}, {record.validation.images} images"
        for record in records
    ]
    return "\n".join(lines)


def _claim(out: Path, identity: Mapping[str, Any]) -> None:
    """Make the output folder this configuration's own, or refuse it."""
    make_folder(out)
    if (out / IDENTITY_FILE).exists():
        found = read_identity(out)
        different = sorted(
            key for key in identity.keys() | found.keys() if found.get(key) != identity.get(key)
        )
        if different:
            raise DataError(f"{out} holds a run that differs in {', '.join(different)}; give a new --out")
    write_identity(out, identity)


def _digest(weights: str) -> str | None:
    path = Path(weights)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None

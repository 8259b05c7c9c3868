"""The methods of one run on the same images: start, views, training, and what is fitted afterwards."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from xray_infer.atomic import make_folder
from xray_infer.errors import DataError
from xray_infer.model.manifest import METHODS
from xray_infer.study.datasets import SPLITS, Dataset
from xray_infer.study.metrics import Metrics, measure, softmax
from xray_infer.study.temperature import fit_temperature
from xray_infer.study.training_record import RunFacts, TrainingRecord, write_training_record
from xray_infer.terminal import Report
from xray_infer.train.batches import ImageViews, Views
from xray_infer.train.fixed_part.boundary import Parts, divide
from xray_infer.train.fixed_part.runners import KerasRunner, make_runner
from xray_infer.train.fixed_part.stores import FixedPart, OriginalViews
from xray_infer.train.inputs import decode_inputs, keep_region
from xray_infer.train.network import HEAD, POOLED, build_classifier, freeze
from xray_infer.train.predictions import Predictions, write_predictions
from xray_infer.train.schedule import TrainConfig
from xray_infer.train.stages import Run, StageData, standardised_head, train_stage
from xray_infer.train.weighting import domain_weights

CHUNK: Final = 256  # images whose features are in memory at once


class Trainer:
    """The methods of one run, on the same images."""

    def __init__(
        self,
        dataset: Dataset,
        out: Path,
        config: TrainConfig,
        facts: RunFacts,
        cache: Path,
        report: Report,
    ) -> None:
        self._dataset, self._out, self._config, self._facts = dataset, out, config, facts
        self._report = report
        self._labels = np.array([image.label for image in dataset.images], np.int64)
        splits = np.array([image.split for image in dataset.images])
        self._rows = {split: np.flatnonzero(splits == split) for split in SPLITS}
        files = hashlib.sha256("".join(image.digest for image in dataset.images).encode()).hexdigest()
        make_folder(cache)
        made = config.preprocessing
        files = f"{files} {made.version} {made.side}"
        name = f"inputs-{hashlib.sha256(files.encode()).hexdigest()[:16]}.npy"
        decoded = decode_inputs(dataset.images, made, cache / name, report=report)
        self._inputs = keep_region(decoded, config.region)
        evaluated = ("val",) if config.validation_only else ("val", "test")
        shared = config.view_seed is not None
        everything = np.arange(len(dataset.images))
        self._fixed = FixedPart(
            cache=cache,
            inputs=self._inputs,
            inputs_digest=f"{files} {config.region}",
            train=everything if shared else self._rows["train"],
            held_out=np.concatenate([self._rows[split] for split in evaluated]),
            views=config.schedule.views,
            originals=config.schedule.originals,
            varied_quality=config.schedule.varied_quality,
            seed=config.seed if config.view_seed is None else config.view_seed,
            report=report,
        )
        self._evaluated = evaluated

    def train(self, methods: Sequence[str]) -> None:
        """Train the methods in their order, and write the record of each last: it says that it is done."""
        for method in methods:
            started = time.monotonic()
            keras.utils.set_random_seed(self._config.seed)
            model = self._start(method)
            views, parts = self._views(model, method)
            data = StageData(
                views,
                self._labels,
                self._rows["train"],
                self._rows["val"],
                len(self._dataset.classes),
                self._image_weights(),
            )
            run = Run(self._out, self._config.schedule, self._config.seed, self._report)
            top = model if parts is None else parts.top
            stage = self._config.schedule.stage(method)
            if stage.standardised and (parts is None or parts.boundary != POOLED):
                raise DataError("a standardised head needs the fast path; leave out --plain")
            if stage.standardised:
                top = standardised_head(views.view(self._rows["train"], 0), model, l2=stage.l2)
            history = train_stage(model, top, method, data, run)
            self._finish(method, views, parts, history, time.monotonic() - started)

    def test(self, record: TrainingRecord) -> None:
        """Add the test split to the record of a method that was trained on validation alone."""
        method = record.method
        self._report(f"{method}: trained already, now tested")
        model = keras.saving.load_model(self._out / f"{method}.keras", compile=False)
        freeze(model, unfrozen=self._config.schedule.stage(method).unfrozen)
        views, parts = self._views(model, method)
        self._finish(method, views, parts, record.history, record.wall_seconds_since_start_or_resume)

    def _image_weights(self) -> NDArray[np.float32] | None:
        """Return how much each image of the training and validation splits counts, by its split."""
        if not self._config.schedule.domains_alike:
            return None
        weights = np.ones(len(self._labels), np.float32)
        for split in ("train", "val"):
            rows = self._rows[split]
            domains = [self._dataset.images[row].domain for row in rows]
            weights[rows] = domain_weights(self._labels[rows], domains)
        return weights

    def _image_views(self, method: str) -> ImageViews:
        schedule = self._config.schedule
        varied = schedule.varied_quality and schedule.stage(method).augmented
        return ImageViews(self._inputs, self._config.seed if varied else None)

    def _start(self, method: str) -> keras.Model:
        if method == METHODS[0]:
            model = build_classifier(
                self._config.weights,
                classes=len(self._dataset.classes),
                seed=self._config.seed,
                augmentation=self._config.schedule.augmentation,
                side=self._config.preprocessing.side,
            )
        else:
            model = keras.saving.load_model(self._out / f"{METHODS[0]}.keras", compile=False)
        freeze(model, unfrozen=self._config.schedule.stage(method).unfrozen)
        return model

    def _views(self, model: keras.Model, method: str) -> tuple[Views, Parts | None]:
        """Return what the method trains on, and the network's parts unless the path is plain."""
        if self._config.plain:
            return self._image_views(method), None
        parts = divide(model)
        below: Parts | None = None
        if self._too_large(parts):
            self._report(f"{method}: the layers below {parts.boundary} are too few to keep their output")
            return self._image_views(method), None
        if method == METHODS[0] and METHODS[1] in self._config.methods:
            freeze(model, unfrozen=self._config.schedule.fine_tuning.unfrozen)
            below = divide(model)
            freeze(model, unfrozen=0)
            if self._too_large(below):
                below = None
        augmented = self._config.schedule.stage(method).augmented
        if not augmented and not self._config.schedule.originals:
            raise DataError(f"{method} trains on images as they are, but the schedule keeps no originals")
        views = self._fixed.features(parts, below=below, augmented=augmented)
        return views if augmented else OriginalViews(views), parts

    def _too_large(self, parts: Parts) -> bool:
        """Say whether kept features would be larger than the image as the network sees it."""
        return bool(np.prod(parts.features.shape[1:]) > 3 * self._config.preprocessing.side**2)

    def _finish(
        self,
        method: str,
        views: Views,
        parts: Parts | None,
        history: Sequence[Mapping[str, float]],
        seconds: float,
    ) -> None:
        """Evaluate the best epoch, fit what is fitted on validation data, and write all of it down."""
        model = keras.saving.load_model(self._out / f"{method}.keras", compile=False)
        pooled = self._pooled(model, views, parts)
        kernel, bias = (weight.astype(np.float64) for weight in model.get_layer(HEAD).get_weights())
        splits = {split: self._predictions(split, pooled[split] @ kernel + bias) for split in self._evaluated}
        validation = splits["val"]
        temperature = fit_temperature(validation.logits, validation.labels)
        write_predictions(self._out / f"{method}.predictions.csv", splits)
        record = TrainingRecord(
            method=method,
            facts=self._facts,
            schedule=self._config.schedule.describe(method),
            region=self._config.region,
            path="plain" if parts is None else f"features at {parts.boundary}",
            history=tuple(history),
            wall_seconds_since_start_or_resume=round(seconds, 1),
            temperature=temperature,
            validation=_measure(validation, temperature),
            test=_measure(splits["test"], temperature) if "test" in splits else None,
            validation_within_domains=validation.within_domains(),
            test_within_domains=splits["test"].within_domains() if "test" in splits else None,
        )
        write_training_record(self._out / f"{method}.json", record)
        for leftover in (f"{method}.last.keras", f"{method}.progress.json"):
            (self._out / leftover).unlink(missing_ok=True)

    def _pooled(self, model: keras.Model, views: Views, parts: Parts | None) -> dict[str, NDArray[Any]]:
        """Return pooled features, float64 [N, K], of the splits to be evaluated."""
        below = model.input if parts is None else model.get_layer(parts.boundary).output
        pooled = model.get_layer(POOLED).output
        run = None
        if below is not pooled:
            rest = keras.Model(below, pooled)
            run = KerasRunner(rest) if parts is None else make_runner(rest, fast=False)
        result = {}
        for split in self._evaluated:
            parts_of_rows = np.array_split(self._rows[split], -(-len(self._rows[split]) // CHUNK))
            pieces = (views.plain(rows) for rows in parts_of_rows)
            found = np.concatenate([piece if run is None else run(piece) for piece in pieces])
            result[split] = found.astype(float)
        return result

    def _predictions(self, split: str, logits: NDArray[np.float64]) -> Predictions:
        images = [self._dataset.images[row] for row in self._rows[split]]
        return Predictions(
            files=tuple(image.path for image in images),
            labels=self._labels[self._rows[split]],
            logits=logits,
            sources=tuple(image.source for image in images),
            groups=tuple(image.group for image in images),
            classes=self._dataset.classes,
            domains=tuple(image.domain for image in images),
        )


def _measure(predictions: Predictions, temperature: float) -> Metrics:
    return measure(predictions.labels, softmax(predictions.logits, temperature), predictions.classes)

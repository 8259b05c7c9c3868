"""Training of one method on its views by Keras, kept after each epoch: a kill costs one epoch at most.

Files in the run's folder while a method trains:
    METHOD.keras            the whole network at its best epoch so far, by validation loss
    METHOD.last.keras       the part that trains, with its optimiser's state, after the last epoch
    METHOD.progress.json    the history, a row an epoch
    METHOD.log.csv          the same as a table, and tensorboard/METHOD as curves; both stay
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray
from tensorboard.summary import Writer

from xray_infer.atomic import write_atomically, write_json, write_text
from xray_infer.errors import DataError
from xray_infer.model.json_records import AnyFloat, JsonError, from_json, load_json
from xray_infer.terminal import Report
from xray_infer.train.batches import BatchOptions, PlainBatches, TrainingBatches, Views, one_hot
from xray_infer.train.fixed_part.runners import computes_in_bfloat16
from xray_infer.train.network import HEAD
from xray_infer.train.schedule import Schedule, Stage

History = list[dict[str, float]]

STANDARDISE: Final = "standardise"
SECONDS_BETWEEN_LINES: Final = 30


@dataclass(frozen=True, slots=True)
class StageData:
    """What a method is trained on: views of all images, their labels `[N]`, the rows of the two splits.

    `classes` is the number of classes. `weights` float32 [N] say how much each image counts; None where all
    count alike.
    """

    views: Views
    labels: NDArray[np.int64]
    train: NDArray[np.integer]
    val: NDArray[np.integer]
    classes: int
    weights: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Where a method's files go, and what does not depend on the method."""

    out: Path
    schedule: Schedule
    seed: int
    report: Report


def train_stage(model: keras.Model, top: keras.Model, method: str, data: StageData, run: Run) -> History:
    """Train `top`, the trainable part of `model`, and write METHOD.keras, the best epoch of the whole.

    Goes on after the last finished epoch when the folder holds one. Returns the history, a row an epoch:
    loss, accuracy, val_loss, val_accuracy and learning_rate.
    """
    stage = run.schedule.stage(method)
    last, progress = run.out / f"{method}.last.keras", run.out / f"{method}.progress.json"
    history: History = _read_history(progress) if last.exists() else []
    size, smooth = run.schedule.batch_size, stage.label_smoothing > 0
    options = BatchOptions(size, run.seed, data.classes, stage.mixup, one_hot=smooth)
    batches = TrainingBatches(
        data.views, data.labels, data.train, options, first_epoch=len(history), weights=data.weights
    )
    targets = data.labels if options.targets_are_indices else one_hot(data.labels, data.classes)
    validation = PlainBatches(data.views, targets, data.val, batch_size=size, weights=data.weights)
    if history:
        trained = keras.saving.load_model(last)
        run.report(f"{method}: going on after epoch {len(history)} of {stage.epochs}")
    else:
        # `--plain` is what the fast path is held against, so it stays in float32.
        use_bfloat16 = stage.bfloat16 and top is not model and computes_in_bfloat16()
        trained = _in_bfloat16(top) if use_bfloat16 else top
        trained.compile(
            optimizer=_optimizer(stage, len(batches)),
            loss=_loss(stage, indices=options.targets_are_indices),
            metrics=["accuracy"],
            jit_compile=False,  # XLA gains nothing here on 2 cores, and takes 20 s to compile
        )
        run.report(f"{method}: {_trainable_parameters(trained):,} parameters to train")
    logs = EpochLogs(run.out, method)

    def keep(epoch: int, figures: dict[str, float]) -> None:
        rate = float(keras.ops.convert_to_numpy(trained.optimizer.learning_rate))
        history.append({name: float(value) for name, value in figures.items()} | {"learning_rate": rate})
        if history[-1]["val_loss"] <= min(row["val_loss"] for row in history):
            copy_weights(trained, model)
            write_atomically(run.out / f"{method}.keras", model.save)
        write_atomically(last, trained.save)
        write_json(progress, history)
        logs.write(history)

    trained.fit(
        batches,
        validation_data=validation,
        initial_epoch=len(history),
        epochs=stage.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_end=keep),
            EpochProgress(method, len(batches), run.report),
        ],
    )
    logs.close()
    return history


def _read_history(path: Path) -> History:
    """Return the rows of METHOD.progress.json, none where it does not exist. Raises DataError."""
    try:
        rows = from_json(tuple[dict[str, AnyFloat], ...], load_json(path))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{path}: cannot read the history of the training: {error.strerror}") from error
    except JsonError as error:
        raise DataError(
            f"{path}: the history of the training is damaged: {error}; "
            "delete it to train this method from its first epoch on"
        ) from error
    return list(rows)


def copy_weights(part: keras.Model, whole: keras.Model) -> None:
    """Copy the weights of a part's layers into the layers of the same names in the whole.

    A standardised head is folded: (x - mean) / deviation . W + b is x . (W / deviation) + b', which is
    linear again.
    """
    for layer in part.layers:
        if layer.name == STANDARDISE:
            continue
        weights = layer.get_weights()
        if layer.name == HEAD and any(other.name == STANDARDISE for other in part.layers):
            kernel, bias = weights
            scaling = part.get_layer(STANDARDISE)
            mean, variance = (
                np.ravel(keras.ops.convert_to_numpy(x)) for x in (scaling.mean, scaling.variance)
            )
            kernel = kernel / np.sqrt(variance)[:, None]
            weights = [kernel, bias - mean @ kernel]
        if weights:
            whole.get_layer(layer.name).set_weights(weights)


def standardised_head(features: NDArray[np.floating], model: keras.Model, *, l2: float) -> keras.Model:
    """Return a trainable head for pooled features `[N, K]`, which it scales to mean 0 and deviation 1."""
    settings = {**model.get_layer(HEAD).get_config(), "kernel_regularizer": keras.regularizers.L2(l2)}
    variance = np.maximum(features.var(axis=0), 1e-10)
    return keras.Sequential(
        [
            keras.Input(features.shape[1:]),
            keras.layers.Normalization(mean=features.mean(axis=0), variance=variance, name=STANDARDISE),
            keras.layers.Dense.from_config(settings),
        ],
        name="standardised_head",
    )


def _optimizer(stage: Stage, steps: int) -> keras.optimizers.Optimizer:
    """Return the stage's optimiser, with `steps` an epoch."""
    rate: float | keras.optimizers.schedules.LearningRateSchedule = stage.learning_rate
    if stage.cosine_decay:
        rate = keras.optimizers.schedules.CosineDecay(stage.learning_rate, stage.epochs * steps)
    if stage.weight_decay == 0:
        return keras.optimizers.Adam(rate)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=stage.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def _loss(stage: Stage, *, indices: bool) -> keras.losses.Loss:
    if indices:
        return keras.losses.SparseCategoricalCrossentropy()
    return keras.losses.CategoricalCrossentropy(label_smoothing=stage.label_smoothing)


def _trainable_parameters(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def _in_bfloat16(top: keras.Model) -> keras.Model:
    """Return a copy that computes in bfloat16, its weights and its head in float32.

    Mixed precision (Micikevicius et al. 2018); bfloat16 needs no loss scaling.
    """

    def convert(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if layer.name != HEAD and not isinstance(layer, keras.layers.GlobalAveragePooling2D):
            config["dtype"] = "mixed_bfloat16"
        return type(layer).from_config(config)

    copy = keras.models.clone_model(top, clone_function=convert)
    copy.set_weights(top.get_weights())
    return copy


class EpochLogs:
    """Writes METHOD.log.csv anew and adds to tensorboard/METHOD after each epoch.

    A resumed run goes on in both; TensorBoard shows its event files as one curve.
    """

    def __init__(self, out: Path, method: str) -> None:
        self._csv = out / f"{method}.log.csv"
        self._events = out / "tensorboard" / method
        self._writer: Writer | None = None

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Log the last row of the history (`history` holds every epoch so far)."""
        text = io.StringIO()
        table = csv.DictWriter(text, ["epoch", *history[-1]], lineterminator="\n")
        table.writeheader()
        for epoch, row in enumerate(history, start=1):
            table.writerow({"epoch": epoch, **row})
        write_text(self._csv, text.getvalue())
        if self._writer is None:
            self._writer = Writer(str(self._events))
        for name, value in history[-1].items():
            self._writer.add_scalar(name, value, step=len(history))
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()


class EpochProgress(keras.callbacks.Callback):
    """Reports each epoch, and long epochs on the way. Time left counts the rest of this method."""

    def __init__(self, method: str, steps: int, report: Report) -> None:
        super().__init__()
        self._method, self._steps, self._report = method, steps, report
        self._started = self._spoken = time.monotonic()
        self._steps_done = 0
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keras's hook."""
        if self._steps_done == 0:
            self._started = self._spoken = time.monotonic()
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Keras's hook."""
        self._steps_done += 1
        if time.monotonic() - self._spoken >= SECONDS_BETWEEN_LINES:
            self._say(f"step {batch + 1}/{self._steps}", logs or {}, batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keras's hook."""
        self._say("done", logs or {}, self._steps)

    def _say(self, where: str, logs: dict[str, Any], step: int) -> None:
        self._spoken = time.monotonic()
        left = (self.params["epochs"] - self._epoch) * self._steps - step
        minutes = left * (self._spoken - self._started) / max(1, self._steps_done) / 60
        figures = ", ".join(f"{name} {value:.4f}" for name, value in logs.items())
        self._report(
            f"{self._method}: epoch {self._epoch + 1}/{self.params['epochs']} {where}, {figures}, "
            f"about {minutes:.0f} min left"
        )

"""Pre-training of the DenseNet121 backbone on photographs, where ImageNet weights cannot be had.

Output folder:
    checkpoint.pt      everything needed to go on: weights, optimiser, epoch, history, configuration
    backbone.keras     the network without its head, as of the last finished epoch
    pretrain.json      configuration, data digest, history, digest of backbone.keras, versions

An interrupted run goes on from its last finished epoch when the same command is given again. Both files
appear atomically. A folder that holds a run of another configuration is refused.
"""

from __future__ import annotations

import functools
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch
from torch import nn

from xray_infer.atomic import make_folder, write_atomically, write_json
from xray_infer.errors import DataError
from xray_infer.images.preprocess import IMAGENET_MEAN, IMAGENET_STD
from xray_infer.terminal import Report
from xray_infer.train.backbone.augmentation import augment
from xray_infer.train.backbone.photographs import Photographs, PhotographSet, read_photographs
from xray_infer.train.backbone.torch_twin import TorchTwin, mixed_precision
from xray_infer.train.network import load_backbone


@dataclass(frozen=True, slots=True)
class PretrainConfig:
    """The schedule. One cycle of AdamW over all epochs; the first `small_epochs` on smaller images.

    Small images first: 64 px costs less than half of 96 px a step and teaches the same early
    filters (progressive resizing, Howard 2018). `start_sha256` is of the backbone that it starts from,
    where that is not a random one.
    """

    epochs: int = 20
    small_epochs: int = 8
    small_side: int = 64
    side: int = 96
    batch_size: int = 64
    peak_learning_rate: float = 2e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    seed: int = 0
    start_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class EpochResult:
    """Figures of one epoch; accuracies in 0..1, time in seconds."""

    epoch: int
    train_loss: float
    val_accuracy: float
    seconds: float


class _Classifier(nn.Module):
    """Backbone twin, global average pooling and a linear head over the photographs' classes."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, backbone: TorchTwin, channels: int, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(channels, classes)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        """`float [N, 1, H, W]` in 0..1 to logits, `float [N, classes]`."""
        normalised = ((gray - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        logits: torch.Tensor = self.head(self.backbone(normalised).mean(dim=(2, 3)))
        return logits


def pretrain(
    archive: Path,
    out: Path,
    config: PretrainConfig,
    *,
    start: Path | None = None,
    report: Report = lambda line: None,
) -> Path:
    """Train the backbone and return the path of `backbone.keras`.

    `start` is a backbone to go on from, with a new head. `report` gets one line of progress now and then.
    Raises DataError for unusable photographs and for an output folder that holds a run of another
    configuration, ModelError for a `start` that is no backbone.
    """
    data = read_photographs(archive)
    report(f"{len(data.train.labels)} + {len(data.val.labels)} photographs, {len(data.class_names)} classes")
    torch.manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    keras.utils.set_random_seed(config.seed)
    base = keras.applications.DenseNet121(include_top=False, weights=None, input_shape=(None, None, 3))
    if start is not None:
        load_backbone(base, start)
        config = replace(config, start_sha256=hashlib.sha256(start.read_bytes()).hexdigest())
    model = _Classifier(TorchTwin(base), base.output.shape[-1], len(data.class_names)).to(device)
    steps_per_epoch = len(data.train.labels) // config.batch_size
    if steps_per_epoch == 0:
        raise DataError(f"{archive}: fewer photographs than one batch of {config.batch_size}")
    training = _Training(model, config, steps_per_epoch)
    make_folder(out)
    checkpoint = out / "checkpoint.pt"
    history: list[EpochResult] = []
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        if state["config"] != asdict(config) or state["data"] != data.digest:
            raise DataError(f"{out} holds a run of another configuration; give a new --out")
        training.load(state)
        history = [EpochResult(**row) for row in state["history"]]
        report(f"going on after epoch {len(history)} of {config.epochs}")

    for epoch in range(len(history), config.epochs):
        started = time.monotonic()
        loss = _train_epoch(training, data.train, epoch, report)
        accuracy = _accuracy(model, data.val, config)
        history.append(EpochResult(epoch, loss, accuracy, time.monotonic() - started))
        left = (config.epochs - epoch - 1) * history[-1].seconds / 60
        report(
            f"epoch {epoch + 1}/{config.epochs}: loss {loss:.3f}, validation accuracy {accuracy:.4f}, "
            f"{history[-1].seconds:.0f} s, about {left:.0f} min left"
        )
        model.backbone.write_weights(base)
        _write_backbone(base, out, config, data, history)
        state = {
            "config": asdict(config),
            "data": data.digest,
            "history": [asdict(row) for row in history],
            **training.state(),
        }
        write_atomically(checkpoint, functools.partial(torch.save, state))
    return out / "backbone.keras"


class _Training:
    """Model, optimiser and schedule, which are saved and restored together."""

    def __init__(self, model: _Classifier, config: PretrainConfig, steps_per_epoch: int) -> None:
        self.model, self.config = model, config
        self.optimiser = torch.optim.AdamW(
            model.parameters(), lr=config.peak_learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser,
            max_lr=config.peak_learning_rate,
            total_steps=config.epochs * steps_per_epoch,
            pct_start=0.2,
        )

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name).state_dict() for name in ("model", "optimiser", "schedule")}

    def load(self, state: dict[str, Any]) -> None:
        for name in ("model", "optimiser", "schedule"):
            getattr(self, name).load_state_dict(state[name])


def _train_epoch(training: _Training, photographs: Photographs, epoch: int, report: Report) -> float:
    """Train one epoch and return its mean loss."""
    config, model = training.config, training.model
    model.train()
    device = model.mean.device
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
    side = config.small_side if epoch < config.small_epochs else config.side
    order = torch.randperm(len(photographs.labels), generator=generator).numpy()
    steps = len(order) // config.batch_size
    losses: list[float] = []
    spoken = time.monotonic()
    for step in range(steps):
        chosen = order[step * config.batch_size : (step + 1) * config.batch_size]
        images = torch.from_numpy(photographs.images[chosen]).to(device)
        labels = torch.from_numpy(photographs.labels[chosen]).to(device)
        augmented = augment(images[:, None].float() / 255, side, generator)
        with mixed_precision(device):
            logits = model(augmented)
        loss = nn.functional.cross_entropy(logits.float(), labels, label_smoothing=config.label_smoothing)
        training.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        training.optimiser.step()
        training.schedule.step()
        losses.append(loss.item())
        if time.monotonic() - spoken > 30:
            spoken = time.monotonic()
            report(f"epoch {epoch + 1}, step {step + 1}/{steps}, loss {np.mean(losses[-50:]):.3f}")
    return float(np.mean(losses))


def _batches(photographs: Photographs, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for start in range(0, len(photographs.labels), size):
        images = torch.from_numpy(photographs.images[start : start + size])
        yield images[:, None].float() / 255, torch.from_numpy(photographs.labels[start : start + size])


@torch.inference_mode()
def _accuracy(model: _Classifier, photographs: Photographs, config: PretrainConfig) -> float:
    model.eval()
    device = model.mean.device
    right = 0
    for images, labels in _batches(photographs, config.batch_size):
        # At the side of training: the same network at another scale is some points worse.
        sized = nn.functional.interpolate(images, size=(config.side,) * 2, mode="bilinear", antialias=True)
        with mixed_precision(device):
            right += int((model(sized.to(device)).argmax(1).cpu() == labels).sum())
    return right / len(photographs.labels)


def _write_backbone(
    base: keras.Model, out: Path, config: PretrainConfig, data: PhotographSet, history: list[EpochResult]
) -> None:
    backbone = out / "backbone.keras"
    write_atomically(backbone, base.save)
    record = {
        "config": asdict(config),
        "data_sha256": data.digest,
        "classes": len(data.class_names),
        "photographs": {"train": len(data.train.labels), "val": len(data.val.labels)},
        "backbone_sha256": hashlib.sha256(backbone.read_bytes()).hexdigest(),
        "history": [asdict(row) for row in history],
        "versions": {"torch": torch.__version__, "keras": keras.__version__},
    }
    write_json(out / "pretrain.json", record)

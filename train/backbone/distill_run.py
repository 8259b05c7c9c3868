"""Teacher, student, the student's moving average and the optimiser: what is trained, saved and restored.

`DistillConfig` is the schedule of pre-training by a teacher, `DistillEpoch` the figures of one epoch of it.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from xray_infer.terminal import Report
from xray_infer.train.backbone.pictures import Batch, Kind, draw, held_out, resize
from xray_infer.train.backbone.student import Student, distance
from xray_infer.train.backbone.teachers import Answer, Teacher
from xray_infer.train.backbone.torch_twin import TorchTwin, mixed_precision
from xray_infer.train.network import load_backbone

# A finished run may be made longer, or go on with larger pictures.
EXTENDABLE: Final = ("epochs", "small_epochs", "side")


@dataclass(frozen=True, slots=True)
class DistillConfig:
    """The schedule of `epochs` times `pictures` pictures, the first `small_epochs` at `small_side` pixels.

    `film_share` is of each batch, where there are films. `average` is the decay of the moving average a
    step. `start_sha256` is of the backbone that it starts from, where that is not a random one.
    """

    teacher: str = "lite2"
    teacher_side: int = 160
    epochs: int = 40
    pictures: int = 2048
    small_epochs: int = 0
    small_side: int = 64
    side: int = 96
    batch_size: int = 32
    film_share: float = 0.5
    learning_rate: float = 3e-4
    warm_up_steps: int = 100
    cool_down: float = 0.2
    weight_decay: float = 0.05
    logit_weight: float = 0.05
    average: float = 0.995
    fit_pictures: int = 1536
    val_pictures: int = 128
    seed: int = 0
    start_sha256: str | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What a run must share with the one that it goes on from."""
        return {name: value for name, value in asdict(self).items() if name not in EXTENDABLE}

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch."""
        return self.pictures // self.batch_size

    def side_of(self, epoch: int) -> int:
        """Return the student's input side in an epoch, counted from 0."""
        return self.small_side if epoch < self.small_epochs else self.side

    def rate(self, step: int) -> float:
        """Return the learning rate of a step: linear up, constant, and linear down to a twentieth."""
        steps = self.epochs * self.steps_per_epoch
        left = (steps - step) / max(1.0, self.cool_down * steps)
        return self.learning_rate * min(1.0, (step + 1) / self.warm_up_steps, max(0.05, left))


@dataclass(frozen=True, slots=True)
class DistillEpoch:
    """Figures of one epoch: losses a picture, and the share of the teacher's features explained, by kind."""

    epoch: int
    side: int
    feature_loss: float
    logit_loss: float
    explained: dict[str, float]
    seconds: float


class DistillRun:
    """One run in memory. The teacher stays as it is; `state` has all the rest."""

    def __init__(
        self, config: DistillConfig, teacher: Teacher, kinds: tuple[Kind, ...], start: Path | None
    ) -> None:
        self.config, self.teacher, self.kinds = config, teacher, kinds
        torch.manual_seed(config.seed)
        keras.utils.set_random_seed(config.seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        teacher.network.to(self.device)
        self.base = keras.applications.DenseNet121(
            include_top=False, weights=None, input_shape=(None, None, 3)
        )
        if start is not None:
            load_backbone(self.base, start)
        self.student = Student(
            TorchTwin(self.base),
            self.base.output.shape[-1],
            features=teacher.classifier.in_features,
            kinds=len(kinds),
        ).to(self.device)
        self.average = self._average()
        self.optimiser = torch.optim.AdamW(
            self.student.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.val = held_out(kinds, config.val_pictures, teacher.side)
        self.val_answers = [
            teacher.answer(gray.to(self.device)) for gray in torch.split(self.val.gray, config.batch_size)
        ]

    def _average(self) -> AveragedModel:
        decay = get_ema_multi_avg_fn(self.config.average)
        return AveragedModel(self.student, multi_avg_fn=decay, use_buffers=True)

    @property
    def student_average(self) -> Student:
        """The moving average of the student."""
        module = self.average.module
        assert isinstance(module, Student)
        return module

    def state(self) -> dict[str, Any]:
        """Return what `load` takes."""
        return {name: getattr(self, name).state_dict() for name in ("student", "average", "optimiser")}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        for name in ("student", "average", "optimiser"):
            getattr(self, name).load_state_dict(state[name])

    def write_backbone(self, path: Path) -> None:
        """Write the average's backbone as a Keras file."""
        self.student_average.backbone.write_weights(self.base)
        self.base.save(path)

    def _batch(self, step: int, generator: torch.Generator) -> tuple[Batch, Answer]:
        batch = draw(self.kinds, step, self.config.batch_size, self.teacher.side, generator)
        return batch, self.teacher.answer(batch.gray.to(self.device))

    @torch.no_grad()
    def fit_projection(self) -> None:
        """Fit the projection, with batch statistics, which settles a random backbone's own as well."""
        generator = torch.Generator().manual_seed(self.config.seed + 1)
        self.student.train()
        maps, features, kinds = [], [], []
        for step in range(max(1, self.config.fit_pictures // self.config.batch_size)):
            batch, answer = self._batch(step, generator)
            gray = resize(batch.gray.to(self.device), self.config.side_of(0))
            with mixed_precision(self.device):
                maps.append(self.student.maps(gray).float())
            size = maps[-1].shape[1:3]
            features.append(nn.functional.adaptive_avg_pool2d(answer.maps, size).permute(0, 2, 3, 1))
            kinds.append(batch.kinds)
        self.student.fit_projection(torch.cat(maps), torch.cat(features), torch.cat(kinds))
        self.average = self._average()

    def train_epoch(self, epoch: int, report: Report) -> tuple[float, float]:
        """Train one epoch and return its mean losses, of pooled features and of logits."""
        config, student = self.config, self.student
        student.train()
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        losses: list[tuple[float, float]] = []
        spoken = time.monotonic()
        for number in range(config.steps_per_epoch):
            step = epoch * config.steps_per_epoch + number
            batch, answer = self._batch(step, generator)
            gray = resize(batch.gray.to(self.device), config.side_of(epoch))
            with mixed_precision(self.device):
                predicted = student(gray)
            found = distance(student, self.teacher.classifier, predicted.float(), answer, batch.kinds)
            for group in self.optimiser.param_groups:
                group["lr"] = config.rate(step)
            self.optimiser.zero_grad(set_to_none=True)
            found.loss(config.logit_weight).backward()
            nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            self.optimiser.step()
            self.average.update_parameters(student)
            losses.append((found.pooled.item(), found.logits.item()))
            if time.monotonic() - spoken > 60:
                spoken = time.monotonic()
                recent = np.mean(losses[-20:], axis=0)
                report(
                    f"epoch {epoch + 1}, step {number + 1}/{config.steps_per_epoch}, "
                    f"features {recent[0]:.3f}, logits {recent[1]:.3f}"
                )
        features, logits = np.mean(losses, axis=0)
        return float(features), float(logits)

    @torch.no_grad()
    def explained(self, side: int) -> dict[str, float]:
        """Return the share of the variance of the teacher's pooled features that the average explains."""
        student = self.student_average.eval()
        predicted = []
        for gray in torch.split(self.val.gray, self.config.batch_size):
            with mixed_precision(self.device):
                predicted.append(student(resize(gray.to(self.device), side)).float().mean((1, 2)))
        target = student.standardised(torch.cat([answer.features for answer in self.val_answers]))
        errors = torch.cat(predicted) - target
        shares = {}
        for number, kind in enumerate(self.kinds):
            own, weights = self.val.kinds == number, student.pooled_weights[number]
            spread = target[own] - target[own].mean(0, keepdim=True)
            unexplained = ((errors[own] * weights).square().sum() / (spread * weights).square().sum()).item()
            shares[kind.name] = 1 - unexplained
        return shares

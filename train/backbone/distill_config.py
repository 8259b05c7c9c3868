"""The schedule of pre-training by a teacher, and the figures of one epoch of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

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
    logit_weight: float = 0.5
    average: float = 0.99
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

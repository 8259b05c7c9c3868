"""What a training run hands to its report: the answers of each method, and how it was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Predictions:
    """One model's answers on one split, an entry per image in each field.

    `logits` `[N, 3]` are those before the temperature. `sources` and `groups` (a patient, or a series of
    near-duplicates) are "" where unknown; `files` are read again for the contact sheet only.
    """

    files: tuple[Path, ...]
    labels: NDArray[np.int64]
    logits: NDArray[np.float64]
    sources: tuple[str, ...]
    groups: tuple[str, ...]

    def __post_init__(self) -> None:
        lengths = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"every field needs one entry per image, got {lengths}")

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Which images are right, bool `[N]`; no temperature changes that."""
        return np.asarray(self.logits.argmax(axis=1) == self.labels)


@dataclass(frozen=True, slots=True)
class MethodResult:
    """One trained method. `history` has a row per epoch: loss, accuracy, val_loss, val_accuracy."""

    method: str
    schedule: Mapping[str, Any]
    history: Sequence[Mapping[str, float]]
    temperature: float
    wall_seconds: float
    validation: Predictions
    test: Predictions

    @property
    def title(self) -> str:
        """The method's name as a person writes it."""
        return self.method.replace("_", " ")

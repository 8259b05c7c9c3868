"""Several runs side by side on the validation split: what differs between them, and what it was worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import DataError
from xray_infer.model.manifest import METHODS
from xray_infer.study.intervals import percent, wilson_interval
from xray_infer.study.metrics import negative_log_likelihood
from xray_infer.study.training_record import read_training_record
from xray_infer.train.predictions import read_predictions
from xray_infer.train.schedule import IDENTITY_FILE, read_identity


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """One method on the validation split; the loss is in nats, at the fitted temperature."""

    hits: int
    images: int
    loss: float

    def cell(self) -> str:
        """Return the result as a table's cell."""
        accuracy = percent(self.hits / self.images, wilson_interval(self.hits, self.images))
        return f"{accuracy}, loss {self.loss:.3f}"


def compare_runs(folders: Sequence[Path]) -> str:
    """Return Markdown: a row a run, with the settings that differ and each method's validation accuracy.

    The test split is not looked at. Raises DataError for a folder without a run, and for runs on other data.
    """
    configurations = [_configuration(folder) for folder in folders]
    if len({configuration["data_sha256"] for configuration in configurations}) > 1:
        raise DataError("these runs are of different data or splits, so their figures cannot be compared")
    keys = dict.fromkeys(key for configuration in configurations for key in configuration)
    differ = [key for key in keys if len({json.dumps(one.get(key)) for one in configurations}) > 1]
    lines = [
        f"Validation accuracy (Wilson 95 %). {RESEARCH_NOTICE}",
        "",
        f"| run | {' | '.join([*differ, *(method.replace('_', ' ') for method in METHODS)])} |",
        "|---" * (1 + len(differ) + len(METHODS)) + "|",
    ]
    for folder, configuration in zip(folders, configurations, strict=True):
        settings = [str(configuration.get(key, "")) for key in differ]
        results = [_validation(folder, method) for method in METHODS]
        cells = [result.cell() if result else "" for result in results]
        lines.append(f"| {folder.name} | {' | '.join([*settings, *cells])} |")
    return "\n".join(lines)


def _configuration(folder: Path) -> dict[str, Any]:
    try:
        return read_identity(folder)
    except OSError as error:
        raise DataError(f"{folder}: no training run there ({error.strerror}: {IDENTITY_FILE})") from error


def _validation(folder: Path, method: str) -> ValidationResult | None:
    """Return None for a method that is not finished."""
    path = folder / f"{method}.json"
    if not path.exists():
        return None
    record = read_training_record(path)
    validation = read_predictions(folder / f"{method}.predictions.csv", splits=("val",))["val"]
    loss = negative_log_likelihood(validation.labels, validation.logits, record.temperature)
    return ValidationResult(int(validation.hits.sum()), len(validation.labels), loss)

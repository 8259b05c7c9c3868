"""What the trained networks of a run answer, and the file beside each that holds it, METHOD.predictions.csv.

Columns: split, file, label, source, group, domain, then logit_CLASS for each class, in the order of the
outputs, before the temperature. A file of an earlier version has no domain.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.atomic import staged
from xray_infer.errors import DataError
from xray_infer.study.domains import WithinDomains, within_domains

COLUMNS: Final = ("split", "file", "label", "source", "group", "domain")
LOGIT: Final = "logit_"  # begins the name of a class's column


@dataclass(frozen=True, slots=True)
class Predictions:
    """One model's answers on one split, an entry per image in each field.

    `logits` `[N, C]` are those before the temperature, in the order of `classes`, which are of all images.
    `sources`, `groups` (a patient, or a series of near-duplicates) and `domains` are "" where unknown;
    `files` are read again for the contact sheet only.
    """

    files: tuple[Path, ...]
    labels: NDArray[np.int64]
    logits: NDArray[np.float64]
    sources: tuple[str, ...]
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    domains: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.domains:
            object.__setattr__(self, "domains", ("",) * len(self.files))
        names = [field.name for field in fields(self) if field.name != "classes"]
        lengths = {name: len(getattr(self, name)) for name in names}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"every field needs one entry per image, got {lengths}")
        if self.logits.shape[1:] != (len(self.classes),):
            raise ValueError(f"logits are {self.logits.shape}, of {len(self.classes)} classes")

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Which images are right, bool `[N]`; no temperature changes that."""
        return np.asarray(self.logits.argmax(axis=1) == self.labels)

    def within_domains(self) -> WithinDomains | None:
        """Return the AUROC within domains, None where no domain is known."""
        return within_domains(self.labels, self.logits, self.classes, self.domains, self.groups)


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


def write_predictions(path: Path, splits: Mapping[str, Predictions]) -> None:
    """Write the predictions of some splits, of the same classes, atomically."""
    classes = next(iter(splits.values())).classes
    with staged(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow((*COLUMNS, *(f"{LOGIT}{name}" for name in classes)))
        for split, one in splits.items():
            facts = zip(one.files, one.labels, one.sources, one.groups, one.domains, strict=True)
            for (file, label, *known), logits in zip(facts, one.logits.tolist(), strict=True):
                table.writerow([split, file, classes[label], *known, *map(repr, logits)])


def read_predictions(path: Path, *, splits: Sequence[str] = ()) -> dict[str, Predictions]:
    """Read what `write_predictions` wrote, exactly.

    Raises DataError, one line, for a file that is missing, damaged or without one of `splits`.
    """
    advice = f"delete {path.name.split('.')[0]}.json beside it and train again with --resume"
    rows: dict[str, list[dict[str, str]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            table = csv.DictReader(stream, strict=True)
            for row in table:
                rows.setdefault(row["split"], []).append(row)
            columns = table.fieldnames or ()
        classes = tuple(name.removeprefix(LOGIT) for name in columns if name.startswith(LOGIT))
        predictions = {split: _from_rows(some, classes) for split, some in rows.items()}
    except OSError as error:
        raise DataError(f"{path}: cannot read the predictions: {error.strerror}; {advice}") from error
    except KeyError as error:
        raise DataError(f"{path}: the predictions are damaged: no column {error}; {advice}") from error
    except (ValueError, TypeError, csv.Error) as error:  # TypeError: a row that was cut short
        raise DataError(f"{path}: the predictions are damaged: {error}; {advice}") from error
    for split in splits:
        if split not in predictions:
            raise DataError(f"{path}: the predictions are damaged: no {split} images; {advice}")
    return predictions


def _from_rows(rows: Sequence[Mapping[str, str]], classes: tuple[str, ...]) -> Predictions:
    places = {f"{LOGIT}{name}": place for place, name in enumerate(classes)}
    return Predictions(
        files=tuple(Path(row["file"]) for row in rows),
        labels=np.array([places[f"{LOGIT}{row['label']}"] for row in rows], np.int64),
        logits=np.array([[float(row[column]) for column in places] for row in rows]),
        sources=tuple(row["source"] for row in rows),
        groups=tuple(row["group"] for row in rows),
        classes=classes,
        domains=tuple(row.get("domain", "") for row in rows),
    )

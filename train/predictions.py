"""What a trained network answers to the validation and test images, as a CSV beside it.

Columns: split, file, label, source, group, then logit_CLASS for each class, before the temperature.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from xray_infer.atomic import staged
from xray_infer.classes import CLASS_NAMES
from xray_infer.train.report import Predictions

LOGIT_COLUMNS: Final = tuple(f"logit_{name}" for name in CLASS_NAMES)
COLUMNS: Final = ("split", "file", "label", "source", "group", *LOGIT_COLUMNS)


def write_predictions(path: Path, splits: Mapping[str, Predictions]) -> None:
    """Write the predictions of some splits, atomically."""
    with staged(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(COLUMNS)
        for split, one in splits.items():
            facts = zip(one.files, one.labels, one.sources, one.groups, one.logits, strict=True)
            for file, label, source, group, logits in facts:
                table.writerow([split, file, CLASS_NAMES[label], source, group, *map(repr, logits.tolist())])


def read_predictions(path: Path) -> dict[str, Predictions]:
    """Read what `write_predictions` wrote, exactly."""
    rows: dict[str, list[dict[str, str]]] = {}
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            rows.setdefault(row["split"], []).append(row)
    return {
        split: Predictions(
            files=tuple(Path(row["file"]) for row in some),
            labels=np.array([CLASS_NAMES.index(row["label"]) for row in some], np.int64),
            logits=np.array([[float(row[column]) for column in LOGIT_COLUMNS] for row in some]),
            sources=tuple(row["source"] for row in some),
            groups=tuple(row["group"] for row in some),
        )
        for split, some in rows.items()
    }

"""What a trained network answers to the validation and test images, as a CSV beside it.

Columns: split, file, label, source, group, then logit_CLASS for each class, before the temperature.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from xray_infer.atomic import staged
from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError
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


def read_predictions(path: Path, *, splits: Sequence[str] = ()) -> dict[str, Predictions]:
    """Read what `write_predictions` wrote, exactly.

    Raises DataError, one line, for a file that is missing, damaged or without one of `splits`.
    """
    advice = f"delete {path.name.split('.')[0]}.json beside it and train again with --resume"
    rows: dict[str, list[dict[str, str]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream, strict=True):
                rows.setdefault(row["split"], []).append(row)
        predictions = {split: _from_rows(some) for split, some in rows.items()}
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


def _from_rows(rows: Sequence[Mapping[str, str]]) -> Predictions:
    return Predictions(
        files=tuple(Path(row["file"]) for row in rows),
        labels=np.array([CLASS_NAMES.index(row["label"]) for row in rows], np.int64),
        logits=np.array([[float(row[column]) for column in LOGIT_COLUMNS] for row in rows]),
        sources=tuple(row["source"] for row in rows),
        groups=tuple(row["group"] for row in rows),
    )

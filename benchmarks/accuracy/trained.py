"""Reads what `xray-train evidence` found: other seeds, a split that leaks, regions trained on alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from xray_infer.benchmarks.records.schema import Trained
from xray_infer.errors import DataError
from xray_infer.model.manifest import METHODS

EVIDENCE_FILE: Final = "evidence.json"
# Beginnings of the runs' names.
KINDS: Final = {"group": "group-", "random": "random-", "border": "border", "centre": "centre"}


def read_evidence(path: Path) -> Trained:
    """Read evidence.json, or that of a folder. Raises DataError."""
    if path.is_dir():
        path = path / EVIDENCE_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        accuracies = {
            kind: {
                method: [
                    float(records[method]["test"]["accuracy"])
                    for name, records in found["runs"].items()
                    if name.startswith(beginning)
                ]
                for method in METHODS
            }
            for kind, beginning in KINDS.items()
        }
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; xray-train evidence writes it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is no evidence.json of xray-train evidence") from error
    return Trained(accuracies)

"""The page of a training run: both methods side by side, from their records alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE


def compare(records: Sequence[dict[str, Any]]) -> str:
    """Return Markdown with the test figures of each record's method."""
    lines = [
        "# Training run",
        "",
        f"{RESEARCH_NOTICE} Figures are of the test split, {records[0]['test']['images']} images.",
        "",
        "| method | epochs | accuracy | macro-F1 | validation accuracy |",
        "|---|---|---|---|---|",
    ]
    for record in records:
        test = record["test"]
        lines.append(
            f"| {_title(record)} | {record['schedule']['epochs']} | {test['accuracy']:.4f} "
            f"| {test['macro_f1']:.4f} | {record['validation']['accuracy']:.4f} |"
        )
    for record in records:
        lines += ["", f"## {_title(record)}", "", *_class_table(record["test"])]
        lines += ["", f"![learning curves and confusion matrix]({record['method']}.png)"]
    lines += ["", f"Data SHA-256 {records[0]['data_sha256']}, seed {records[0]['seed']}.", ""]
    return "\n".join(lines)


def _title(record: dict[str, Any]) -> str:
    return record["method"].replace("_", " ")


def _class_table(test: dict[str, Any]) -> list[str]:
    heads = " | ".join(f"as {name}" for name in CLASS_NAMES)
    lines = [
        f"| true class | precision | recall | F1 | {heads} |",
        "|---" * (4 + len(CLASS_NAMES)) + "|",
    ]
    for name, counts in zip(CLASS_NAMES, test["confusion"], strict=True):
        figures = test["classes"][name]
        cells = [f"{figures[key]:.4f}" for key in ("precision", "recall", "f1")]
        lines.append(f"| {name} | {' | '.join(cells)} | {' | '.join(map(str, counts))} |")
    return lines

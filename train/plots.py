"""Pictures and the page of a training run, from its records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot

from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE


def plot_run(record: dict[str, Any], path: Path) -> None:
    """Draw the learning curves and the test confusion matrix of one method's training record."""
    figure, (loss, accuracy, matrix) = pyplot.subplots(1, 3, figsize=(13, 4), layout="constrained")
    history = record["history"]
    epochs = range(1, len(history) + 1)
    for axes, key, label in ((loss, "loss", "cross-entropy"), (accuracy, "accuracy", "accuracy")):
        axes.plot(epochs, [row[key] for row in history], marker="o", label="training")
        axes.plot(epochs, [row[f"val_{key}"] for row in history], marker="o", label="validation")
        axes.set(xlabel="epoch", ylabel=label, xticks=list(epochs))
        axes.legend()
    counts = np.array(record["test"]["confusion"])
    matrix.imshow(counts / counts.sum(axis=1, keepdims=True), vmin=0, vmax=1, cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        dark = count > counts[row].sum() / 2
        matrix.text(column, row, str(count), ha="center", va="center", color="white" if dark else "black")
    ticks = range(len(CLASS_NAMES))
    matrix.set(xlabel="predicted", ylabel="true", xticks=ticks, yticks=ticks)
    matrix.set_xticklabels(CLASS_NAMES)
    matrix.set_yticklabels(CLASS_NAMES)
    matrix.set_title(f"test, accuracy {record['test']['accuracy']:.4f}")
    figure.suptitle(f"{record['method'].replace('_', ' ')} ({RESEARCH_NOTICE})", fontsize=10)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)

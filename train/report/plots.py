"""Plots of a training run, each readable at the width of a phone.

Colours are of Okabe and Ito's palette, which colour-blind readers can tell apart; line styles and markers
differ as well. No pyplot: a figure is a value, and no state outlives it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xray_infer.atomic import write_atomically
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.study.intervals import wilson_interval
from xray_infer.study.metrics import Calibration, Metrics, auroc, roc_curve, softmax
from xray_infer.train.predictions import Predictions

BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
GREEN: Final = "#009E73"
# Of 24 classes no two have the same line; of 50, whoever sees colours has the legend's order as well.
_COLOURS: Final = (VERMILION, BLUE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F")
_STYLES: Final = ("-", "--", "-.")
_MOST_INSIDE: Final = 6  # names that a legend has room for inside its plot
_MOST_SHARES: Final = 8  # classes up to which a cell has room for its share, too
_WIDTH: Final = 5.2  # inches
_GRAY: Final = "#595959"
_DPI: Final = 120


def plot_file(method: str, kind: str) -> str:
    """Return where a method's plot lies, relative to the page."""
    return f"plots/{method}_{kind}.png"


def learning_curves(title: str, history: Sequence[Mapping[str, float]]) -> Figure:
    """Draw loss, accuracy and, where the history has it, the learning rate over the epochs."""
    panels = [("loss", "cross-entropy"), ("accuracy", "accuracy")]
    if all("learning_rate" in row for row in history):
        panels.append(("learning_rate", "learning rate"))
    figure, axes = _figure(f"Learning curves, {title}", rows=len(panels), height=0.6 + 2.1 * len(panels))
    epochs = range(1, len(history) + 1)
    for panel, (key, label) in zip(axes, panels, strict=True):
        for name, kind, colour, style in (
            (key, "training", BLUE, "o-"),
            (f"val_{key}", "validation", VERMILION, "s--"),
        ):
            if all(name in row for row in history):
                values = [row[name] for row in history]
                panel.plot(epochs, values, style, color=colour, label=kind, markersize=5)
        panel.set_ylabel(label)
        panel.grid(alpha=0.3)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes[0].legend()
    axes[-1].set_xlabel("epoch")
    return figure


def confusion_matrix(title: str, metrics: Metrics) -> Figure:
    """Draw counts, and each count's share of its true class."""
    names = [class_title(name, 14) for name in metrics.classes]
    width = max(_WIDTH, 0.5 * len(names) + 1.2)
    figure, (axes,) = _figure(f"Confusion matrix, {title}", height=width - 0.6, width=width)
    counts = np.array(metrics.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        text = f"{count}\n{share:.1%}" if counts[row].any() else "no images"
        if len(names) > _MOST_SHARES:
            text = str(count) if counts[row].any() else ""
        colour = "white" if share > 0.71 else "black"  # either has a contrast of 4.5:1 there
        axes.text(column, row, text, ha="center", va="center", color=colour)
    upright = len(names) > 4 or any("\n" in name for name in names)
    axes.set_xticks(range(len(names)), names, rotation=90 if upright else 0)
    axes.set_yticks(range(len(names)), names, rotation=0 if upright else 90, va="center")
    axes.set(xlabel="predicted class", ylabel="true class")
    return figure


def roc_curves(title: str, split: Predictions, temperature: float) -> Figure:
    """Draw each class against the rest, with the area under its curve."""
    outside = len(split.classes) > _MOST_INSIDE
    height = 4.8 + (0.6 + 0.22 * len(split.classes) if outside else 0)
    figure, (axes,) = _figure(f"ROC, one class against the rest, {title}", height=height)
    probabilities = softmax(split.logits, temperature)
    axes.plot([0, 1], [0, 1], ":", color=_GRAY, label="chance")
    for index, name in enumerate(map(class_title, split.classes)):
        colour, style = _COLOURS[index % len(_COLOURS)], _STYLES[index % len(_STYLES)]
        positive, scores = split.labels == index, probabilities[:, index]
        curve = roc_curve(positive, scores)
        if curve is None:
            axes.plot([], [], style, color=colour, label=f"{name}: undefined here")
        else:
            label = f"{name}: AUROC {auroc(positive, scores):.3f}"
            axes.plot(*curve, style, color=colour, label=label, linewidth=2)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal", xlim=(-0.02, 1.02))
    axes.grid(alpha=0.3)
    if outside:
        axes.set_anchor("N")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), fontsize=9)
    else:
        axes.legend(loc="lower right")
    return figure


def reliability(title: str, before: Calibration, after: Calibration, *, classes: int) -> Figure:
    """Draw accuracy over confidence in bins of equal mass, and the bins' sizes, before and after scaling.

    The confidence among so many classes is 1 / `classes` or more.
    """
    figure, (upper, lower) = _figure(f"Reliability, {title}", rows=2, height=5.4, ratios=(3, 1))
    upper.plot([0, 1], [0, 1], ":", color=_GRAY, label="perfectly calibrated")
    for one, name, colour, style in ((before, "before", VERMILION, "s"), (after, "after", BLUE, "o")):
        confidence = np.array([part.confidence for part in one.bins])
        shares = np.array([part.hits / part.images for part in one.bins])
        bounds = np.array([wilson_interval(part.hits, part.images) for part in one.bins]).T
        errors = np.abs(bounds - shares)
        label = f"{name}, T = {one.temperature:.3g}, ECE {one.expected_calibration_error:.3f}"
        upper.errorbar(confidence, shares, errors, fmt=style, color=colour, label=label, ms=5, elinewidth=0.8)
        sizes = [part.images for part in one.bins]
        lower.vlines(confidence, 0, sizes, color=colour, linewidth=1.2)
        lower.plot(confidence, sizes, style, color=colour, markersize=4)
    upper.set(ylabel="accuracy, 95 % interval", ylim=(-0.02, 1.02), xlim=(1 / classes - 0.01, 1.01))
    upper.legend(loc="best", fontsize=9)
    lower.set(xlabel="confidence (highest probability)", ylabel="images", ylim=(0, None))
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    return figure


def class_title(name: str, width: int = 48) -> str:
    """Return a class's name as matplotlib draws it: in lines, no formula, and in legends, too."""
    plain = textwrap.fill(name, width).replace("$", r"\$")
    return f" {plain}" if plain.startswith("_") else plain


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically, the notice also in its metadata. Raises OutputError."""
    write_atomically(
        path, partial(figure.savefig, format="png", dpi=_DPI, metadata={"Disclaimer": RESEARCH_NOTICE})
    )


def _figure(
    title: str,
    *,
    height: float,
    width: float = _WIDTH,
    rows: int = 1,
    ratios: Sequence[float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """Make panels above each other that share the x axis; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=ratios)
    figure.suptitle(title, fontsize=11)
    figure.supxlabel(RESEARCH_NOTICE, fontsize=8, color=_GRAY)
    return figure, list(panels[:, 0])

"""Plots of accuracy: against latency, on parts of the image, by source; and the curves of chosen rows."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xray_infer.benchmarks.accuracy.accuracy_figures import Share
from xray_infer.benchmarks.reporting.accuracy_tables import source_names
from xray_infer.benchmarks.reporting.bench_figures import SHORT, BenchFigures, guess_share, title
from xray_infer.benchmarks.reporting.drawing import MARKERS, SERIES, Plot, drawn, row_panels, short
from xray_infer.benchmarks.results_schema import RowKey
from xray_infer.study.intervals import percent
from xray_infer.train.predictions import Predictions
from xray_infer.train.report.plots import confusion_matrix, reliability, roc_curves


def chosen_rows(figures: BenchFigures) -> list[RowKey]:
    """Return the rows whose curves are shown: each method's first with answers, and its fastest."""
    found: list[RowKey] = []
    for method in SHORT:
        own = [key for key in figures.accuracy if key.method == method]
        found += own[:1]
        rates = {
            key: one.images_per_s.value
            for key in own
            if (one := figures.speed.get(key)) is not None and one.images_per_s
        }
        if rates:
            fastest = max(rates, key=lambda key: rates[key])
            found += [fastest] if fastest not in found else []
    return found


def shortcut_plots(figures: BenchFigures) -> Iterator[Plot]:
    """Yield the plot of controls and that of sources, where there are figures for them."""
    controlled = {key: one for key, one in figures.accuracy.items() if one.controls}
    if controlled or (figures.accuracy and figures.results.guesses):
        yield drawn(
            partial(_controls, figures),
            caption="Accuracy on the whole image and on parts of it, beside guesses without lungs",
            alt="Accuracy of each row on the whole image, the centre and the border, with Wilson's "
            "intervals, and of guesses without lungs; the table below has the figures.",
        )
    if source_names(figures):
        yield drawn(
            partial(_sources, figures),
            caption="Accuracy by source, of the rows whose curves are shown",
            alt="Accuracy by source with Wilson's intervals; the table below has the figures.",
        )


def _controls(figures: BenchFigures) -> Figure:
    groups = {
        SHORT[method]: [short(key) for key in figures.accuracy if key.method == method]
        for method in SHORT
        if any(key.method == method for key in figures.accuracy)
    }
    guesses = {one.name: guess_share(one) for one in figures.results.guesses}
    if guesses:
        groups["guesses without lungs"] = [_wrapped(name) for name in guesses]
    figure, axes = row_panels(groups)
    for panel, method in zip(axes, [one for one in SHORT if SHORT[one] in groups], strict=False):
        own = [one for key, one in figures.accuracy.items() if key.method == method]
        whole = [Share(one.images, one.metrics.hits, one.metrics.accuracy_interval) for one in own]
        _dots(panel, whole, 0, label="whole image", shift=0.0)
        for place, region in enumerate(("centre", "border"), start=1):
            _dots(panel, [one.controls.get(region) for one in own], place, label=f"{region} only", shift=0.0)
    if guesses:
        _dots(axes[-1], list(guesses.values()), 3, label="guess", shift=0.0)
    handles = {
        label: handle for one in axes for handle, label in zip(*one.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4, frameon=False)
    axes[-1].set_xlabel("right, %")
    return figure


def _sources(figures: BenchFigures) -> Figure:
    names, rows = source_names(figures), chosen_rows(figures)
    figure, (axes,) = row_panels({"": names}, each=0.13 * len(rows) + 0.1)
    for place, key in enumerate(rows):
        shares = [figures.accuracy[key].by_source.get(name) for name in names]
        shift = (place - (len(rows) - 1) / 2) * 0.7 / len(rows)
        _dots(axes, shares, place, label=f"{SHORT[key.method]}, {short(key)}", shift=shift)
    figure.legend(loc="outside upper center", ncols=1, frameon=False)
    axes.set_xlabel("right, %")
    return figure


def _dots(axes: Axes, shares: Sequence[Share | None], place: int, *, label: str, shift: float) -> None:
    """Draw proportions with their intervals, one a line; one that is missing leaves its line empty."""
    known = [(line + shift, one) for line, one in enumerate(shares) if one is not None]
    if not known:
        return
    values = np.array([100 * one.value for _, one in known])
    bounds = 100 * np.array([one.interval for _, one in known]).T
    axes.errorbar(
        values,
        [line for line, _ in known],
        xerr=np.abs(bounds - values),
        fmt=MARKERS[place],
        color=SERIES[place],
        markersize=4,
        elinewidth=1,
        label=label,
    )


def _wrapped(text: str, width: int = 22) -> str:
    return "\n".join(textwrap.wrap(text, width))


def row_plots(figures: BenchFigures, key: RowKey) -> Iterator[Plot]:
    """Yield reliability diagram, confusion matrix and ROC curves of a row."""
    one = figures.accuracy[key]
    name = short(key)
    hits = ", ".join(
        f"{one.metrics.confusion[place][place]} of {each.support} {label}"
        for place, (label, each) in enumerate(one.metrics.classes.items())
    )
    yield drawn(
        partial(confusion_matrix, name, one.metrics),
        caption=f"Confusion matrix, {title(key)}",
        alt=f"Confusion matrix of {title(key)}; right are {hits}.",
    )
    areas = ", ".join(
        f"{label} {'undefined' if each.auroc is None else f'{each.auroc:.3f}'}"
        for label, each in one.metrics.classes.items()
    )
    yield drawn(
        partial(roc_curves, name, _predictions(figures, key), 1.0),
        caption=f"ROC curves, {title(key)}",
        alt=f"ROC curves of {title(key)}, one class against the rest; areas: {areas}.",
    )
    yield drawn(
        partial(reliability, name, one.before, one.after, classes=len(figures.results.classes)),
        caption=f"Reliability before and after the temperature, {title(key)}",
        alt=f"Reliability diagram of {title(key)}: calibration error "
        f"{percent(one.before.expected_calibration_error)} before and "
        f"{percent(one.after.expected_calibration_error)} after temperature {one.after.temperature:.3g}.",
    )


def _predictions(figures: BenchFigures, key: RowKey) -> Predictions:
    """Return a row's answers to the test split; logarithms of probabilities are logits but for a constant."""
    answers = next(
        one for one in figures.results.answers if (one.row, one.images, one.region) == (key, "test", "all")
    )
    images = next(one for one in figures.results.sets if one.name == "test")
    return Predictions(
        files=tuple(map(Path, images.images)),
        labels=np.array(images.labels),
        logits=np.log(np.clip(np.array(answers.probabilities), 1e-12, None)),
        sources=tuple(images.sources),
        groups=tuple(images.groups),
        classes=figures.results.classes,
    )

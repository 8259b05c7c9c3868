"""The tables that tell how much of an accuracy may not be of the lungs."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean, stdev
from typing import Final

from xray_infer.benchmarks.accuracy.figures import Share
from xray_infer.benchmarks.records.schema import SourceProbe
from xray_infer.benchmarks.report.cells import guess_share, percent, share, share_of
from xray_infer.benchmarks.report.gathered import SHORT, Figures, title
from xray_infer.study.document import Block, Heading, Paragraph, Table

# Kinds of training in evidence.json, as the table names them.
TRAINED: Final = {
    "group": "group split",
    "random": "random split (leaks)",
    "centre": "centres alone",
    "border": "borders alone",
}


def shortcut_tables(figures: Figures) -> Iterator[Block]:
    """Yield headings and tables, as many as there are figures for."""
    results, rows = figures.results, figures.accuracy
    if not rows and not results.guesses and not results.probes and results.trained is None:
        return
    yield Heading(2, "Shortcuts")
    yield Paragraph(
        "The same model on the test images with all but the border, or the border, black: what it has right "
        "then it can have right without a lung, or without the edge. Intervals are Wilson's."
    )
    yield Table(
        "Accuracy on parts of the image",
        ("row", "whole image", "border only", "centre only"),
        [
            (
                title(key),
                percent(one.metrics.accuracy, one.metrics.accuracy_interval),
                *(share(one.controls.get(region)) for region in ("border", "centre")),
            )
            for key, one in rows.items()
        ],
    )
    yield Table(
        "Guesses without lungs",
        ("guess", "right"),
        [(one.name, share(guess_share(one))) for one in results.guesses],
    )
    if results.trained is not None:
        accuracies = results.trained.accuracies
        yield Table(
            "Trained anew by xray-train evidence: test accuracy, mean ± standard deviation over seeds",
            ("method", *TRAINED.values()),
            [
                (name, *(_seeds(accuracies.get(kind, {}).get(method, [])) for kind in TRAINED))
                for method, name in SHORT.items()
            ],
        )
    yield Table(
        "What the pooled features tell of an image's source",
        ("features of", "images", "source named right", "always the commonest source", "probe"),
        [cells for one in results.probes for cells in _probe(one)],
    )
    sources = source_names(figures)
    if sources:
        yield Table(
            "Accuracy by source",
            ("row", *sources),
            [
                (title(key), *(_source(one.by_source.get(name)) for name in sources))
                for key, one in rows.items()
            ],
        )


def source_names(figures: Figures) -> list[str]:
    """Return the sources of the test images."""
    return sorted({name for one in figures.accuracy.values() for name in one.by_source})


def _source(one: Share | None) -> str:
    return "" if one is None else f"{share(one)}, n = {one.images}"


def _seeds(values: list[float]) -> str:
    if not values:
        return ""
    deviation = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * fmean(values):.1f}{deviation} % (n = {len(values)})"


def _probe(one: SourceProbe) -> Iterator[tuple[str, ...]]:
    count = len(one.truth)
    hits = sum(mine == true for mine, true in zip(one.predicted, one.truth, strict=True))
    most = max(one.truth.count(source) for source in {*one.truth}) / count
    yield SHORT[one.method], f"all {count}", share(share_of(hits, count)), percent(most), one.classifier
    for name, (accuracy, majority, images) in one.within_class.items():
        named = share(share_of(round(accuracy * images), images))
        yield SHORT[one.method], f"{images} of {name}", named, percent(majority), "the same, within the class"

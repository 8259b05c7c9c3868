"""The tables of accuracy: headline, agreement with Keras, classes, calibration, shortcuts."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean, stdev
from typing import Final

from xray_infer.benchmarks.accuracy.accuracy_figures import RowAccuracy, Share, difference_words
from xray_infer.benchmarks.reporting.bench_figures import (
    SHORT,
    BenchFigures,
    guess_share,
    share,
    share_of,
    title,
)
from xray_infer.benchmarks.results_schema import RowKey, SourceProbe
from xray_infer.study.document import Block, Heading, Paragraph, Table
from xray_infer.study.domain_tables import WITHIN, figure, left_out_blocks, pair_name
from xray_infer.study.intervals import number, percent, points


def domain_tables(figures: BenchFigures) -> Iterator[Block]:
    """Yield what was found in domains left out and within domains; it stands above all accuracies."""
    trained = figures.results.trained
    if trained is not None and trained.left_out is not None:
        yield Heading(2, "Each domain left out")
        yield Paragraph("The same recipe trained anew by xray-train evidence, not the files of this run.")
        yield from left_out_blocks(trained.left_out)
    found = {key: one.within for key, one in figures.accuracy.items() if one.within is not None}
    if not found:
        return
    first = next(iter(found.values()))
    yield Heading(2, "Within domains")
    yield Paragraph(WITHIN)
    yield Table(
        "AUROC of two classes of one domain, test images, with 95 % intervals over groups",
        ("row", "mean of the pairs", *map(pair_name, first.counted)),
        [
            (title(key), figure(one.mean), *(figure(pair.auroc) for pair in one.counted))
            for key, one in found.items()
            if one.counted
        ],
    )
    if first.omitted:
        omitted = "; ".join(map(pair_name, first.omitted))
        yield Paragraph(f"Left out, with fewer than {first.least} images of a class: {omitted}.")


def accuracy_tables(figures: BenchFigures) -> Iterator[Block]:
    """Yield headings and tables, as many as there are figures for."""
    if not figures.accuracy:
        return
    rows = figures.accuracy
    images = next(iter(rows.values())).images
    yield Heading(2, "Accuracy")
    yield Paragraph(
        f"{images} test images. Intervals of the first table resample groups (patients, look-alike series); "
        "those of single proportions are Wilson's, which treat images as independent."
    )
    yield Table(
        "Accuracy with 95 % intervals over groups",
        ("row", "accuracy", "balanced accuracy", "macro-F1", "macro AUROC", "99 % of Keras"),
        [
            (title(key), *_headline(one), {None: "", True: "yes", False: "no, failed"}[one.passes_99])
            for key, one in rows.items()
        ],
    )
    yield Table(
        "Against the Keras model of the same method",
        (
            "row",
            "same label",
            "largest dp",
            "mean dp",
            "accuracy minus Keras's, points",
            "McNemar's exact test",
        ),
        [_against(key, one) for key, one in rows.items() if one.against],
    )
    yield Table(
        "Fine-tuning against feature extraction, the same file otherwise",
        ("row of fine-tuning", "accuracy, difference in points", "McNemar's exact test"),
        [
            (
                title(key),
                points(one.accuracy_difference, one.difference_interval),
                difference_words(one.mcnemar),
            )
            for key, one in figures.methods
        ],
    )
    yield Table(
        "Each class, with Wilson's 95 % intervals",
        ("row", "class", "precision", "sensitivity", "specificity", "F1", "AUROC"),
        [cells for key, one in rows.items() for cells in _classes(key, one)],
    )
    yield Table(
        "Calibration before and after the temperature, and confusion",
        (
            "row",
            "calibration error",
            "its interval over groups, after",
            "Brier score",
            f"rows true, columns predicted, {', '.join(figures.results.classes)}",
        ),
        [_calibration(key, one) for key, one in rows.items()],
    )
    yield from _external(figures)


def _headline(one: RowAccuracy) -> tuple[str, ...]:
    return (
        percent(one.metrics.accuracy, one.intervals["accuracy"]),
        percent(one.metrics.balanced_accuracy, one.intervals["balanced_accuracy"]),
        number(one.metrics.macro_f1, 3, one.intervals["macro_f1"]),
        number(one.macro_auroc, 3, one.intervals["macro_auroc"]),
    )


def _against(key: RowKey, one: RowAccuracy) -> tuple[str, ...]:
    beside = one.against
    assert beside is not None  # the caller leaves out the others
    return (
        title(key),
        share(beside.agreement),
        f"{beside.max_dp:.2g}",
        f"{beside.mean_dp:.2g}",
        points(beside.accuracy_difference, beside.difference_interval),
        difference_words(beside.mcnemar),
    )


def _classes(key: RowKey, one: RowAccuracy) -> Iterator[tuple[str, ...]]:
    for name, each in one.metrics.classes.items():
        yield (
            title(key),
            f"{name} (n = {each.support})",
            percent(each.precision, each.precision_interval),
            percent(each.recall, each.recall_interval),
            percent(each.specificity, each.specificity_interval),
            number(each.f1),
            "undefined" if each.auroc is None else number(each.auroc),
        )


def _calibration(key: RowKey, one: RowAccuracy) -> tuple[str, ...]:
    before, after = one.before, one.after
    low, high = one.intervals["calibration_error"]
    return (
        title(key),
        f"{before.expected_calibration_error:.3f}, then {after.expected_calibration_error:.3f}",
        f"{low:.3f} to {high:.3f}",
        f"{before.brier_score:.3f}, then {after.brier_score:.3f}",
        " / ".join(" ".join(map(str, row)) for row in one.metrics.confusion),
    )


def _external(figures: BenchFigures) -> Iterator[Block]:
    if not figures.external:
        return
    yield Heading(2, "Images from elsewhere")
    yield Paragraph(f"{next(iter(figures.external.values())).images} images that no split holds.")
    yield Table(
        "Accuracy at home and elsewhere, with 95 % intervals over groups",
        ("row", "test split", "elsewhere", "macro-F1 elsewhere", "macro AUROC elsewhere"),
        [
            (
                title(key),
                _headline(figures.accuracy[key])[0] if key in figures.accuracy else "",
                percent(one.metrics.accuracy, one.intervals["accuracy"]),
                number(one.metrics.macro_f1, 3, one.intervals["macro_f1"]),
                number(one.macro_auroc, 3, one.intervals["macro_auroc"]),
            )
            for key, one in figures.external.items()
        ],
    )


# Kinds of training in evidence.json, as the table names them.
TRAINED: Final = {
    "group": "group split",
    "random": "random split (leaks)",
    "centre": "centres alone",
    "border": "borders alone",
}


def shortcut_tables(figures: BenchFigures) -> Iterator[Block]:
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


def source_names(figures: BenchFigures) -> list[str]:
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

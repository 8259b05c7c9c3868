"""The tables of accuracy, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean, stdev

from xray_infer.benchmarks.accuracy.figures import RowAccuracy, Share, difference_words
from xray_infer.benchmarks.records.schema import Guess, RowKey, SourceProbe
from xray_infer.benchmarks.report.cells import number, percent, share, table
from xray_infer.benchmarks.report.gathered import SHORT, Figures, title
from xray_infer.classes import CLASS_NAMES
from xray_infer.train.metrics import wilson_interval


def accuracy_tables(figures: Figures) -> Iterator[str]:
    """Yield headings and tables, as many as there are figures for."""
    if not figures.accuracy:
        return
    rows = figures.accuracy
    images = next(iter(rows.values())).images
    yield f"## Accuracy\n\n{images} test images; intervals in this table resample groups, 2,000 times."
    yield table(
        ["row", "accuracy", "balanced accuracy", "macro-F1", "macro AUROC", "99 % of Keras"],
        [
            (title(key), *_headline(one), {None: "", True: "yes", False: "**no**"}[one.passes_99])
            for key, one in rows.items()
        ],
    )
    yield "### Against the Keras model of the same method"
    yield table(
        [
            "row",
            "same label",
            "largest dp",
            "mean dp",
            "accuracy minus Keras's, points",
            "McNemar's exact test",
        ],
        [_against(key, one) for key, one in rows.items() if one.against],
    )
    yield "### Fine-tuning against feature extraction"
    yield table(
        ["row of fine-tuning", "accuracy, difference in points", "McNemar's exact test"],
        [
            (
                title(key),
                _points(one.accuracy_difference, one.difference_interval),
                difference_words(one.mcnemar),
            )
            for key, one in figures.methods
        ],
    )
    yield "### Each class\n\nWilson's intervals."
    yield table(
        ["row", "class", "precision", "sensitivity", "specificity", "F1", "AUROC"],
        [cells for key, one in rows.items() for cells in _classes(key, one)],
    )
    order = "-".join(CLASS_NAMES)
    yield "### Calibration and confusion"
    yield table(
        [
            "row",
            "calibration error, before and after the temperature",
            "its interval over groups",
            "Brier score, before and after",
            f"confusion (rows true, columns predicted, {order})",
        ],
        [_calibration(key, one) for key, one in rows.items()],
    )
    yield from _controls(figures)
    if figures.external:
        count = next(iter(figures.external.values())).images
        yield f"## Images from elsewhere\n\n{count} images of `--external`, beside the test split."
        yield table(
            ["row", "test split", "elsewhere", "macro-F1 elsewhere", "macro AUROC elsewhere"],
            [
                (
                    title(key),
                    percent(rows[key].metrics.accuracy, rows[key].intervals["accuracy"]),
                    percent(one.metrics.accuracy, one.intervals["accuracy"]),
                    number(one.metrics.macro_f1, 3, one.intervals["macro_f1"]),
                    number(one.macro_auroc, 3, one.intervals["macro_auroc"]),
                )
                for key, one in figures.external.items()
            ],
        )


def _headline(one: RowAccuracy) -> tuple[str, ...]:
    return (
        percent(one.metrics.accuracy, one.intervals["accuracy"]),
        percent(one.metrics.balanced_accuracy, one.intervals["balanced_accuracy"]),
        number(one.metrics.macro_f1, 3, one.intervals["macro_f1"]),
        number(one.macro_auroc, 3, one.intervals["macro_auroc"]),
    )


def _points(value: float, interval: tuple[float, float]) -> str:
    return f"{100 * value:+.1f} ({100 * interval[0]:+.1f} to {100 * interval[1]:+.1f})"


def _against(key: RowKey, one: RowAccuracy) -> tuple[str, ...]:
    beside = one.against
    if beside is None:
        return ()
    return (
        title(key),
        share(beside.agreement),
        f"{beside.max_dp:.2g}",
        f"{beside.mean_dp:.2g}",
        _points(beside.accuracy_difference, beside.difference_interval),
        difference_words(beside.mcnemar),
    )


def _classes(key: RowKey, one: RowAccuracy) -> Iterator[tuple[str, ...]]:
    for name, each in one.metrics.classes.items():
        yield (
            title(key),
            name,
            percent(each.precision, each.precision_interval),
            percent(each.recall, each.recall_interval),
            percent(each.specificity, each.specificity_interval),
            number(each.f1),
            number(each.auroc),
        )


def _calibration(key: RowKey, one: RowAccuracy) -> tuple[str, ...]:
    before, after = one.before, one.after
    return (
        title(key),
        f"{before.expected_calibration_error:.3f}, {after.expected_calibration_error:.3f}",
        "{:.3f} to {:.3f}".format(*one.intervals["calibration_error"]),
        f"{before.brier_score:.3f}, {after.brier_score:.3f}",
        " / ".join(" ".join(map(str, row)) for row in one.metrics.confusion),
    )


def guess_share(guess: Guess) -> Share:
    """Return a guess's accuracy."""
    return Share(guess.images, guess.hits, wilson_interval(guess.hits, guess.images))


def _controls(figures: Figures) -> Iterator[str]:
    yield (
        "## Shortcuts\n\nThe same model on the test images with all but the border black, or with the border "
        "black: what it has right then needs no lung, or no edge. Wilson's intervals."
    )
    yield table(
        ["row", "whole image", "border only", "centre only"],
        [
            (
                title(key),
                percent(one.metrics.accuracy, one.metrics.accuracy_interval),
                *(share(one.controls.get(region)) for region in ("border", "centre")),
            )
            for key, one in figures.accuracy.items()
        ],
    )
    yield table(
        ["a guess without lungs", "right"],
        [(one.name, share(guess_share(one))) for one in figures.results.guesses],
    )
    yield from _trained(figures)
    if figures.results.probes:
        yield "### What the pooled features tell of an image's source"
        yield table(
            ["features of", "images", "source named right", "always the commonest source", "probe"],
            [cells for one in figures.results.probes for cells in _probe(one)],
        )
    sources = sorted({name for one in figures.accuracy.values() for name in one.by_source})
    if sources:
        yield "### By source"
        yield table(
            ["row", *sources],
            [
                (title(key), *(share(one.by_source.get(name)) for name in sources))
                for key, one in figures.accuracy.items()
            ],
        )


def _trained(figures: Figures) -> Iterator[str]:
    trained = figures.results.trained
    if trained is None:
        return
    yield (
        "### Trained anew\n\nBy `xray-train evidence`: other seeds, a split image by image, which leaks, and "
        "borders or centres alone. Test accuracy, mean ± standard deviation over the seeds."
    )
    kinds = {
        "group": "group split",
        "random": "random split (leaks)",
        "centre": "centres alone",
        "border": "borders alone",
    }
    yield table(
        ["method", *kinds.values()],
        [
            (name, *(_seeds(trained.accuracies.get(kind, {}).get(method, [])) for kind in kinds))
            for method, name in SHORT.items()
        ],
    )


def _seeds(values: list[float]) -> str:
    if not values:
        return ""
    deviation = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * fmean(values):.1f}{deviation} % (n = {len(values)})"


def _probe(one: SourceProbe) -> Iterator[tuple[str, ...]]:
    hits = sum(mine == true for mine, true in zip(one.predicted, one.truth, strict=True))
    count = len(one.truth)
    most = max(one.truth.count(source) for source in {*one.truth}) / count
    named = Share(count, hits, wilson_interval(hits, count))
    yield SHORT[one.method], f"all {count}", share(named), percent(most), one.classifier
    for name, (accuracy, majority, images) in one.within_class.items():
        inside = round(accuracy * images)
        named = Share(images, inside, wilson_interval(inside, images))
        yield (
            SHORT[one.method],
            f"{images} of {name}",
            share(named),
            percent(majority),
            "the same, within the class",
        )

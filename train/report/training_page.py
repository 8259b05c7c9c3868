"""What the page of a training run says, as blocks: the two methods side by side in every section.

`describe_training` and `describe_run` are its sections on how a run was made: schedule, learning curves,
data, seed, versions, wall time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.study.document import Block, Heading, Illustration, Paragraph, Table
from xray_infer.study.domain_tables import WITHIN, figure, within_blocks
from xray_infer.study.intervals import percent
from xray_infer.study.metrics import Calibration, McNemar, Metrics
from xray_infer.train.data.yardsticks import Score
from xray_infer.train.report.figures import (
    SIGNIFICANCE,
    MethodFigures,
    RunFigures,
    SplitFigures,
    finding,
    to_plain,
)
from xray_infer.train.report.plots import plot_file

_INLINE: Final = 6  # entries of a mapping that are readable in one table cell


def describe_training(run: RunFigures) -> list[Block]:
    """Return the section of the methods' schedules and learning curves."""
    schedules = [to_plain(one.result.schedule) for one in run.methods]
    keys = dict.fromkeys(key for schedule in schedules for key in schedule)
    rows = [(_words(key), *(_inline(schedule.get(key, "")) for schedule in schedules)) for key in keys]
    blocks: list[Block] = [Heading(2, "Training")]
    if rows:
        blocks.append(Table("Schedule", ("", *(one.result.title for one in run.methods)), rows))
    for one in run.methods:
        if one.result.history:
            last = ", ".join(f"{_words(key)} {value:.3g}" for key, value in one.result.history[-1].items())
            alt = f"Learning curves of {one.result.title}, {len(one.result.history)} epochs; last: {last}."
            blocks.append(Illustration(plot_file(one.result.method, "learning_curves"), alt))
    return blocks


def describe_run(run: RunFigures) -> list[Block]:
    """Return the section of the facts that the caller gave, whatever they are."""
    total = sum(one.result.wall_seconds for one in run.methods)
    rows = [*_fact_rows(to_plain(run.facts)), ("wall time of all methods", duration(total))]
    return [
        Heading(2, "The run"),
        Table("Data, seed, versions and configuration", ("fact", "value"), rows),
        Paragraph(f"All figures are in report.json. {RESEARCH_NOTICE}"),
    ]


def _fact_rows(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Give every value a row, but one row to a mapping that is short and not nested."""
    rows = []
    for key, value in facts.items():
        name = f"{prefix}{_words(key)}"
        nested = isinstance(value, dict) and any(isinstance(item, dict) for item in value.values())
        if nested or (isinstance(value, dict) and len(value) > _INLINE):
            rows += _fact_rows(value, f"{name}, ")
        else:
            rows.append((name, _inline(value)))
    return rows


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_words(key)} {_inline(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_inline, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _words(key: str) -> str:
    return key.replace("_", " ")


def duration(seconds: float) -> str:
    """Return a time as a person writes it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


NOT_KNOWN: Final = "not known"


def build_page(run: RunFigures) -> list[Block]:
    """Return the whole page."""
    sections: list[Callable[[RunFigures], list[Block]]] = [_summary]
    if run.methods[0].test.within_domains is not None:
        sections.append(_domains)
    if run.comparison is not None:
        sections.append(_comparison)
    if run.yardsticks:
        sections.append(_yardsticks)
    sections += [_classes, _roc, _calibration, _sources, describe_training, _worst_errors, describe_run]
    return [block for section in sections for block in section(run)]


def _summary(run: RunFigures) -> list[Block]:
    test = run.methods[0].test
    units = test.groups + test.images_without_group
    lines: list[tuple[str, Callable[[MethodFigures], str]]] = [
        ("accuracy (Wilson 95 %)", lambda one: _accuracy(one.test.metrics)),
        ("accuracy (group bootstrap 95 %)", _group_accuracy),
        ("balanced accuracy", lambda one: percent(one.test.metrics.balanced_accuracy)),
        ("macro-F1", lambda one: f"{one.test.metrics.macro_f1:.3f}"),
        ("expected calibration error", lambda one: f"{one.test.after.expected_calibration_error:.3f}"),
        ("validation accuracy (Wilson 95 %)", lambda one: _accuracy(one.validation.metrics)),
        ("epochs", lambda one: str(len(one.result.history))),
        ("wall time", lambda one: duration(one.result.wall_seconds)),
    ]
    if run.methods[0].test.within_domains is not None:
        lines[:0] = [
            ("AUROC within domains, validation", lambda one: _within(one.validation)),
            ("AUROC within domains, test", lambda one: _within(one.test)),
        ]
    return [
        Heading(1, "Training run"),
        Paragraph(RESEARCH_NOTICE, strong=True),
        Paragraph(
            f"Figures are of the test split, n = {test.metrics.images} images, unless they say otherwise. "
            "Wilson intervals treat images as independent, which images of one patient are not. "
            f"The bootstrap therefore resamples {units} groups, 2,000 times; an image without a known group "
            f"({test.images_without_group} of {test.metrics.images}) is one of its own."
        ),
        Table(
            f"Test split, n = {test.metrics.images}",
            ("", *(one.result.title for one in run.methods)),
            [(name, *map(cell, run.methods)) for name, cell in lines],
        ),
    ]


def _within(split: SplitFigures) -> str:
    """Return the mean of a split, with its interval over groups."""
    found = split.within_domains
    return "undefined" if found is None or found.mean is None else figure(found.mean)


def _domains(run: RunFigures) -> list[Block]:
    blocks: list[Block] = [Heading(2, "Within domains"), Paragraph(WITHIN)]
    for name, of in (("Validation", "validation"), ("Test", "test")):
        found = {
            one.result.title: within
            for one in run.methods
            if (within := getattr(one, of).within_domains) is not None
        }
        if found:
            blocks += within_blocks(f"{name} split, AUROC of two classes of one domain", found)
    return blocks


def _comparison(run: RunFigures) -> list[Block]:
    result = run.comparison
    assert result is not None  # build_page leaves this section out for one method
    first, second = (one.result.title for one in run.methods)
    return [
        Heading(2, "The two methods compared"),
        Paragraph(_verdict(result, first, second), strong=True),
        Table(
            f"Answers of both to the {result.images} test images",
            ("", f"{second} right", f"{second} wrong"),
            [
                (f"{first} right", str(result.both_right), str(result.only_first_right)),
                (f"{first} wrong", str(result.only_second_right), str(result.both_wrong)),
            ],
        ),
        Paragraph(
            "McNemar's exact test: the two-sided binomial test of the images that only one method has right. "
            "It treats images as independent. Where it finds no difference, a small one may still exist."
        ),
    ]


def _verdict(result: McNemar, first: str, second: str) -> str:
    chance = "p < 0.001" if result.p_value < 0.001 else f"p = {result.p_value:.3g}"
    better = first if result.only_first_right > result.only_second_right else second
    side = f", {better} is right more often" if result.p_value < SIGNIFICANCE else ""
    return (
        f"{finding(result).capitalize()}{side} (McNemar {chance}, n = {result.images}): "
        f"{result.only_first_right} images are right only by {first}, "
        f"{result.only_second_right} only by {second}."
    )


def _yardsticks(run: RunFigures) -> list[Block]:
    rows = [
        (one.result.title, _accuracy(one.validation.metrics), _accuracy(one.test.metrics))
        for one in run.methods
    ]
    rows += [(one.name, _accuracy(one.val), _accuracy(one.test)) for one in run.yardsticks]
    first = run.methods[0]
    validation, test = first.validation.metrics.images, first.test.metrics.images
    return [
        Heading(2, "What needs no lungs"),
        Paragraph(
            "Guesses from where an image came from, from facts of its file and from a thumbnail. A method "
            "that does not clearly beat them has shown nothing about lungs; one that does may still use the "
            "source."
        ),
        Table(
            "Accuracy with Wilson's 95 % interval",
            ("", f"validation, n = {validation}", f"test, n = {test}"),
            rows,
        ),
    ]


def _classes(run: RunFigures) -> list[Block]:
    blocks: list[Block] = [
        Heading(2, "By class"),
        Paragraph(
            "Proportions with Wilson's 95 % interval. F1 is not a proportion and has none. AUROC is the area "
            "under the ROC curve of one class against the rest, by the probability after the temperature."
        ),
    ]
    for one in run.methods:
        rows = [
            (
                name,
                str(figures.support),
                percent(figures.precision, figures.precision_interval),
                percent(figures.recall, figures.recall_interval),
                percent(figures.specificity, figures.specificity_interval),
                f"{figures.f1:.3f}",
                "undefined" if figures.auroc is None else f"{figures.auroc:.3f}",
            )
            for name, figures in one.test.metrics.classes.items()
        ]
        head = ("class", "images", "precision", "recall (sensitivity)", "specificity", "F1", "AUROC")
        blocks.append(Table(f"{one.result.title}, test split, n = {one.test.metrics.images}", head, rows))
    return blocks + [
        Illustration(plot_file(one.result.method, "confusion"), _confusion_alt(one)) for one in run.methods
    ]


def _confusion_alt(one: MethodFigures) -> str:
    rights = (
        f"{one.test.metrics.confusion[index][index]} of {figures.support} {name}"
        for index, (name, figures) in enumerate(one.test.metrics.classes.items())
    )
    return f"Confusion matrix of {one.result.title} on the test split; right are {', '.join(rights)}."


def _roc(run: RunFigures) -> list[Block]:
    blocks: list[Block] = [Heading(2, "ROC")]
    for one in run.methods:
        areas = ", ".join(
            f"{name} {'undefined' if figures.auroc is None else f'{figures.auroc:.3f}'}"
            for name, figures in one.test.metrics.classes.items()
        )
        alt = f"ROC curves of {one.result.title}, one class against the rest; areas: {areas}."
        blocks.append(Illustration(plot_file(one.result.method, "roc"), alt))
    return blocks


def _calibration(run: RunFigures) -> list[Block]:
    def change(one: MethodFigures, figure: Callable[[Calibration], float]) -> str:
        return f"{figure(one.test.before):.3f}, then {figure(one.test.after):.3f}"

    lines: list[tuple[str, Callable[[MethodFigures], str]]] = [
        ("temperature", lambda one: f"{one.result.temperature:.3f}"),
        (
            "expected calibration error",
            lambda one: change(one, lambda figures: figures.expected_calibration_error),
        ),
        ("Brier score", lambda one: change(one, lambda figures: figures.brier_score)),
        (
            "negative log-likelihood",
            lambda one: change(one, lambda figures: figures.negative_log_likelihood),
        ),
    ]
    return [
        Heading(2, "Calibration"),
        Paragraph(
            "Before the temperature, then after it; lower is better. The calibration error is that of 15 "
            "bins of equal mass, too high for few images; the Brier score sums over the classes, 0 to 2."
        ),
        Table(
            f"Test split, n = {run.methods[0].test.metrics.images}",
            ("", *(one.result.title for one in run.methods)),
            [(name, *map(cell, run.methods)) for name, cell in lines],
        ),
        *(
            Illustration(
                plot_file(one.result.method, "reliability"),
                f"Reliability diagram of {one.result.title}, before and after temperature "
                f"{one.result.temperature:.3g}, with the number of images in each bin.",
            )
            for one in run.methods
        ),
    ]


def _sources(run: RunFigures) -> list[Block]:
    known = run.methods[0].test.sources
    heading = Heading(2, "By source")
    if all(not one.source for one in known):
        return [heading, Paragraph("The data does not say where its images came from.")]
    rows = [
        (
            parts[0].source or NOT_KNOWN,
            *(str(count) for count in parts[0].labels.values()),
            *(percent(part.accuracy, part.accuracy_interval) for part in parts),
        )
        for parts in zip(*(one.test.sources for one in run.methods), strict=True)
    ]
    head = ("source", *known[0].labels, *(f"accuracy, {one.result.title}" for one in run.methods))
    return [
        heading,
        Paragraph(
            "Where a source has one class only, a network may have learned the source and not the disease. "
            "Accuracy with Wilson's 95 % interval; class columns count images."
        ),
        Table(f"Test split by source, n = {run.methods[0].test.metrics.images}", head, rows),
    ]


def _worst_errors(run: RunFigures) -> list[Block]:
    blocks: list[Block] = [
        Heading(2, "Worst errors"),
        Paragraph(
            "Test images with the highest probability for a wrong class. The pictures are of the training "
            "collection, under the licences of their sources: keep this page where the data may be kept."
        ),
    ]
    for one in run.methods:
        metrics, errors = one.test.metrics, one.worst_errors
        blocks.append(Heading(3, one.result.title.capitalize()))
        if not errors:
            blocks.append(Paragraph(f"No errors on {metrics.images} test images."))
            continue
        caption = (
            f"{len(errors)} of the {metrics.images - metrics.hits} errors of {one.result.title}, "
            f"test split, n = {metrics.images}"
        )
        rows = [
            (error.file, error.label, error.predicted, percent(error.probability), error.source or NOT_KNOWN)
            for error in errors
        ]
        head = ("file", "true class", "predicted", "probability", "source")
        alt = f"Contact sheet of {caption}; the table below lists them."
        blocks += [
            Illustration(plot_file(one.result.method, "worst_errors"), alt, wide=True),
            Table(caption, head, rows),
        ]
    return blocks


def _accuracy(figures: Metrics | Score) -> str:
    return percent(figures.accuracy, figures.accuracy_interval)


def _group_accuracy(one: MethodFigures) -> str:
    return percent(one.test.metrics.accuracy, one.test.accuracy_group_interval)

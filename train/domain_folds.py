"""Leave one domain out: for every domain a training that never sees it, judged on all of its images.

Files in the evidence's folder:
    domains/NAME/            one fold: the training run without the domain NAME (see `fit`), without a report
    domains/predictions.csv  what every fold's networks answer to their domain, see PREDICTION_COLUMNS

In a fold the domain's images, of whatever split, are the test split. Nothing of the fold sees them before:
not the training of the head or of the backbone's top, not the choice of the epoch, not the temperature. Nor
does it see images of other domains that share a group or a patient with one of the domain's, images without
a domain, or the data's own test split. What the backbone was trained on before is not known here: one
that has seen the domain's images makes a fold look better than it is.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from xray_infer.atomic import make_folder, staged
from xray_infer.errors import DataError
from xray_infer.model.manifest_parts import Confidence
from xray_infer.study.confidence import fit_confidence
from xray_infer.study.datasets import DOMAIN_COLUMNS, Dataset, LabelledImage
from xray_infer.study.domains import DomainAnswers, LeaveOneDomainOut, judge_left_out
from xray_infer.study.metrics import softmax
from xray_infer.study.training_record import TrainingRecord
from xray_infer.terminal import Report
from xray_infer.train.data.splits import relative_to
from xray_infer.train.fit import read_result, train_methods
from xray_infer.train.predictions import MethodResult
from xray_infer.train.schedule import TrainConfig

FOLDER: Final = "domains"
PREDICTIONS_FILE: Final = "predictions.csv"
# `id` is the file as the manifest names it. `temperature` is that of the fold; the probabilities, a column
# prob_CLASS each, are those at temperature 1, so that another one can be fitted to all folds at once.
PREDICTION_COLUMNS: Final = ("id", "domain", "label", "group", "method", "temperature")


@dataclass(frozen=True, slots=True)
class DomainFolds:
    """The figures of all folds, the records of their methods by domain, and each method's confidence."""

    figures: LeaveOneDomainOut
    records: Mapping[str, Mapping[str, TrainingRecord]]
    confidence: Mapping[str, Confidence]


def why_no_folds(dataset: Dataset) -> str | None:
    """Return why no domain can be left out, None where one can."""
    if not dataset.domains_from:
        return f"no column of the data says which domain an image is of: {', '.join(DOMAIN_COLUMNS)}"
    if len(dataset.domains) < 2:
        return f"all images are of one domain by the column {dataset.domains_from!r}"
    return None


def run_folds(
    dataset: Dataset,
    out: Path,
    config: TrainConfig,
    *,
    domains: Sequence[str] = (),
    cache: Path,
    report: Report,
) -> DomainFolds:
    """Train and judge the folds of some domains, or of all; what is finished is not trained again.

    Raises DataError when no domain can be left out, or one of `domains` is not in the data.
    """
    reason = why_no_folds(dataset)
    if reason is not None:
        raise DataError(f"{dataset.path}: leave-one-domain-out cannot be done: {reason}")
    unknown = sorted(set(domains) - set(dataset.domains))
    if unknown:
        known = ", ".join(dataset.domains)
        raise DataError(f"{dataset.path}: no domain {unknown[0]!r}; the data has {known}")
    unnamed = sum(not image.domain for image in dataset.images)
    report(
        f"domains by the column {dataset.domains_from!r}: {', '.join(dataset.domains)}"
        + (f"; images without one, which no fold uses: {unnamed}" if unnamed else "")
    )
    skipped: dict[str, str] = {}
    results: dict[str, list[MethodResult]] = {}
    records: dict[str, dict[str, TrainingRecord]] = {}
    for domain in domains or dataset.domains:
        fold = without_domain(dataset, domain)
        impossible = _why_not(fold)
        if impossible is not None:
            skipped[domain] = impossible
            report(f"without {domain}: skipped, {impossible}")
            continue
        report(f"without {domain}: {_counts(fold)}")
        folder = out / FOLDER / folder_name(domain)
        trained = train_methods(fold, folder, config, cache=cache, report=report)
        records[domain] = {record.method: record for record in trained}
        results[domain] = [read_result(folder, record) for record in trained]
    _write_predictions(out / FOLDER / PREDICTIONS_FILE, dataset, results)
    answers = {
        method: [
            _answers(domain, one)
            for domain, several in results.items()
            for one in several
            if one.method == method
        ]
        for method in config.methods
    }
    judged = {method: judge_left_out(several, dataset.classes) for method, several in answers.items()}
    figures = LeaveOneDomainOut(dataset.domains_from, judged, skipped, unnamed, dataset.classes)
    confidence = {method: fit_confidence(several) for method, several in answers.items() if several}
    return DomainFolds(figures, records, confidence)


def without_domain(dataset: Dataset, domain: str) -> Dataset:
    """Return the data of a fold: the domain is the test split, and what must not be used has no split.

    The images keep their order, so that all folds share one set of features.
    """
    mine = [image for image in dataset.images if image.domain == domain]
    groups = {image.group for image in mine} - {""}
    patients = {image.patient for image in mine} - {""}

    def split(image: LabelledImage) -> str:
        if image.domain == domain:
            return "test"
        related = image.group in groups or image.patient in patients
        return "" if related or not image.domain or image.split == "test" else image.split

    return replace(dataset, images=tuple(replace(image, split=split(image)) for image in dataset.images))


def _why_not(fold: Dataset) -> str | None:
    """Return why a fold cannot be trained, None where it can."""
    labels = {image.label for image in fold.split("train")}
    missing = [name for label, name in enumerate(fold.classes) if label not in labels]
    if missing:
        return f"no other domain has training images of class {missing[0]!r}"
    return None if fold.split("val") else "no other domain has validation images"


def _counts(fold: Dataset) -> str:
    counts = [len(fold.split(split)) for split in ("train", "val", "test")]
    return f"{counts[0]} images to train on, {counts[1]} to validate, {counts[2]} of the domain to judge by"


def folder_name(domain: str) -> str:
    """Return the name of a domain's folder: its own where that is a plain word, else one with a digest."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", domain):
        return domain
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", domain)[:40].strip("-")
    return f"{plain or 'domain'}.{hashlib.sha256(domain.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def _answers(domain: str, result: MethodResult) -> DomainAnswers:
    test = result.test
    return DomainAnswers(domain, test.labels, test.logits, test.groups, result.temperature)


def _write_predictions(path: Path, dataset: Dataset, results: Mapping[str, Sequence[MethodResult]]) -> None:
    """Write the table of all folds, atomically."""
    root = dataset.path or Path()
    root = (root if root.is_dir() else root.parent).resolve()
    make_folder(path.parent)
    with staged(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow((*PREDICTION_COLUMNS, *(f"prob_{name}" for name in dataset.classes)))
        for domain, several in results.items():
            for one in several:
                test = one.test
                facts = zip(test.files, test.labels, test.groups, softmax(test.logits).tolist(), strict=True)
                for file, label, group, probabilities in facts:
                    name, temperature = relative_to(file, root), repr(one.temperature)
                    known = (name, domain, dataset.classes[label], group, one.method, temperature)
                    table.writerow((*known, *map(repr, probabilities)))

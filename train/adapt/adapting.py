"""A head fitted to a clinic's own labelled films, and a model file that has it: `xray-train adapt`.

The network stays as it is; only its last layer is fitted anew, to the features that the file itself computes.
So it takes seconds, needs no TensorFlow, and works for classes that the network was never trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import DataError, ModelError, extra_for
from xray_infer.model.alarm_fitting import KnownFilms, extend_alarm
from xray_infer.model.choice import DEFAULT_METHOD, shipped_model
from xray_infer.model.manifest import CONFIDENCE_NAME, METHODS, SCORE_NAME, ModelManifest
from xray_infer.model.manifest_parts import Adaptation, Alarm, Confidence, Rejection, Training
from xray_infer.model.runtime_table import SUFFIXES
from xray_infer.model.runtimes import Model, find_model
from xray_infer.study.class_choice import ClassChoice, parse_class_choice
from xray_infer.study.confidence import fit_confidence
from xray_infer.study.conformal import set_limit
from xray_infer.study.datasets import Dataset, read_images
from xray_infer.study.domains import DomainAnswers
from xray_infer.terminal import Report, say
from xray_infer.train.adapt.adapt_report import adapt_text
from xray_infer.train.adapt.crossing import deal, fit_head_temperature
from xray_infer.train.adapt.film_reading import FilmReader
from xray_infer.train.adapt.head_file import head_kind, open_head
from xray_infer.train.adapt.meaning import Objection, check_enough, doubts, places_of
from xray_infer.train.adapt.new_file import write_new_file
from xray_infer.train.adapt.used_films import UsedFilms, choose_films
from xray_infer.train.adapt.worth import HEAD, Worth, measure_worth
from xray_infer.train.data.groups import with_patients

FEATURES_SUFFIX: Final = ".features"
FALSE_REJECTION: Final = 0.01  # where the parent does not say
FAR_RAISED: Final = 1.5  # times the limit before: look at that film


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptRequest:
    """What to fit to what.

    `labelled` is a class-per-folder tree or a manifest CSV, `out` the file to write, .onnx or .tflite.
    `model` is a file of that format or the name of a model that ships. `patient_pattern` is searched in file
    names for the patient, `cache` keeps the films' features (by default beside `out`). `force` writes a file
    though its figure may mean nothing.
    """

    labelled: Path
    out: Path
    model: str | Path | None = None
    classes: ClassChoice | None = None
    patient_pattern: str | None = None
    cache: Path | None = None
    workers: int | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Adapted:
    """A file that was written; `manifest.adaptation` holds its figures, and `report` tells them."""

    path: Path
    manifest: ModelManifest
    report: str

    def __str__(self) -> str:
        return self.report


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A head and all that it was fitted to and judged on; `left_out` counts films that could not be used."""

    model: Model
    parent: ModelManifest
    dataset: Dataset
    used: UsedFilms
    worth: Worth
    left_out: int

    @property
    def data_sha256(self) -> str:
        """The digest of the films that were used, with their labels."""
        return replace(self.dataset, images=self.used.images).digest

    @property
    def raised_limit(self) -> float | None:
        """The limit of the out-of-distribution score for these films, where it is above the parent's.

        The score was fitted without them, so they are to it what validation images were to the parent: the
        limit is set by the same rule, and never lowered.
        """
        before = self.parent.ood_threshold
        if before is None:
            return None
        record = self.parent.rejection
        rate = FALSE_REJECTION if record is None else record.false_rejection
        scores = np.array([film.ood_score for film in self.used.films])
        limit = set_limit(scores, false_rejection=rate).value
        return limit if limit > before else None


def adapt(request: AdaptRequest, *, report: Report = lambda line: None) -> Adapted:
    """Fit a head, judge it, write the file and its reference answers.

    Raises DataError for labels that cannot be used or whose figure would mean nothing, ModelError for a file
    whose head cannot be replaced, ParityError when the new file does not compute its head.
    """
    model = parent_of(request)
    with extra_for("fitting a head", "adapt"):
        head_kind(model.format)
    model.open()  # a damaged file is said to be so
    file = open_head(model.path.read_bytes(), model.format, path=model.path)
    fitted, found = _fit(request, model, report)
    manifest = describe(fitted, found, name=request.out.stem)
    assert manifest.adaptation is not None  # as `describe` made it
    text = adapt_text(manifest, manifest.adaptation)
    if manifest.adaptation.forced and not request.force:
        report(text)
        raise DataError(
            f"{request.labelled}: no file was written, because its figure would mean nothing, see the "
            "warnings: get films of each class from the same places, or write it all the same with --force"
        )
    certified = write_new_file(
        request.out, file, fitted.worth.crossed.head, manifest, fitted.used, report=report
    )
    return Adapted(request.out, certified, text)


def adapt_films(
    labelled: Path,
    out: Path,
    *,
    model: str | Path | None = None,
    classes: str | None = None,
    force: bool = False,
) -> Adapted:
    """Do as `adapt`, for `Classifier.adapt`, and tell of it on standard error. Raises ValueError, too."""
    choice = None if classes is None else parse_class_choice(classes)
    request = AdaptRequest(labelled=labelled, out=out, model=model, classes=choice, force=force)
    adapted = adapt(request, report=say)
    say(adapted.report)
    return adapted


def parent_of(request: AdaptRequest) -> Model:
    """Return the file whose head is replaced. Raises ModelError for one of another format than `out`."""
    wanted = SUFFIXES.get(request.out.suffix.lower())
    if wanted is None:
        raise ModelError(f"--out {request.out}: the name of a model ends in {' or '.join(SUFFIXES)}")
    name = str(request.model or DEFAULT_METHOD)
    if not Path(name).suffix and name not in METHODS:
        raise ModelError(f"--model {name}: no model has this name; give a file, or {' or '.join(METHODS)}")
    model = shipped_model(wanted, name) if name in METHODS else find_model(Path(name))
    if model.format != wanted:
        raise ModelError(
            f"--out {request.out}: of another format than {model.path}; give both the same suffix"
        )
    if request.out.exists() and request.out.samefile(model.path):
        raise ModelError(f"--out {request.out} would replace the model that it is made of; give another name")
    return model


def _fit(request: AdaptRequest, model: Model, report: Report) -> tuple[Fitted, tuple[Objection, ...]]:
    """Read films, fit and judge a head."""
    unreadable: dict[Path, str] = {}
    dataset = read_images(request.labelled, choice=request.classes, unreadable=unreadable, report=report)
    if dataset.has_split:
        report(
            "the split does not count here: all films are fitted to, so none of them can judge the file later"
        )
    images = with_patients(dataset.images, request.patient_pattern)
    cache = request.cache or request.out.with_suffix(FEATURES_SUFFIX)
    reader = FilmReader(model, cache=cache, workers=request.workers)
    films, bad = reader.read(images, report=report)
    used, useless = choose_films(images, films)
    left_out = unreadable | bad | useless
    for path, reason in left_out.items():
        report(f"left out: {path}: {reason}")
    check_enough(used.labels, used.groups, dataset.classes)
    report(f"fitting a head to {len(used.films)} films and judging it by cross-validation")
    known = reader.manifest.class_names
    old = [known.index(name) for name in dataset.classes if name in known]
    worth = measure_worth(
        used.films,
        used.labels,
        used.groups,
        deal(used.labels, used.groups),
        # One that was fitted to films of this clinic, too, may have seen these.
        old=old if len(old) == len(dataset.classes) and reader.manifest.adaptation is None else None,
    )
    fitted = Fitted(model, reader.manifest, dataset, used, worth, len(left_out))
    manifest = request.labelled if request.labelled.is_file() else request.labelled / "manifest.csv"
    places = places_of(used.images, used.films, dataset.classes, folders=manifest.is_file())
    return fitted, doubts(places, used.labels, dataset.classes, worth)


def describe(fitted: Fitted, found: Sequence[Objection], *, name: str) -> ModelManifest:
    """Return the manifest of the new file, without its certificate."""
    used, classes, raised = fitted.used, fitted.dataset.classes, fitted.raised_limit
    logits = fitted.worth.crossed.logits
    temperature = fit_head_temperature(logits, used.labels)
    answers = DomainAnswers("", used.labels, logits, [str(group) for group in used.groups], temperature)
    confidence = fit_confidence([answers], temperature=temperature)
    limits = {one: limit for one, limit in fitted.parent.thresholds.items() if one != CONFIDENCE_NAME}
    if raised is not None:
        limits[SCORE_NAME] = raised
    if confidence.limit:
        limits[CONFIDENCE_NAME] = confidence.limit
    record = {"data_sha256": fitted.data_sha256, "temperature": temperature}
    return replace(
        fitted.parent,
        name=name,
        class_names=classes,
        temperature=temperature,
        thresholds=limits,
        training=Training(fitted.data_sha256, temperature, record=record),
        rejection=_rejection(fitted.parent, raised),
        confidence=None,
        adaptation=_adaptation(fitted, found, confidence),
        alarm=_alarm(fitted, name),
        parity=None,
        intended_use=f"Chest X-rays like those it was fitted to: {', '.join(classes)}. {RESEARCH_NOTICE}",
    )


def _adaptation(fitted: Fitted, found: Sequence[Objection], confidence: Confidence) -> Adaptation:
    """Return the record of the descent."""
    used, worth, classes = fitted.used, fitted.worth, fitted.dataset.classes
    raised = fitted.raised_limit
    return Adaptation(
        parent=fitted.model.path.name,
        parent_sha256=fitted.model.digest,
        data_sha256=fitted.data_sha256,
        films={name: int((used.labels == label).sum()) for label, name in enumerate(classes)},
        groups=len(set(used.groups)),
        left_out=fitted.left_out,
        strength=worth.crossed.strength,
        balanced_accuracy=worth.figures[HEAD],
        beside={name: figure for name, figure in worth.figures.items() if name != HEAD},
        gains=worth.gains,
        recalls=dict(zip(classes, worth.recalls, strict=True)),
        coverage=confidence.coverage,
        accuracy=confidence.accuracy,
        ood_limit=None if raised is None else fitted.parent.ood_threshold,
        doubts=(*(one.text for one in found), *_far_raised(fitted)),
        forced=any(one.refuses for one in found),
    )


def _far_raised(fitted: Fitted) -> Iterator[str]:
    """Yield a warning where the limit of the score had to be raised far: one film may have done it."""
    before, raised, used = fitted.parent.ood_threshold, fitted.raised_limit, fitted.used
    if before is not None and raised is not None and raised > FAR_RAISED * before:
        worst = max(zip(used.films, used.images, strict=True), key=lambda pair: pair[0].ood_score)[1]
        yield (
            f"the limit of the ood_score was raised from {before:.2f} to {raised:.2f}; the highest has "
            f"{worst.path.name}: look whether it is a frontal chest"
        )


def _alarm(fitted: Fitted, name: str) -> Alarm | None:
    """Return what the alarm compares with, a corner for each class of these films added.

    How often the old head was right in hospitals that were left out says nothing of this one.
    """
    reference = fitted.parent.alarm_reference
    if reference is None:
        return None
    used = fitted.used
    features = np.stack([film.features for film in used.films])
    if features.shape[1] != len(reference.basis):
        raise ModelError(f"{fitted.model.path}: its alarm is of features of another length; export it again")
    films = KnownFilms(
        features,
        [fitted.dataset.classes[label] for label in used.labels],
        [name] * len(used.films),
        [str(group) for group in used.groups],
    )
    return replace(extend_alarm(reference, films), accuracy=None).to_record()


def _rejection(parent: ModelManifest, raised: float | None) -> Rejection | None:
    """Return the parent's record; whom its limit rejected says nothing of another limit."""
    if raised is None or parent.rejection is None:
        return parent.rejection
    return replace(parent.rejection, rejected=None, expected=None)

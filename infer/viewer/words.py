"""What the window says of an answer, of the model, and when there is nothing to show. No Qt in here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from xray_infer.classes import UNCERTAIN
from xray_infer.classifier import Prediction
from xray_infer.model.manifest import ModelManifest
from xray_infer.model.manifest_parts import Adaptation, Interval, SplitResult
from xray_infer.run.results import NO_LUNGS, NO_LUNGS_NOTICE, OK, REJECTED, Rules

WELCOME: Final = (
    "Drop chest X-rays or a folder here.\n"
    "Ctrl+O opens images, Ctrl+Shift+O a folder.\n"
    "JPEG, PNG, TIFF, WebP, BMP, DICOM, zip and tar archives.\n"
    "F1 shows the keys."
)
WAITING: Final = "waiting"
UNREAD: Final = "could not be read"
NOT_CLASSIFIED: Final = "not classified"
MODEL_LOADING: Final = "The model is being loaded."
NO_HEAT_MAP: Final = "There is no heat map without an answer."
NO_HEAT_MAP_TO_SAVE: Final = "there is no heat map to save: this film has no answer"
NO_ROW_TO_SAVE: Final = "there is no row to save: this film has no answer yet"
NO_ROWS_TO_SAVE: Final = "there are no rows to save yet"
NO_MORE_UNANSWERED: Final = "no more films without an answer in this direction"
COMPRESSED_ARCHIVE: Final = (
    "a compressed tar archive cannot be shown, because all its images would have to stay in memory; "
    "unpack it first, or classify it with xray-infer"
)


def label_of(prediction: Prediction | None) -> str:
    """Return an answer in one or a few words."""
    if prediction is None:
        return WAITING
    if prediction.status == OK:
        return prediction.label
    return NOT_CLASSIFIED if prediction.status == REJECTED else UNREAD


def detail_of(prediction: Prediction | None) -> str:
    """Return the list's second line on an answer: the confidence, or the reason why there is none."""
    if prediction is None:
        return ""
    if prediction.confidence is None:
        return prediction.reason
    confidence = f"{prediction.confidence:.1%}"
    return f"{prediction.raw_label} {confidence}" if prediction.label == UNCERTAIN else confidence


def confidence_of(prediction: Prediction, manifest: ModelManifest) -> str:
    """Return the confidence, and how it was calibrated."""
    if prediction.confidence is None:
        return ""
    return f"Confidence {prediction.confidence:.1%}, {_calibration(manifest)}"


def _calibration(manifest: ModelManifest) -> str:
    left_out, validation = manifest.confidence, manifest.training.validation
    temperature = f"temperature {manifest.temperature:.2f}"
    if left_out is not None:
        return f"{temperature}, fitted to {left_out.images:,} images of domains left out"
    if validation is None or validation.images is None:  # the file does not say on what it was fitted
        return temperature
    return f"calibrated on {validation.images:,} validation images ({temperature})"


def verdict_of(prediction: Prediction, rules: Rules) -> str:
    """Return whether the image is like the training images, whether the answer is uncertain, and of what.

    Of the whole picture, where the model asks for lungs and none were found.
    """
    score, limit = prediction.ood_score, rules.ood_threshold
    parts = []
    if prediction.status != OK:
        parts.append(refusal_of(prediction.status, prediction.reason))
    elif score is None:
        parts.append("This model cannot tell whether an image is like its training images.")
    elif limit is None or limit == float("inf"):
        parts.append(
            f"Not compared with the training images: out-of-distribution score {score:.2f}, no limit is set."
        )
    else:
        parts.append(f"Like the training images: out-of-distribution score {score:.2f}, limit {limit:.2f}.")
    if prediction.label == UNCERTAIN:
        parts.append(f"Uncertain: {prediction.reason}.")
    if prediction.status == OK and prediction.row.lungs == NO_LUNGS:
        parts.append(NO_LUNGS_NOTICE)
    return " ".join(parts)


def refusal_of(status: str, reason: str) -> str:
    """Return why there is no answer."""
    return f"{(NOT_CLASSIFIED if status == REJECTED else UNREAD).capitalize()}: {reason}."


def model_of(manifest: ModelManifest) -> Iterator[str]:
    """Yield the facts in a model file, one line each; a fact that the file does not state is left out."""
    yield f"{manifest.name} {manifest.version}, {manifest.recipe}, {manifest.format}"
    if manifest.training.test is not None:
        yield from _tested(manifest.training.test, manifest.class_names)
    if manifest.confidence is not None:
        yield (
            f"Networks trained without {len(manifest.confidence.domains)} of its domains were right on "
            f"{manifest.confidence.accuracy_of_all:.0%} of the images of these."
        )
    if manifest.adaptation is not None:
        yield from _adapted(manifest.adaptation)
    rejection = manifest.rejection
    if rejection is not None and rejection.training_images is not None:
        yield (
            f"Rejects images that are unlike its {rejection.training_images:,} training images; the limit is "
            f"set to reject {rejection.false_rejection:.0%} of X-rays that are like them."
        )


def _adapted(adaptation: Adaptation) -> Iterator[str]:
    ours = adaptation.balanced_accuracy
    yield (
        f"Its head was fitted to {sum(adaptation.films.values()):,} films of one place; the rest is "
        f"{adaptation.parent}. Right on {ours.value:.1%}{_between(ours.interval)} of each class, "
        "cross-validated."
    )
    yield from (f"{name.capitalize()}: {one.value:.1%}." for name, one in adaptation.beside.items())
    yield from (f"Against this was told: {doubt}." for doubt in adaptation.doubts)


def _tested(test: SplitResult, class_names: Sequence[str]) -> Iterator[str]:
    if test.images is None or test.accuracy is None:
        return
    yield f"Accuracy {test.accuracy:.1%}{_between(test.accuracy_interval)} on {test.images:,} test images."
    for name in class_names:
        found = test.classes.get(name)
        if found is not None and found.recall is not None:
            yield f"Sensitivity for {name}: {found.recall:.0%}{_between(found.recall_interval)}."
    yield "Tested on a part of its own data; expect lower accuracy on images from another hospital."


def precision_of(label: str, manifest: ModelManifest) -> str:
    """Return the precision of a label on the test images; empty if the model file does not state it."""
    test = manifest.training.test
    found = test.classes.get(label) if test is not None else None
    if test is None or not test.images or found is None or found.precision is None or found.support is None:
        return ""
    return (
        f"Of the test images that the model labelled {label}, {found.precision:.0%}"
        f"{_between(found.precision_interval)} were {label}; "
        f"{found.support / test.images:.0%} of all test images are {label}."
    )


def _between(ends: Interval | None) -> str:
    return f" (95% interval {100 * ends[0]:.0f} to {100 * ends[1]:.0f}%)" if ends is not None else ""

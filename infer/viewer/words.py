"""What the window says of an answer and of the model, in words. No Qt in here."""

from __future__ import annotations

from collections.abc import Iterator

from xray_infer.classes import CLASS_NAMES
from xray_infer.classifier import Prediction
from xray_infer.model.manifest import ModelManifest
from xray_infer.model.manifest_parts import Interval, SplitResult
from xray_infer.run.results import OK, REJECTED, UNCERTAIN, Rules

WAITING = "waiting"
UNREAD = "could not be read"
NOT_JUDGED = "not judged"


def label_of(prediction: Prediction | None) -> str:
    """Return the few words that stand for an answer."""
    if prediction is None:
        return WAITING
    if prediction.status == OK:
        return prediction.label
    return NOT_JUDGED if prediction.status == REJECTED else UNREAD


def detail_of(prediction: Prediction | None) -> str:
    """Return what stands below it in the list: the confidence, or the reason."""
    if prediction is None:
        return ""
    if prediction.confidence is None:
        return prediction.reason
    confidence = f"{prediction.confidence:.1%}"
    return f"{prediction.raw_label} {confidence}" if prediction.label == UNCERTAIN else confidence


def confidence_of(prediction: Prediction, manifest: ModelManifest) -> str:
    """Return the confidence and what it rests on."""
    if prediction.confidence is None:
        return ""
    return f"{prediction.confidence:.1%} confident, {_calibration(manifest)}"


def _calibration(manifest: ModelManifest) -> str:
    validation = manifest.training.validation
    temperature = f"temperature {manifest.temperature:.2f}"
    if (
        validation is None or validation.images is None
    ):  # the file does not say that, nor on what, it was fitted
        return temperature
    return f"calibrated on {validation.images:,} validation images ({temperature})"


def verdict_of(prediction: Prediction, rules: Rules) -> str:
    """Return whether the image is like those that the model knows."""
    if prediction.status != OK:
        return refusal_of(prediction.status, prediction.reason)
    score, limit = prediction.ood_score, rules.ood_threshold
    parts = []
    if score is None:
        parts.append("This model cannot tell whether an image is like its training images.")
    elif limit is None or limit == float("inf"):
        parts.append(
            f"Not held against the training images: out-of-distribution score {score:.2f}, no limit."
        )
    else:
        parts.append(f"Like the training images: out-of-distribution score {score:.2f}, limit {limit:.2f}.")
    if prediction.label == UNCERTAIN:
        parts.append(f"Uncertain: {prediction.reason}.")
    return " ".join(parts)


def refusal_of(status: str, reason: str) -> str:
    """Return why there is no answer."""
    return f"{(NOT_JUDGED if status == REJECTED else UNREAD).capitalize()}: {reason}."


def model_of(manifest: ModelManifest) -> Iterator[str]:
    """Yield what is known of a model, a line a fact; what its file does not say is left out."""
    yield f"{manifest.name} {manifest.version}, {manifest.recipe}, {manifest.format}"
    if manifest.training.test is not None:
        yield from _tested(manifest.training.test)
    rejection = manifest.rejection
    if rejection is not None and rejection.training_images is not None:
        yield (
            f"Rejects what is unlike its {rejection.training_images:,} training images; set to reject "
            f"{rejection.false_rejection:.0%} of X-rays like them."
        )


def _tested(test: SplitResult) -> Iterator[str]:
    if test.images is None or test.accuracy is None:
        return
    yield f"Right on {test.accuracy:.1%}{_between(test.accuracy_interval)} of {test.images:,} test images."
    for name in CLASS_NAMES:
        found = test.classes.get(name)
        if found is not None and found.recall is not None:
            yield f"Finds {found.recall:.0%}{_between(found.recall_interval)} of {name}."
    yield "Tested on a part of its own data; from another hospital expect less."


def said_before(label: str, manifest: ModelManifest) -> str:
    """Return how often the model was right on the test images when it said this; empty if it is not known."""
    test = manifest.training.test
    found = test.classes.get(label) if test is not None else None
    if test is None or not test.images or found is None or found.precision is None or found.support is None:
        return ""
    return (
        f"On its test images, {found.support / test.images:.0%} of them {label}, it was right in "
        f"{found.precision:.0%}{_between(found.precision_interval)} of those that it called {label}."
    )


def _between(ends: Interval | None) -> str:
    return f" (95% interval {100 * ends[0]:.0f} to {100 * ends[1]:.0f}%)" if ends is not None else ""

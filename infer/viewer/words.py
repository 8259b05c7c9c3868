"""What the window says of an answer and of the model, in words. No Qt in here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xray_infer.classes import CLASS_NAMES
from xray_infer.classifier import Prediction
from xray_infer.model.manifest import ModelManifest
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
    images = _number(manifest.training, "validation", "images")
    temperature = f"temperature {manifest.temperature:.2f}"
    if images is None:  # the file does not say that, nor on what, it was fitted
        return temperature
    return f"calibrated on {images:,.0f} validation images ({temperature})"


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
    yield from _tested(manifest.training)
    images = _number(manifest.rejection, "training_images")
    rate = _number(manifest.rejection, "false_rejection")
    if images is not None and rate is not None:
        yield (
            f"Rejects what is unlike its {images:,.0f} training images; set to reject {rate:.0%} of X-rays "
            "like them."
        )


def _tested(training: Mapping[str, Any]) -> Iterator[str]:
    images, accuracy = _number(training, "test", "images"), _number(training, "test", "accuracy")
    if images is None or accuracy is None:
        return
    interval = _interval(training, "test", "accuracy_interval")
    yield f"Right on {accuracy:.1%}{interval} of {images:,.0f} test images."
    for name in CLASS_NAMES:
        of_class = ("test", "classes", name)
        recall = _number(training, *of_class, "recall")
        if recall is not None:
            yield f"Finds {recall:.0%}{_interval(training, *of_class, 'recall_interval')} of {name}."
    yield "Tested on a part of its own data; from another hospital expect less."


def said_before(label: str, manifest: ModelManifest) -> str:
    """Return how often the model was right on the test images when it said this; empty if it is not known."""
    training, of_class = manifest.training, ("test", "classes", label)
    precision, support = (_number(training, *of_class, name) for name in ("precision", "support"))
    images = _number(training, "test", "images")
    if precision is None or support is None or not images:
        return ""
    return (
        f"On its test images, {support / images:.0%} of them {label}, it was right in {precision:.0%}"
        f"{_interval(training, *of_class, 'precision_interval')} of those that it called {label}."
    )


def _interval(record: Mapping[str, Any], *names: str) -> str:
    ends = _found(record, *names)
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        return ""
    return f" (95% interval {100 * ends[0]:.0f} to {100 * ends[1]:.0f}%)"


def _number(record: Mapping[str, Any], *names: str) -> float | None:
    found = _found(record, *names)
    return float(found) if isinstance(found, int | float) else None


def _found(record: Mapping[str, Any], *names: str) -> Any:
    """Return what stands under these names, one within the other; None where the file does not have it."""
    found: Any = record
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found

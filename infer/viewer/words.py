"""What the window says of an answer and of the model, in words. No Qt in here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xray_infer.classes import CLASS_NAMES
from xray_infer.classifier import Prediction
from xray_infer.manifest import ModelManifest
from xray_infer.results import OK, REJECTED, UNCERTAIN, Rules

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
    test = manifest.training.get("test")
    if isinstance(test, Mapping):
        yield from _tested(test)
    images = _number(manifest.rejection, "training_images")
    rate = _number(manifest.rejection, "false_rejection")
    if images is not None and rate is not None:
        yield (
            f"Rejects what is unlike its {images:,.0f} training images; set to reject {rate:.0%} of X-rays "
            "like them."
        )


def _tested(test: Mapping[str, Any]) -> Iterator[str]:
    images, accuracy = _number(test, "images"), _number(test, "accuracy")
    if images is not None and accuracy is not None:
        yield f"Right on {accuracy:.1%}{_interval(test, 'accuracy_interval')} of {images:,.0f} test images."
    for name in CLASS_NAMES:
        found = test.get("classes", {}).get(name)
        recall = None if found is None else _number(found, "recall")
        if found is not None and recall is not None:
            yield f"Finds {recall:.0%}{_interval(found, 'recall_interval')} of {name}."
    yield "Tested on a part of its own data; from another hospital expect less."


def said_before(label: str, manifest: ModelManifest) -> str:
    """Return how often the model was right on the test images when it said this; empty if it is not known."""
    test = manifest.training.get("test")
    found = test.get("classes", {}).get(label) if isinstance(test, Mapping) else None
    if found is None:
        return ""
    precision, support, images = (
        _number(found, "precision"),
        _number(found, "support"),
        _number(test, "images"),
    )
    if precision is None or support is None or not images:
        return ""
    return (
        f"On its test images, {support / images:.0%} of them {label}, it was right in {precision:.0%}"
        f"{_interval(found, 'precision_interval')} of those that it called {label}."
    )


def _interval(record: Mapping[str, Any], name: str) -> str:
    ends = record.get(name)
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        return ""
    return f" (95% interval {100 * ends[0]:.0f} to {100 * ends[1]:.0f}%)"


def _number(record: Mapping[str, Any], *names: str) -> float | None:
    """Return a number of a record within records; None where the file does not have it."""
    found: Any = record
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, int | float) else None

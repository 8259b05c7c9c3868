"""What a confidence is worth in a hospital that a network has not seen, and from where on to say a label.

A network is surest where it has been trained. A temperature that is fitted on images of its own hospitals
says nothing of another one, so here it is fitted on the answers to left-out domains, each by a network that
was trained without it, all domains alike. So is the limit below which a label is better not said: selective
classification (El-Yaniv and Wiener 2010).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import DataError
from xray_infer.images.preprocess import Preprocessing
from xray_infer.model.json_records import JsonError, from_json, json_object, load_object
from xray_infer.model.manifest_parts import Confidence, LeftOutAccuracy
from xray_infer.study.bootstrap import Floats, calibration_error
from xray_infer.study.domains import FULL_VOICE, DomainAnswers, MethodLeftOut
from xray_infer.study.metrics import softmax
from xray_infer.study.temperature import fit_temperature

RIGHT: Final = 0.8  # of the labels that are said, in the mean of the domains
LEAST_SAID: Final = 0.3  # of the images; a limit that silences more is of no use


def fit_confidence(answers: Sequence[DomainAnswers], *, temperature: float | None = None) -> Confidence:
    """Fit temperature, unless it is given, and limit to the answers to one domain or more.

    Of the limits the lowest is taken with which the labels that are said are right in RIGHT of the images.
    A domain of fewer than FULL_VOICE images weighs in proportion. Raises ValueError without any answer.
    """
    if not answers:
        raise ValueError("no domain was left out")
    logits = np.concatenate([one.logits for one in answers])
    labels = np.concatenate([one.labels for one in answers])
    weights = np.concatenate(
        [np.full(len(one.labels), 1 / max(FULL_VOICE, len(one.labels))) for one in answers]
    )
    weights /= weights.sum()
    if temperature is None:
        temperature = fit_temperature(logits, labels, weights)
    probabilities = softmax(logits, temperature)
    confidences = probabilities.max(axis=1)
    hits = probabilities.argmax(axis=1) == labels
    limit = _lowest_limit(confidences, hits, weights)
    said = confidences >= (limit or 0.0)
    return Confidence(
        temperature=temperature,
        limit=limit,
        coverage=float(weights[said].sum()),
        accuracy=float(weights[said & hits].sum() / weights[said].sum()),
        accuracy_of_all=float(weights[hits].sum()),
        calibration_error=float(calibration_error(weights[None], labels, probabilities)[0]),
        images=len(labels),
        domains=tuple(one.domain for one in answers),
    )


def _lowest_limit(confidences: Floats, hits: NDArray[np.bool_], weights: Floats) -> float | None:
    """Return the lowest limit, of hundredths, from which labels are right often enough; None for none."""
    for limit in np.arange(100) / 100:
        said = confidences >= limit
        coverage = weights[said].sum()
        if coverage < LEAST_SAID:
            return None
        if weights[said & hits].sum() >= RIGHT * coverage:
            return float(limit)
    return None


def read_confidence(
    path: Path, *, method: str, trained: Mapping[str, Any], preprocessing: Preprocessing
) -> Confidence:
    """Read a method's confidence from the evidence.json of `xray-train evidence`.

    `trained` is the training record of the network that is to have it. Raises DataError when there is none,
    and when the networks of the evidence were trained on other data, inputs or weights, or in another way.
    """
    try:
        stored = load_object(path)
        methods = json_object(stored.get("confidence", {}))
        if method not in methods:
            raise DataError(
                f"{path}: no domain was left out for {method}; run xray-train evidence with --parts domains"
            )
        found = from_json(Confidence, methods[method], where=f"confidence.{method}")
        if found.temperature <= 0 or not 0 <= (found.limit or 0) <= 1:
            raise JsonError(f"confidence.{method} has a temperature or a limit that cannot be")
        folds = [json_object(fold) for fold in json_object(stored.get("folds")).values()]
        record = next((json_object(fold[method]) for fold in folds if method in fold), None)
        if record is None:
            raise JsonError(f"no fold holds the record of {method}")
        inputs = json_object(stored.get("preprocessing"))
    except OSError as error:
        raise DataError(f"{path}: cannot read the evidence: {error.strerror}") from error
    except JsonError as error:
        raise DataError(f"{path}: the evidence is damaged: {error}") from error
    compared = {
        "data": (stored.get("data_sha256"), trained.get("data_sha256")),
        "inputs": (dict(inputs), asdict(preprocessing)),
        **{name: (record.get(name), trained.get(name)) for name in ("backbone_sha256", "region", "schedule")},
    }
    different = ", ".join(name for name, (theirs, ours) in compared.items() if theirs != ours)
    if different:
        raise DataError(f"{path}: is of networks that differ from the model in {different}")
    return found


def read_left_out_accuracy(path: Path, *, method: str) -> LeftOutAccuracy | None:
    """Read how often a method is right in the domains that its mean is of, each left out and weighed alike.

    The interval holds those of all these domains: a new one may be as hard as the hardest of them. None where
    no domain with two classes was left out. Raises DataError for what is no evidence.json.
    """
    try:
        stored = load_object(path)
        methods = json_object(json_object(stored.get("leave_one_domain_out", {})).get("methods", {}))
        found = from_json(MethodLeftOut, methods[method]) if method in methods else None
    except OSError as error:
        raise DataError(f"{path}: cannot read the evidence: {error.strerror}") from error
    except JsonError as error:
        raise DataError(f"{path}: the evidence is damaged: {error}") from error
    if found is None or found.mean is None:
        return None
    kept = [one.accuracy for one in found.domains if one.domain in found.mean.domains]
    lows, highs = zip(*(one.interval for one in kept), strict=True)
    return LeftOutAccuracy(float(np.mean([one.value for one in kept])), (min(lows), max(highs)))

"""How much of an accuracy may not be of the lungs: a source probe, guesses without lungs, other trainings.

The probe (Alain and Bengio 2016) is linear and reads the pooled features. A network whose features name the
hospital can name the class by it wherever each class has its own hospitals. Inside one class the disease
can't give the source away, so what the probe finds there is the source itself. The guesses are those of
`xray-train yardsticks`. `xray-train evidence` trains with other seeds, a split that leaks, and on regions
alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.atomic import write_atomically
from xray_infer.benchmarks.model_rows import KERAS, ModelRow
from xray_infer.benchmarks.results_file import PartStore
from xray_infer.benchmarks.results_schema import Guess, SourceProbe, Trained
from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError, MissingExtraError, extra_for
from xray_infer.model.json_records import from_json
from xray_infer.model.manifest import METHODS
from xray_infer.study.class_choice import listed
from xray_infer.study.datasets import SPLITS, LabelledImage, read_dataset, read_input
from xray_infer.study.domains import LeaveOneDomainOut
from xray_infer.terminal import Report
from xray_infer.train.data.yardsticks import yardsticks

STRENGTHS: Final = (0.001, 0.01, 0.1, 1.0)  # of regularisation, scikit-learn's C
LEAST: Final = 5  # test images of a source for it to count inside a class
BATCH: Final = 32


def probe_sources(
    rows: Sequence[ModelRow], data: Path, parts: PartStore, report: Report
) -> list[SourceProbe]:
    """Probe each .keras row's features, and say so where there is none: no other file gives them out."""
    keras_rows = [row for row in rows if row.key.format == KERAS]
    if not keras_rows:
        report("no source probe: the pooled features need a .keras file among --models")
        return []
    classes = keras_rows[0].model.class_names
    dataset = read_dataset(data, classes=classes)
    if len({image.source for image in dataset.split("train")} - {""}) < 2:
        report(f"no source probe: {data} names no two sources of training images")
        return []
    images = [image for split in SPLITS for image in dataset.split(split)]
    found = []
    for row in keras_rows:

        def measure(row: ModelRow = row) -> SourceProbe:
            report(f"source probe: {row.key.method}")
            path = parts.folder / f"features_{row.key.method}.npy"
            if not path.exists():
                features = pooled_features(row, images)
                write_atomically(path, lambda temporary: np.save(temporary, features))
            return probe(row.key.method, np.load(path), images, classes)

        found.append(parts.get(f"probe/{row.key.method}", SourceProbe, measure))
    return found


def pooled_features(row: ModelRow, images: Sequence[LabelledImage]) -> NDArray[np.float32]:
    """Return what the network's head sees of each image, float32 [N, 1024]."""
    with extra_for("the source probe", "train"):
        import keras
    model: Any = keras.saving.load_model(row.path, compile=False)
    trunk = keras.Model(model.input, model.layers[-1].input)
    read = partial(read_input, preprocessing=row.model.preprocessing)
    batches = [
        trunk.predict_on_batch(np.stack([read(image) for image in images[start : start + BATCH]]))
        for start in range(0, len(images), BATCH)
    ]
    return np.concatenate(batches).astype(np.float32)


def probe(
    method: str,
    features: NDArray[np.float32],
    images: Sequence[LabelledImage],
    classes: Sequence[str],
) -> SourceProbe:
    """Fit the probe on training images, choose its strength on validation ones, and try it on test images."""
    sources = np.array([image.source for image in images])
    splits = np.array([image.split for image in images])
    labels = np.array([image.label for image in images])
    known = sources != ""
    truth, predicted, strength = _fit(features[known], sources[known], splits[known])
    within = {}
    for label, name in enumerate(classes):
        kept = known & (labels == label)
        tested = sources[kept & (splits == "test")]
        common = [source for source in sorted({*tested}) if (tested == source).sum() >= LEAST]
        if len(common) < 2:
            continue
        kept &= np.isin(sources, common)
        inside, guessed, _ = _fit(features[kept], sources[kept], splits[kept])
        majority = max((inside == source).mean() for source in common)
        within[name] = (float((inside == guessed).mean()), float(majority), len(inside))
    return SourceProbe(
        method=method,
        features=f"{features.shape[1]} pooled features",
        classifier=f"logistic regression, features standardised, C = {strength:g} by validation accuracy",
        sources=sorted({*truth.tolist(), *predicted.tolist()}),
        truth=truth.tolist(),
        predicted=predicted.tolist(),
        within_class=within,
    )


def _fit(
    features: NDArray[np.float32], sources: NDArray[np.str_], splits: NDArray[np.str_]
) -> tuple[NDArray[np.str_], NDArray[np.str_], float]:
    """Return true and predicted sources of the test images, and the strength that was chosen."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, val, test = (splits == name for name in SPLITS)
    fitted = {}
    for strength in STRENGTHS:
        one = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        one.fit(features[train], sources[train])
        accuracy = one.score(features[val], sources[val]) if val.any() else 0.0
        fitted[strength] = (accuracy, one)
    strength = max(fitted, key=lambda one: fitted[one][0])
    return sources[test], fitted[strength][1].predict(features[test]), strength


def measure_guesses(data: Path, classes: Sequence[str], *, report: Report) -> list[Guess]:
    """Measure the yardsticks; none, and a line that says why, where that cannot be done."""
    try:
        found = yardsticks(read_dataset(data, classes=classes), report=report)
    except (DataError, MissingExtraError) as error:
        report(f"no yardsticks: {error}")
        return []
    return [Guess(one.name, one.test.images, round(one.test.accuracy * one.test.images)) for one in found]


EVIDENCE_FILE: Final = "evidence.json"
# Beginnings of the runs' names.
KINDS: Final = {"group": "group-", "random": "random-", "border": "border", "centre": "centre"}


def read_evidence(path: Path, classes: Sequence[str]) -> Trained:
    """Read evidence.json, or that of a folder, of networks with these classes. Raises DataError."""
    if path.is_dir():
        path = path / EVIDENCE_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        names = from_json(tuple[str, ...], found.get("class_names", CLASS_NAMES))
        kept = found.get("leave_one_domain_out")
        left_out = None if kept is None else from_json(LeaveOneDomainOut, kept)
        accuracies = {
            kind: {
                method: [
                    float(records[method]["test"]["accuracy"])
                    for name, records in found["runs"].items()
                    if name.startswith(beginning) and method in records
                ]
                for method in METHODS
            }
            for kind, beginning in KINDS.items()
        }
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; xray-train evidence writes it") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: is no evidence.json of xray-train evidence") from error
    if set(names) != set(classes):
        raise DataError(f"{path}: is of the classes {listed(names)}; the models have {listed(classes)}")
    return Trained(accuracies, left_out)

"""The alarm's reference in an exported file, fitted on training images that went through this very file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xray_infer.atomic import staged
from xray_infer.errors import DataError, ModelError
from xray_infer.export.calibration import CALIBRATION_SPLIT, check_same_data
from xray_infer.export.converted import EMBED
from xray_infer.export.rejection import features_by
from xray_infer.host import default_workers
from xray_infer.model.alarm_fitting import KnownFilms, fit_alarm
from xray_infer.model.manifest import FEATURES_NAME, ModelManifest
from xray_infer.model.manifest_parts import LeftOutAccuracy
from xray_infer.model.runtimes import Session, find_model
from xray_infer.study.confidence import read_left_out_accuracy
from xray_infer.study.datasets import LabelledImage, read_dataset, split_images
from xray_infer.terminal import Report


def add_alarm(
    graph: bytes,
    manifest: ModelManifest,
    images: Sequence[LabelledImage],
    *,
    accuracy: LeftOutAccuracy | None,
    report: Report,
) -> ModelManifest:
    """Return the manifest with the reference of training images; without one where they are too few."""
    report(f"  learning what the training hospitals look like from {len(images)} training images")
    with tempfile.TemporaryDirectory(prefix="xray-export-") as folder:
        path = Path(folder, f"features.{manifest.format}")
        path.write_bytes(EMBED[manifest.format](graph, manifest))
        films = known_films(images, pooled_features(images, path), manifest)
    try:
        return replace(manifest, alarm=fit_alarm(films, accuracy=accuracy).to_record())
    except DataError as error:
        report(f"  no alarm for strange folders: {error}")
        return replace(manifest, alarm=None)


def alarm(path: Path, data: Path, *, out: Path, evidence: Path | None, report: Report) -> str:
    """Give an exported file the reference, write it to `out`, and return a line on it for a person.

    `evidence` is the evidence.json that knows how often the model is right in domains that were left out.
    Raises ModelError for a file without the output `features`, DataError for data that is not its own or too
    little.
    """
    manifest = find_model(path).manifest()
    if FEATURES_NAME not in manifest.output_names:
        raise ModelError(f"{path}: has no output {FEATURES_NAME}; export the model again")
    dataset = read_dataset(data)
    check_same_data(dataset, manifest.training, data=data, model=path)
    images = split_images(dataset, CALIBRATION_SPLIT, use="which the alarm is fitted on")
    films = known_films(images, pooled_features(images, path), manifest)
    accuracy = None if evidence is None else read_left_out_accuracy(evidence, method=manifest.method)
    report(f"fitting the alarm on {len(images)} training images")
    reference = fit_alarm(films, accuracy=accuracy)
    with staged(out) as temporary:
        given = replace(manifest, alarm=reference.to_record())
        temporary.write_bytes(EMBED[manifest.format](path.read_bytes(), given))
        find_model(temporary).open()
    return f"{out}: knows {len(reference.names)} corners: {'; '.join(reference.names)}"


def known_films(
    images: Sequence[LabelledImage], features: NDArray[np.float32], manifest: ModelManifest
) -> KnownFilms:
    """Return labelled images with their features [N, D], as the alarm is fitted on them."""
    return KnownFilms(
        features,
        [manifest.class_names[image.label] for image in images],
        [image.domain for image in images],
        [image.group or image.patient or image.digest for image in images],
    )


def pooled_features(images: Sequence[LabelledImage], path: Path) -> NDArray[np.float32]:
    """Return the features of images, float32 [N, D]. Raises DataError, and ModelError for a file without."""
    sessions = find_model(path).open_many(default_workers())
    if FEATURES_NAME not in sessions[0].manifest.output_names:
        raise ModelError(f"{path}: has no output {FEATURES_NAME}; export the model again")
    runs = [partial(_features, session) for session in sessions]
    return features_by(runs, images, sessions[0].manifest.preprocessing)


def _features(session: Session, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    found = session.run(pixels[None]).features
    assert found is not None  # its manifest has them
    return np.asarray(found[0])

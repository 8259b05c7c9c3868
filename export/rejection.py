"""An exported file that knows what is like its training images: the output `ood_score` and its threshold.

The score is fitted on training images, its threshold set on validation images, both run through the very
file: int8 features are not those of the float network. Test images, and the other runtimes, only report.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.atomic import staged
from xray_infer.errors import ModelError, ParityError
from xray_infer.export.calibration import (
    CALIBRATION_SPLIT,
    CHOICE_SPLIT,
    GATE_SPLIT,
    ImageStream,
    check_same_data,
    draw,
)
from xray_infer.export.converted import EMBED
from xray_infer.export.familiarity import (
    Familiarity,
    Features,
    Scorer,
    fit_familiarity,
)
from xray_infer.host import default_workers
from xray_infer.images.preprocess import Preprocessing
from xray_infer.model.manifest import CONFIDENCE_NAME, OUTPUTS, SCORE_NAME, ModelManifest
from xray_infer.model.manifest_parts import RejectedCount, Rejection
from xray_infer.model.runtimes import Session, find_model
from xray_infer.study.conformal import set_limit
from xray_infer.study.datasets import Dataset, LabelledImage, read_dataset, read_input
from xray_infer.study.parity import WITHOUT_XNNPACK, sessions
from xray_infer.terminal import Report

# By format: the module and the class of its Scorer. Each loads the libraries of its format.
SCORERS: Final = {
    "onnx": ("xray_infer.export.score_onnx", "OnnxScorer"),
    "tflite": ("xray_infer.export.score_tflite", "TfliteScorer"),
}
FALSE_REJECTION: Final = 0.01
# A file on reference kernels takes seconds an image.
MOST_IMAGES: Final = dict.fromkeys(WITHOUT_XNNPACK, 500)
# By float operators that a runtime fuses otherwise; int8 that is computed otherwise moves answers further.
LARGEST_CHANGE: Final = 1e-5
LARGEST_ERROR: Final = 0.01  # of a score; float32 leaves 1e-4


@dataclass(frozen=True, slots=True)
class SplitImages:
    """The images that fit the score, that set its threshold, and that report on it."""

    train: ImageStream
    validation: ImageStream
    test: ImageStream


def draw_splits(dataset: Dataset, preprocessing: Preprocessing, *, recipe: str, seed: int = 0) -> SplitImages:
    """Take all images of the data, or what a slow recipe allows. Raises DataError for an empty split."""
    count = MOST_IMAGES.get(recipe, len(dataset.images))
    splits = (CALIBRATION_SPLIT, CHOICE_SPLIT, GATE_SPLIT)
    return SplitImages(
        *(draw(dataset, split, count=count, seed=seed, preprocessing=preprocessing) for split in splits)
    )


def add_rejection(
    graph: bytes, manifest: ModelManifest, images: SplitImages, *, false_rejection: float, report: Report
) -> tuple[bytes, ModelManifest]:
    """Return a file's bytes with the score computed, and the manifest for it, which is not in it yet.

    A manifest in `graph` is left out. Raises ModelError for a graph whose features are not found, and
    ParityError when the file does not compute the score that was fitted.
    """
    scorer = open_scorer(graph, manifest.format)
    report(f"  learning what is familiar from {len(images.train)} training images")
    familiarity = fit_familiarity(collect_features(scorer, images.train))
    scored = scorer.with_score(familiarity)
    kept = {name: limit for name, limit in manifest.thresholds.items() if name == CONFIDENCE_NAME}
    limits = {**kept, SCORE_NAME: 0.0}
    outputs = (*OUTPUTS[manifest.schema_version], SCORE_NAME)
    draft = replace(manifest, output_names=outputs, thresholds=limits)
    rates: dict[str, dict[str, RejectedCount]] = {}
    with tempfile.TemporaryDirectory(prefix="xray-export-") as folder:
        path = Path(folder, f"scored.{manifest.format}")
        path.write_bytes(EMBED[manifest.format](scored, draft))
        for runtime, session in sessions(find_model(path), manifest.recipe):
            validation = scores(session, images.validation)
            if not rates:  # the runtime that users get first
                _check(validation, scorer, familiarity, images.validation)
                limit = set_limit(validation, false_rejection=false_rejection)
            rates[runtime] = {
                CHOICE_SPLIT: _rejected(validation, limit.value),
                GATE_SPLIT: _rejected(scores(session, images.test), limit.value),
            }
    if limit.expected > false_rejection:
        report(
            f"  {len(images.validation)} validation images are too few for a false-rejection rate of "
            f"{false_rejection:.3g}: the threshold is their highest score, about {limit.expected:.2g}"
        )
    record = Rejection(
        method="Mahalanobis distance in principal components, and the rest",
        layer=scorer.layer,
        features=len(familiarity.mean),
        components=len(familiarity.weights),
        training_images=len(images.train),
        training_sha256=images.train.digest,
        false_rejection=false_rejection,
        expected=limit.expected,
        rejected=rates,
    )
    return scored, replace(draft, thresholds={**limits, SCORE_NAME: limit.value}, rejection=record)


def reject(path: Path, data: Path, *, out: Path, false_rejection: float, report: Report) -> ModelManifest:
    """Give an exported file the score and write it to `out`; return its manifest.

    Nothing else changes: its answers are held against those before, in every runtime. Raises ModelError for a
    file that has the score, DataError for data that is not its own, ParityError when an answer changes.
    """
    manifest = find_model(path).open().manifest
    if SCORE_NAME in manifest.output_names:
        raise ModelError(f"{path}: has the output {SCORE_NAME} already; give the file as it was before")
    dataset = read_dataset(data, classes=manifest.class_names)
    check_same_data(dataset, manifest.training, data=data, model=path)
    images = draw_splits(dataset, manifest.preprocessing, recipe=manifest.recipe)
    graph, scored = add_rejection(
        path.read_bytes(), manifest, images, false_rejection=false_rejection, report=report
    )
    with staged(out) as temporary:
        temporary.write_bytes(EMBED[manifest.format](graph, scored))
        report("  comparing its answers with those before")
        both = zip(*(sessions(find_model(one), manifest.recipe) for one in (path, temporary)), strict=True)
        for (runtime, before), (_, after) in both:
            change = max(_change(before, after, image) for image in images.validation)
            if change > LARGEST_CHANGE:
                raise ParityError(f"{path}: with the score, {runtime} answers otherwise (by {change:.2g})")
    return scored


def summary(manifest: ModelManifest) -> str:
    """Return the threshold and whom it rejects, for a person."""
    record = manifest.rejection
    lines = [f"{SCORE_NAME} above {manifest.ood_threshold:.3f} is rejected"]
    if record is not None and record.expected is not None:
        lines[0] += f"; expected of X-rays like the data's: {record.expected:.1%}"
    for runtime, found in ((record and record.rejected) or {}).items():
        parts = (f"{one.rejected} of {one.images} {split} images" for split, one in found.items())
        lines.append(f"{runtime}: {', '.join(parts)}")
    return "\n".join(lines)


def open_scorer(graph: bytes, model_format: str) -> Scorer:
    """Find a file's features. Raises ModelError when its structure is not that of an exported DenseNet."""
    module, name = SCORERS[model_format]
    scorer: Scorer = getattr(importlib.import_module(module), name)(graph)
    return scorer


def collect_features(scorer: Scorer, images: ImageStream) -> NDArray[np.float32]:
    """Return the features of all images, float32 [N, D], in their order. Raises DataError."""
    runs = [scorer.open_features() for _ in range(default_workers())]
    return features_by(runs, images.images, images.preprocessing)


def features_by(
    runs: Sequence[Features], images: Sequence[LabelledImage], preprocessing: Preprocessing
) -> NDArray[np.float32]:
    """Return the features of images, float32 [N, D], in their order; each of `runs` is for one thread.

    Raises DataError.
    """
    idle: SimpleQueue[Features] = SimpleQueue()
    for one in runs:
        idle.put(one)

    def features(image: LabelledImage) -> NDArray[np.float32]:
        pixels, run = read_input(image, preprocessing), idle.get()
        try:
            return run(pixels)
        finally:
            idle.put(run)

    with ThreadPoolExecutor(len(runs)) as pool:
        return np.stack(list(pool.map(features, images)))


def scores(session: Session, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return the scores of images, float32 [N], of a file that computes them."""
    return np.concatenate([session.run(image[None]).ood_score for image in images])


def _check(
    found: NDArray[np.float32], scorer: Scorer, familiarity: Familiarity, images: Iterable[NDArray[np.uint8]]
) -> None:
    """Raise ParityError unless a file's scores are those that its features have."""
    run = scorer.open_features()
    expected = familiarity.score(np.stack([run(image) for image in images]))
    error = float((np.abs(found - expected) / np.maximum(expected, 1)).max())
    if not error < LARGEST_ERROR:
        raise ParityError(f"the file computes other scores than were fitted, off by {error:.2g}")


def _rejected(found: NDArray[np.float32], limit: float) -> RejectedCount:
    return RejectedCount(images=len(found), rejected=int(np.sum(found > limit)))


def _change(before: Session, after: Session, image: NDArray[np.uint8]) -> float:
    first, second = before.run(image[None]), after.run(image[None])
    answers = ((first.probabilities, second.probabilities), (first.cam, second.cam))
    return max(float(np.abs(one - other).max()) for one, other in answers)

"""What can be had without looking at lungs: the accuracies that a network has to beat.

A network that does not clearly beat them has learned nothing of lungs; one that does may still have
learned the source. All are fitted on the training split alone, with fixed settings, nothing tuned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import DataError, ImageError, extra_for
from xray_infer.host import default_workers
from xray_infer.images.decode import decode
from xray_infer.images.preprocess import to_input
from xray_infer.study.datasets import SPLITS, Dataset, LabelledImage, split_images
from xray_infer.study.intervals import Interval
from xray_infer.study.metrics import measure
from xray_infer.terminal import Report

FACTS: Final = (
    "width",
    "height",
    "aspect",
    "brightness",
    "contrast",
    "border_brightness",
    "black_share",
    "white_share",
    "sharpness",
    "bytes",
)
PIXELS_SIDE: Final = 20
BORDER: Final = 0.05  # of the shorter side
TREES: Final = 500


@dataclass(frozen=True, slots=True)
class Score:
    """Accuracy on one split with its 95 % Wilson interval; the fields are as in Metrics."""

    images: int
    accuracy: float
    accuracy_interval: Interval
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Yardstick:
    """One way to guess the class without lungs."""

    name: str
    val: Score
    test: Score

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def yardsticks(
    dataset: Dataset, *, seed: int = 0, report: Report = lambda line: None
) -> tuple[Yardstick, ...]:
    """Measure the commonest class, the source, the file's facts and 20 x 20 pixels, in this order.

    The source is left out where the training split does not state it. Raises DataError for an unreadable
    image or a split without images, MissingExtraError without scikit-learn.
    """
    with extra_for("the yardsticks", "train"):
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

    splits = {split: split_images(dataset, split, use="which the yardsticks need") for split in SPLITS}
    labels = {split: np.array([image.label for image in images]) for split, images in splits.items()}
    found = [_score("commonest class", labels, dataset.classes, _commonest(splits, by_source=False))]
    if any(image.source for image in splits["train"]):
        found.append(_score("source alone", labels, dataset.classes, _commonest(splits, by_source=True)))

    report(f"reading {len(dataset.images)} images")
    with ThreadPoolExecutor(default_workers()) as pool:  # OpenCV releases the GIL
        read = {split: list(pool.map(_features, images)) for split, images in splits.items()}
    forest = RandomForestClassifier(TREES, random_state=seed, n_jobs=-1)
    # C is inverse regularisation: 400 neighbouring pixels overlap in what they say.
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    for name, column, model in (
        (f"random forest on {len(FACTS)} facts of the file", 0, forest),
        (f"logistic regression on {PIXELS_SIDE}x{PIXELS_SIDE} pixels", 1, linear),
    ):
        features = {split: np.array([row[column] for row in rows]) for split, rows in read.items()}
        report(f"fitting: {name}")
        model.fit(features["train"], labels["train"])
        guesses = {split: model.predict(features[split]) for split in SPLITS}
        found.append(_score(name, labels, dataset.classes, guesses))
    return tuple(found)


def file_facts(data: bytes, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the FACTS of a file, `float64 [10]`, from its bytes and its gray pixels, `uint8 [H, W]`.

    Brightness and contrast (standard deviation) are 0..255, sharpness is the variance of the Laplacian
    (Pech-Pacheco et al. 2000), black is below 8 and white above 247.
    """
    height, width = pixels.shape
    edge = max(1, round(BORDER * min(height, width)))
    border = np.ones(pixels.shape, bool)
    border[edge:-edge, edge:-edge] = False
    return np.array(
        [
            width,
            height,
            width / height,
            pixels.mean(),
            pixels.std(),
            pixels[border].mean(),
            np.mean(pixels < 8),
            np.mean(pixels > 247),
            cv2.Laplacian(pixels, cv2.CV_32F).var(),
            len(data),
        ]
    )


def _features(image: LabelledImage) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    try:
        data = image.path.read_bytes()
        pixels = decode(data, side=0)
    except (OSError, ImageError) as error:
        raise DataError(f"{image.path}: {error}; remove it from the data") from error
    return file_facts(data, pixels), to_input(pixels, side=PIXELS_SIDE).ravel().astype(float)


def _commonest(
    splits: dict[str, tuple[LabelledImage, ...]], *, by_source: bool
) -> dict[str, NDArray[np.integer]]:
    """Name for each image the commonest training class: of its source, or of all where that is unknown."""
    every = Counter(image.label for image in splits["train"])
    counts: dict[str, Counter[int]] = {}
    if by_source:
        for image in splits["train"]:
            counts.setdefault(image.source, Counter())[image.label] += 1
    return {
        split: np.array([counts.get(image.source, every).most_common(1)[0][0] for image in images])
        for split, images in splits.items()
    }


def _score(
    name: str,
    labels: dict[str, NDArray[np.integer]],
    classes: Sequence[str],
    predicted: dict[str, NDArray[np.integer]],
) -> Yardstick:
    def score(split: str) -> Score:
        # One-hot, since `measure` takes probabilities.
        measured = measure(labels[split], np.eye(len(classes))[predicted[split]], classes)
        return Score(measured.images, measured.accuracy, measured.accuracy_interval, measured.confusion)

    return Yardstick(name, score("val"), score("test"))

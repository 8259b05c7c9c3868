"""Boxes of the lungs by Haar cascades, drawn once and kept in a CSV that a network is trained on.

The cascades, one for each lung, are those of the package lungs-finder (Apache-2.0). They are slow, and miss
or misplace a lung now and then; so each film is looked at four times, plain and equalised, as it is and
mirrored, and the CSV says how well the four boxes agree.

Columns: `file` as in the manifest; `left`, `top`, `right`, `bottom` as shares of width and height, empty
where nothing was found; `agreement`, the mean overlap (IoU) of the four boxes with this one, which is their
median; a view that found nothing counts as 0.
"""

from __future__ import annotations

import csv
import hashlib
import io
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.atomic import write_text
from xray_infer.errors import DataError, MissingExtraError
from xray_infer.host import default_workers
from xray_infer.terminal import Report
from xray_infer.train.lung_detector.lung_films import ListedFilm, read_gray

COLUMNS: Final = ("file", "left", "top", "right", "bottom", "agreement")
CLASSIFIER: Final = "CascadeClassifier"
SIDE: Final = 256  # of the longer edge, in pixels: the cascades' windows begin at a tenth of it
# Scale step and neighbours of the search: strict first, and lenient where that finds nothing.
SEARCHES: Final = ((1.1, 5), (1.05, 3))
# Where the middle of a lung may be, as a share of the width: the right lung is on the left of a film.
RIGHT_LUNG: Final = (0.0, 0.6)
LEFT_LUNG: Final = (0.4, 1.0)
# A lung that is not found is put beside the other one, at this many of its widths.
BESIDE: Final = 1.2
SMALLEST_WIDTH: Final = 0.3
SMALLEST_HEIGHT: Final = 0.25
PROGRESS_EVERY: Final = 250


@dataclass(frozen=True, slots=True)
class Marked:
    """One film's box as shares (left, top, right, bottom), None where nothing was found."""

    name: str
    edges: tuple[float, float, float, float] | None
    agreement: float


class Cascades:
    """Finds both lungs of a gray picture; a cascade serves one thread, so that each thread has its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._local = threading.local()

    def __call__(self, gray: NDArray[np.uint8]) -> tuple[NDArray[np.float64] | None, float]:
        """Return the median box of four views as shares, float [4], and their agreement."""
        scale = SIDE / max(gray.shape)
        height, width = (max(1, round(edge * scale)) for edge in gray.shape)
        small = np.asarray(cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        boxes = []
        for view in (small, np.asarray(cv2.equalizeHist(small), np.uint8)):
            boxes.append(self._both(view))
            box = self._both(np.ascontiguousarray(view[:, ::-1]))
            boxes.append(None if box is None else np.array([1 - box[2], box[1], 1 - box[0], box[3]]))
        found = [box for box in boxes if box is not None]
        if not found:
            return None, 0.0
        median = np.clip(np.median(found, axis=0), 0, 1)
        if median[2] - median[0] < SMALLEST_WIDTH or median[3] - median[1] < SMALLEST_HEIGHT:
            return None, 0.0
        return median, float(sum(overlap(box[None], median[None])[0] for box in found) / len(boxes))

    def _both(self, gray: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        if not hasattr(self._local, "pair"):
            names = ("right_lung_haar.xml", "left_lung_haar.xml")
            self._local.pair = [_classifier(self._folder / name) for name in names]
        right, left = (
            _largest(cascade, gray, where)
            for cascade, where in zip(self._local.pair, (RIGHT_LUNG, LEFT_LUNG), strict=True)
        )
        if right is None:
            if left is None:
                return None
            right = left - [BESIDE * (left[2] - left[0]), 0] * 2
        elif left is None:
            left = right + [BESIDE * (right[2] - right[0]), 0] * 2
        return np.concatenate([np.minimum(right, left)[:2], np.maximum(right, left)[2:]])


def _largest(cascade: Any, gray: NDArray[np.uint8], where: tuple[float, float]) -> NDArray[np.float64] | None:
    height, width = gray.shape
    for step, neighbours in SEARCHES:
        found = [tuple(map(int, one)) for one in cascade.detectMultiScale(gray, step, neighbours)]
        found = [one for one in found if where[0] <= (one[0] + one[2] / 2) / width <= where[1]]
        if found:
            x, y, w, h = max(found, key=lambda one: (one[2] * one[3], one))
            return np.array([x / width, y / height, (x + w) / width, (y + h) / height])
    return None


def _classifier(path: Path) -> Any:
    """Not by its name: OpenCV 5's stubs have none."""
    return getattr(cv2, CLASSIFIER)(str(path))


def load_cascades() -> Cascades:
    """Find lungs-finder's files. Raises MissingExtraError; DataError for an OpenCV without cascades."""
    if not hasattr(cv2, CLASSIFIER):
        raise DataError(
            f"OpenCV {cv2.__version__} has no Haar cascades ({CLASSIFIER}), 4.10 to 4.14 have: "
            "pip install 'opencv-python-headless<5'"
        )
    # Only looked for: importing it would draw in what its own search needs.
    spec = find_spec("lungs_finder")
    if spec is None or spec.origin is None:
        raise MissingExtraError("marking lungs", "lungs")
    return Cascades(Path(spec.origin).parent)


def mark(films: Sequence[ListedFilm], *, report: Report = lambda line: None) -> list[Marked]:
    """Look for the lungs of every film. Raises DataError for a film that cannot be read."""
    cascades = load_cascades()
    marked: list[Marked] = []
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # with more, a cascade's findings come in an order that changes, and so does a box
    try:
        with ThreadPoolExecutor(default_workers()) as pool:
            for film, (box, agreement) in zip(
                films, pool.map(lambda film: cascades(read_gray(film.path)[1]), films), strict=True
            ):
                edges = None
                if box is not None:
                    left, top, right, bottom = (round(float(edge), 4) for edge in box)
                    edges = (left, top, right, bottom)
                marked.append(Marked(film.name, edges, round(agreement, 4)))
                if len(marked) % PROGRESS_EVERY == 0 or len(marked) == len(films):
                    found = sum(one.edges is not None for one in marked)
                    report(f"{len(marked)} of {len(films)} films, lungs found in {found}")
    finally:
        cv2.setNumThreads(threads)
    return marked


def write_boxes(marked: Sequence[Marked], out: Path) -> None:
    """Write the CSV, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([one.name, *(one.edges or [""] * 4), one.agreement] for one in marked)
    write_text(out, text.getvalue())


def read_boxes(path: Path) -> tuple[dict[str, Marked], str]:
    """Read such a CSV: the boxes by `file`, and the file's SHA-256. Raises DataError."""
    try:
        content = path.read_bytes()
        boxes = {}
        for row in csv.DictReader(io.StringIO(content.decode("utf-8"), newline="")):
            left, top, right, bottom = (row[column] for column in COLUMNS[1:5])
            edges = (float(left), float(top), float(right), float(bottom)) if left else None
            boxes[row["file"]] = Marked(row["file"], edges, float(row["agreement"]))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV of boxes of `xray-train lungs mark`: {error}") from error
    return boxes, hashlib.sha256(content).hexdigest()


def overlap(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """Intersection over union of boxes, `[N, 4]` each, as `[N]`."""
    low, high = np.maximum(first[:, :2], second[:, :2]), np.minimum(first[:, 2:], second[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (first, second)]
    return np.asarray(common / np.maximum(areas[0] + areas[1] - common, 1e-12), dtype=np.float64)

"""Which images must stay in one split: copies, near-copies, one patient, one given group.

Joins reach across classes and sources, since a copy under another label leaks just the same. Near-copies
are found in two steps, on 64 x 64 thumbnails squeezed to a square (some publishers squeeze their copies):

1. Candidates: a DCT perceptual hash (Zauner 2010) of 144 bits. All pairs of 20,000 images are matrix
   products of a few seconds, and about 7 pairs in 10,000 of chest X-rays remain.
2. Proof: chest X-rays look alike, so a near hash proves nothing. The two are aligned (ECC, affine;
   Evangelidis and Psarakis 2008), which undoes crops and small rotations, and correlated in a fine band
   of frequencies with local contrast taken out.

Hash alone joins strangers, and correlation without alignment either misses crops or joins strangers too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import DataError, ImageError
from xray_infer.host import default_workers
from xray_infer.images.decode import decode
from xray_infer.images.preprocess import to_input
from xray_infer.study.datasets import Dataset, LabelledImage
from xray_infer.terminal import Report

SIDE: Final = 64
HASH_SIDE: Final = 12
# Of 144 bits. 99 % of crops by 3 % on every side stay within it; JPEG, scale and brightness change few.
MAX_DISTANCE: Final = 38
# Measured on 3,281 X-rays of known origin: different images reach 0.78, other images of the same patient
# 0.82, copies cropped by 3 % on every side, shrunk, darkened and recompressed stay above 0.87.
MIN_CORRELATION: Final = 0.84
MIN_OVERLAP: Final = 0.75
HASH_ROWS: Final = 512  # rows of the pair matrix at a time: 40 MB for 20,000 images
PAIRS_PER_TASK: Final = 128
ECC_CRITERIA: Final = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-3)

# How the second image of a pair is turned before it is compared with the first.
TURNS: Final[dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]]] = {
    "near": lambda thumbnails: thumbnails,
    "mirrored": lambda thumbnails: thumbnails[..., ::-1],
    "inverted": lambda thumbnails: 255 - thumbnails,
}


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two images of one picture, as positions in the data, `first` < `second`.

    `kind` is identical (the same bytes), near, mirrored or inverted; `correlation` is 0..1.
    """

    first: int
    second: int
    kind: str
    correlation: float


@dataclass(frozen=True, slots=True)
class Grouping:
    """The data with `group` filled in for every image, in the same order, and the pairs found in it."""

    dataset: Dataset
    pairs: tuple[DuplicatePair, ...]


def group_images(
    dataset: Dataset, *, patient_pattern: str | None = None, workers: int | None = None, report: Report
) -> Grouping:
    """Join the images that must not be divided over splits, and number the groups from g00000 on.

    Joined are copies and near-copies, images of one patient (`patient`, or the first group of
    `patient_pattern` in the file name) and images of one given `group`. Patient and group names are taken
    as unique over the whole data. Raises DataError for a bad pattern or an image that cannot be read.
    """
    images = with_patients(dataset.images, patient_pattern)
    pairs, unreadable = find_duplicates(images, workers=workers, report=report)
    if unreadable:
        path, reason = next(iter(unreadable.items()))
        others = f" (and {len(unreadable) - 1} more; xray-train inspect lists them)" * (len(unreadable) > 1)
        raise DataError(f"{path}: {reason}; remove it from the data{others}")
    numbers = join(len(images), [(first, second) for first, second, _ in links(images, pairs)])
    grouped = (replace(image, group=f"g{number:05d}") for image, number in zip(images, numbers, strict=True))
    return Grouping(replace(dataset, images=tuple(grouped)), pairs)


def with_patients(images: Sequence[LabelledImage], pattern: str | None) -> tuple[LabelledImage, ...]:
    """Fill in missing patients: the first group of a regular expression, searched in the file name.

    Raises DataError when the expression is faulty, has no group, or matches no file name at all.
    """
    if pattern is None or not images:
        return tuple(images)
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise DataError(f"--patient-pattern {pattern}: not a regular expression: {error}") from error
    if expression.groups == 0:
        raise DataError(f"--patient-pattern {pattern}: put the patient's part in brackets: '(p\\d+)_'")
    found = [expression.search(image.path.name) for image in images]
    if not any(found):
        raise DataError(f"--patient-pattern {pattern}: no file name matches, {images[0].path.name} neither")
    return tuple(
        replace(image, patient=image.patient or (match[1] or "") if match else image.patient)
        for image, match in zip(images, found, strict=True)
    )


def find_duplicates(
    images: Sequence[LabelledImage], *, workers: int | None = None, report: Report
) -> tuple[tuple[DuplicatePair, ...], dict[Path, str]]:
    """Return the pairs of copies and near-copies, and the images that cannot be read, with the reason.

    Of several identical files the first stands for all: each other one is paired with it alone.
    """
    firsts: dict[str, int] = {}
    pairs = []
    for position, image in enumerate(images):
        first = firsts.setdefault(image.digest, position)
        if first != position:
            pairs.append(DuplicatePair(first, position, "identical", 1.0))
    positions = list(firsts.values())
    report(f"reading {len(positions)} different files to find copies and near-copies")
    thumbnails = np.zeros((len(positions), SIDE, SIDE), np.uint8)
    unreadable: dict[Path, str] = {}
    with ThreadPoolExecutor(workers or default_workers()) as pool:
        loaded = pool.map(_thumbnail, [images[position].path for position in positions])
        for index, thumbnail in enumerate(loaded):
            if isinstance(thumbnail, str):
                unreadable[images[positions[index]].path] = thumbnail
            else:
                thumbnails[index] = thumbnail
        pairs += [
            DuplicatePair(positions[first], positions[second], kind, correlation)
            for first, second, kind, correlation in _near_pairs(thumbnails, pool, report)
        ]
    return tuple(sorted(pairs, key=lambda pair: (pair.first, pair.second))), unreadable


def links(images: Sequence[LabelledImage], pairs: Sequence[DuplicatePair]) -> list[tuple[int, int, str]]:
    """Return all reasons to keep two images together, as (position, position, reason).

    The reason is a pair's kind, `patient` or `group`; images of one patient are linked to the first.
    """
    found = [(pair.first, pair.second, pair.kind) for pair in pairs]
    firsts: dict[tuple[str, str], int] = {}
    for position, image in enumerate(images):
        for reason, name in (("patient", image.patient), ("group", image.group)):
            first = firsts.setdefault((reason, name), position) if name else position
            if first != position:
                found.append((first, position, reason))
    return found


def join(count: int, joins: Sequence[tuple[int, int]]) -> list[int]:
    """Number the connected sets of `count` positions, by first appearance (union-find)."""
    parents = list(range(count))

    def root(position: int) -> int:
        while parents[position] != position:
            parents[position] = parents[parents[position]]
            position = parents[position]
        return position

    for first, second in joins:
        parents[root(second)] = root(first)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(position), len(numbers)) for position in range(count)]


def _thumbnail(path: Path) -> NDArray[np.uint8] | str:
    try:
        return to_input(decode(path.read_bytes(), side=SIDE), side=SIDE)[..., 0]
    except ImageError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _near_pairs(
    thumbnails: NDArray[np.uint8], pool: ThreadPoolExecutor, report: Report
) -> list[tuple[int, int, str, float]]:
    codes = _codes(thumbnails)
    candidates = [
        (first, second, kind)
        for kind, turn in TURNS.items()
        for first, second in _candidates(codes, codes if kind == "near" else _codes(turn(thumbnails)))
    ]
    report(f"comparing the pixels of {len(candidates)} pairs whose hashes are close")

    def compare(task: list[tuple[int, int, str]]) -> list[float]:
        return [correlate(thumbnails[one], TURNS[kind](thumbnails[two])) for one, two, kind in task]

    tasks = [candidates[at : at + PAIRS_PER_TASK] for at in range(0, len(candidates), PAIRS_PER_TASK)]
    best: dict[tuple[int, int], tuple[str, float]] = {}
    correlations = (one for task in pool.map(compare, tasks) for one in task)
    for (first, second, kind), correlation in zip(candidates, correlations, strict=True):
        if correlation >= MIN_CORRELATION and correlation > best.get((first, second), ("", 0.0))[1]:
            best[first, second] = (kind, correlation)
    return [(*positions, *match) for positions, match in best.items()]


def _candidates(codes: NDArray[np.float32], turned: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Yield the pairs, first < second, whose codes of -1 and 1 differ in at most MAX_DISTANCE places."""
    for start in range(0, len(codes), HASH_ROWS):
        agreement = codes[start : start + HASH_ROWS] @ turned[start:].T
        rows, columns = np.nonzero(agreement >= HASH_SIDE**2 - 2 * MAX_DISTANCE)
        later = columns > rows
        yield from zip((rows[later] + start).tolist(), (columns[later] + start).tolist(), strict=True)


def _codes(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return each thumbnail's hash, -1 or 1, `float32 [N, 144]`: which low frequencies exceed the median."""
    codes = np.empty((len(thumbnails), HASH_SIDE**2), np.float32)
    for code, thumbnail in zip(codes, thumbnails, strict=True):
        low = cv2.dct(_band(thumbnail, 1.0, 4.0))[1 : HASH_SIDE + 1, 1 : HASH_SIDE + 1].ravel()
        code[:] = np.where(low > np.median(low), 1, -1)
    return codes


def correlate(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Align the second thumbnail, `uint8 [64, 64]`, with the first; return their correlation, -1..1."""
    one, two = _band(first, 0.5, 2.5), _band(second, 0.5, 2.5)
    warp: Any = np.eye(2, 3, dtype=np.float32)
    try:
        _, warp = cv2.findTransformECC(
            _band(first, 1.0, 4.0),
            _band(second, 1.0, 4.0),
            warp,
            cv2.MOTION_AFFINE,
            ECC_CRITERIA,
            np.ones((SIDE, SIDE), np.uint8),  # no mask
            3,  # a Gaussian of 3 pixels on both
        )
    except cv2.error:  # it does not converge, as on flat pictures: compare them as they lie
        return _correlation(one, two)
    size, inverse = (SIDE, SIDE), cv2.WARP_INVERSE_MAP
    moved: Any = cv2.warpAffine(two, warp, size, flags=cv2.INTER_LINEAR | inverse)
    inside = cv2.warpAffine(np.ones(size, np.uint8), warp, size, flags=cv2.INTER_NEAREST | inverse) > 0
    if np.mean(inside) < MIN_OVERLAP:
        return _correlation(one, two)
    return _correlation(one[inside], moved[inside])


def _correlation(one: NDArray[np.floating], two: NDArray[np.floating]) -> float:
    one, two = one - one.mean(), two - two.mean()
    return float((one * two).sum() / np.sqrt((one * one).sum() * (two * two).sum() + 1e-9))


def _band(thumbnail: NDArray[np.uint8], fine: float, coarse: float) -> NDArray[np.float32]:
    """Keep the structures between two Gaussian widths, in pixels, over their local strength."""
    pixels = thumbnail.astype(np.float32)
    band = cv2.GaussianBlur(pixels, (0, 0), fine) - cv2.GaussianBlur(pixels, (0, 0), coarse)
    strength = np.sqrt(cv2.GaussianBlur(band * band, (0, 0), coarse))
    # 2 gray levels: what is weaker is noise and stays weak.
    return np.asarray(band / (strength + 2), dtype=np.float32)

"""Answers against answers: the same images in pairs, other images apart.

Answers are not noisy: on the same images any changed probability is a change of the program, and is told even
where no label moved. Whether accuracy changed is another question, one about images that were not drawn. On
the same images it takes both: McNemar's exact test (McNemar 1947; corrected with everything else), and an
interval of the difference that resamples groups in pairs (Field and Welsh 2007) and leaves out 0, because
McNemar's takes images of one patient for independent. On other images: Fisher's exact test and Newcombe's
interval of a difference of proportions (Statistics in Medicine 17:873, 1998, method 10); neither knows
groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from xray_infer.benchmarks.records.schema import Answers, ImageSet, Results
from xray_infer.study.metrics import Interval, bootstrap_mean, mcnemar, wilson_interval

WHOLE: Final = "all"  # the region that accuracy is judged on; the others are controls
# Runs of one file differ by this much where threads add up in another order: float32 has seven digits.
ROUNDING: Final = 1e-5
EQUAL: Final = "equal"
ROUNDED: Final = "equal but for rounding"
CHANGED: Final = "answers changed"
OTHER_IMAGES: Final = "other images"


@dataclass(frozen=True, slots=True)
class AnswerChange:
    """What a row answers in two runs. `images` are the numbers of them, `difference` of accuracy is B - A.

    `only_first` and `only_second` are images that only one has right; they, `agreement` (of the labels) and
    the differences of probabilities are None on other images. `interval` is of 95 %. `p_value` is None for
    control regions, which are not tested. `same_file` is None where a digest is not recorded.
    """

    row: str
    set_name: str
    region: str
    images: tuple[int, int]
    answers: str
    same_file: bool | None
    accuracy: tuple[float, float]
    difference: float
    interval: Interval
    agreement: float | None
    only_first: int | None
    only_second: int | None
    max_dp: float | None
    mean_dp: float | None
    p_value: float | None

    @property
    def certain(self) -> bool:
        """Whether the interval of the difference of accuracy leaves out 0."""
        return not self.interval[0] <= 0 <= self.interval[1]


def compare_answers(first: Results, second: Results) -> list[AnswerChange]:
    """Compare the answers of every row, image set and region that both runs have."""
    sets = [{one.name: one for one in run.sets} for run in (first, second)]
    digests = [{one.row: one.sha256 for one in run.models} for run in (first, second)]
    later = {(one.row, one.images, one.region): one for one in second.answers}
    found = []
    for one in first.answers:
        other = later.get((one.row, one.images, one.region))
        if other is None or not all(one.images in each and each[one.images].labels for each in sets):
            continue
        files = [digest.get(one.row) for digest in digests]
        same_file = None if None in files else files[0] == files[1]
        compare = _paired if same_images(sets[0][one.images], sets[1][one.images]) else _apart
        found.append(compare((one, other), (sets[0][one.images], sets[1][one.images]), same_file))
    return found


def same_images(first: ImageSet, second: ImageSet) -> bool:
    """Whether two sets hold the same images with the same labels in the same order."""
    return (first.digest, first.images, first.labels) == (second.digest, second.images, second.labels)


def newcombe(first: tuple[int, int], second: tuple[int, int]) -> Interval:
    """Return the 95 % interval of the difference second - first of two proportions, each (hits, trials)."""
    (one, other), (low_1, high_1), (low_2, high_2) = (
        (first[0] / first[1], second[0] / second[1]),
        wilson_interval(*first),
        wilson_interval(*second),
    )
    difference = other - one
    return (
        difference - math.hypot(other - low_2, high_1 - one),
        difference + math.hypot(high_2 - other, one - low_1),
    )


def _paired(
    answers: tuple[Answers, Answers], sets: tuple[ImageSet, ImageSet], same_file: bool | None
) -> AnswerChange:
    labels = np.array(sets[0].labels)
    first, second = (np.array(one.probabilities, dtype=np.float64) for one in answers)
    moved = np.abs(second - first)
    told = [one.argmax(axis=1) for one in (first, second)]
    hits = [one == labels for one in told]
    test = mcnemar(*hits)
    agreement = float((told[0] == told[1]).mean())
    gained = hits[1].astype(np.float64) - hits[0]
    state = CHANGED
    if agreement == 1 and moved.max() <= ROUNDING:
        state = ROUNDED if moved.any() else EQUAL
    return AnswerChange(
        row=answers[0].row.name,
        set_name=answers[0].images,
        region=answers[0].region,
        images=(len(labels), len(labels)),
        answers=state,
        same_file=same_file,
        accuracy=(float(hits[0].mean()), float(hits[1].mean())),
        difference=float(gained.mean()),
        interval=bootstrap_mean(gained, sets[0].groups),
        agreement=agreement,
        only_first=test.only_first_right,
        only_second=test.only_second_right,
        max_dp=float(moved.max()),
        mean_dp=float(moved.mean()),
        p_value=test.p_value if answers[0].region == WHOLE else None,
    )


def _apart(
    answers: tuple[Answers, Answers], sets: tuple[ImageSet, ImageSet], same_file: bool | None
) -> AnswerChange:
    hits = [
        int((np.array(one.probabilities).argmax(axis=1) == np.array(images.labels)).sum())
        for one, images in zip(answers, sets, strict=True)
    ]
    counts = [len(images.labels) for images in sets]
    shares = [hit / count for hit, count in zip(hits, counts, strict=True)]
    table = [[hit, count - hit] for hit, count in zip(hits, counts, strict=True)]
    return AnswerChange(
        row=answers[0].row.name,
        set_name=answers[0].images,
        region=answers[0].region,
        images=(counts[0], counts[1]),
        answers=OTHER_IMAGES,
        same_file=same_file,
        accuracy=(shares[0], shares[1]),
        difference=shares[1] - shares[0],
        interval=newcombe((hits[0], counts[0]), (hits[1], counts[1])),
        agreement=None,
        only_first=None,
        only_second=None,
        max_dp=None,
        mean_dp=None,
        p_value=float(stats.fisher_exact(table).pvalue) if answers[0].region == WHOLE else None,
    )

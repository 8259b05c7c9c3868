"""RowAnswers of two runs to the same images, pair by pair.

RowAnswers are not noisy: on the same images any changed probability is a change of the program, and is
reported even where no label moved. Whether accuracy changed is another question, one about images that were
not drawn. It takes both: McNemar's exact test (McNemar 1947; corrected with everything else), and an interval
of the difference that resamples groups in pairs (Field and Welsh 2007) and leaves out 0, because McNemar's
takes images of one patient for independent. Accuracies on other images are shown and not tested.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from xray_infer.benchmarks.results_schema import ImageSet, Results, RowAnswers
from xray_infer.study.intervals import Interval, bootstrap_mean
from xray_infer.study.metrics import mcnemar

WHOLE: Final = "all"  # the region that accuracy is judged on; the others are controls
# Runs of one file differ by this much where threads add up in another order: float32 has seven digits.
ROUNDING: Final = 1e-5
EQUAL: Final = "equal"
ROUNDED: Final = "equal but for rounding"
CHANGED: Final = "answers changed"
OTHER_IMAGES: Final = "other images"


@dataclass(frozen=True, slots=True)
class PairedAnswers:
    """RowAnswers of two runs to the same images.

    `interval` of the difference of accuracy is of 95 %; `agreement` is that of the labels; `only_first` and
    `only_second` are images that only one has right; `max_dp` and `mean_dp` differences of probabilities.
    """

    interval: Interval
    agreement: float
    only_first: int
    only_second: int
    max_dp: float
    mean_dp: float


@dataclass(frozen=True, slots=True)
class AnswerChange:
    """What a row answers in two runs. `images` are the numbers of them, `difference` of accuracy is B - A.

    `paired` is None on other images, which are not tested, and `p_value` for control regions, too.
    `same_file` is None where a digest is not recorded.
    """

    row: str
    set_name: str
    region: str
    images: tuple[int, int]
    answers: str
    same_file: bool | None
    accuracy: tuple[float, float]
    difference: float
    paired: PairedAnswers | None
    p_value: float | None

    @property
    def certain(self) -> bool:
        """Whether the interval of the difference of accuracy leaves out 0."""
        return self.paired is not None and not self.paired.interval[0] <= 0 <= self.paired.interval[1]


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


def _paired(
    answers: tuple[RowAnswers, RowAnswers], sets: tuple[ImageSet, ImageSet], same_file: bool | None
) -> AnswerChange:
    labels = np.array(sets[0].labels)
    first, second = (np.array(one.probabilities, dtype=np.float64) for one in answers)
    moved = np.abs(second - first)
    labels_of = [one.argmax(axis=1) for one in (first, second)]
    hits = [one == labels for one in labels_of]
    test = mcnemar(*hits)
    agreement = float((labels_of[0] == labels_of[1]).mean())
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
        paired=PairedAnswers(
            interval=bootstrap_mean(gained, sets[0].groups),
            agreement=agreement,
            only_first=test.only_first_right,
            only_second=test.only_second_right,
            max_dp=float(moved.max()),
            mean_dp=float(moved.mean()),
        ),
        p_value=test.p_value if answers[0].region == WHOLE else None,
    )


def _apart(
    answers: tuple[RowAnswers, RowAnswers], sets: tuple[ImageSet, ImageSet], same_file: bool | None
) -> AnswerChange:
    """Put two shares beside each other; they are not tested, for no such test here knows groups."""
    shares = [
        float((np.array(one.probabilities).argmax(axis=1) == np.array(images.labels)).mean())
        for one, images in zip(answers, sets, strict=True)
    ]
    return AnswerChange(
        row=answers[0].row.name,
        set_name=answers[0].images,
        region=answers[0].region,
        images=(len(sets[0].labels), len(sets[1].labels)),
        answers=OTHER_IMAGES,
        same_file=same_file,
        accuracy=(shares[0], shares[1]),
        difference=shares[1] - shares[0],
        paired=None,
        p_value=None,
    )

"""Which images a file's `ood_score` rejects: its own data, sources it was not fitted on, other pictures.

Out-of-distribution images are drawn, altered test images, or found in folders; every set has a row of its
own, because a mean over such sets would say how they were mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.ood_images.altered import ALTERED
from benchmarks.studies.ood_images.drawn import DRAWN
from benchmarks.studies.study_command import FILE, study
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE
from xray_infer.errors import DataError, ImageError, ModelError
from xray_infer.export.calibration import ImageStream, check_same_data
from xray_infer.export.familiarity import fit_familiarity, set_limit
from xray_infer.export.rejection import collect_features, open_scorer
from xray_infer.host import default_workers
from xray_infer.images.decode import decode
from xray_infer.images.preprocess import Preprocessing
from xray_infer.model.embedding import READERS
from xray_infer.model.runtimes import Model, Session, find_model
from xray_infer.run.sources.folder import local_source
from xray_infer.study.datasets import Dataset, LabelledImage, read_dataset, read_input, split_images
from xray_infer.study.intervals import wilson_interval
from xray_infer.study.metrics import auroc
from xray_infer.terminal import Report, say

Input = NDArray[np.uint8]
EVALUATED: Final = ("val", "test")


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """A set of images and their scores, float32 [N]; those out of distribution (`ood`) should be rejected."""

    name: str
    scores: NDArray[np.float32]
    ood: bool


class Scorers:
    """Sessions of one model, one a worker."""

    def __init__(self, model: Model, *, runtime: str | None = None) -> None:
        self._idle: SimpleQueue[Session] = SimpleQueue()
        self._workers = default_workers()
        for session in model.open_many(self._workers, runtime=runtime):
            self._idle.put(session)
        self.manifest, self.runtime = session.manifest, session.runtime
        limit = self.manifest.ood_threshold
        if limit is None:
            raise ModelError(f"{model.path}: has no ood_score; xray-export reject adds it")
        self.limit = limit

    def scores(self, loaders: Iterable[Callable[[], Input]]) -> NDArray[np.float32]:
        """Return the scores of what `loaders` return, uint8 [side, side, 1] each, in their order."""

        def score(load: Callable[[], Input]) -> np.float32:
            image, session = load(), self._idle.get()
            try:
                scores = session.run(image[None]).ood_score
                assert scores is not None  # the file has a limit for them
                return np.float32(scores[0])
            finally:
                self._idle.put(session)

        with ThreadPoolExecutor(self._workers) as pool:
            return np.array(list(pool.map(score, loaders)), np.float32)


def measure(
    scorers: Scorers, dataset: Dataset, folders: Mapping[str, Path], *, count: int, seed: int
) -> Iterator[Scored]:
    """Yield the sets one after the other: the data's own first, of which the second is the test split.

    `count` pictures of each drawn kind; each test image altered in each way. Raises DataError.
    """
    of_split = {}
    made = scorers.manifest.preprocessing
    for split in EVALUATED:
        images = split_images(dataset, split, use="which this study measures")
        found = scorers.scores([partial(read_input, image, made) for image in images])
        of_split[split] = images, found
        yield Scored(f"{split} images", found, ood=False)
    columns = zip(*(_columns(*one) for one in of_split.values()), strict=True)
    yield from _parts(*map(np.concatenate, columns))
    for name, draw in DRAWN.items():
        rng = np.random.default_rng(seed)
        pictures = [made(draw(rng)).pixels for _ in range(count)]
        yield Scored(name, scorers.scores(_loaded(pictures)), ood=True)
    pictures = [decode(one.path.read_bytes(), side=made.decode_side) for one in dataset.split("test")]
    for name, alter in ALTERED.items():
        rng = np.random.default_rng(seed)
        altered = [made(alter(pictures, index, rng)).pixels for index in range(len(pictures))]
        found = scorers.scores(_loaded(altered))
        yield Scored(f"X-rays {name}", found, ood=True)
    for name, folder in folders.items():
        yield Scored(name, scorers.scores(_loaded(_read(folder, made))), ood=True)


def _loaded(pictures: Iterable[Input]) -> list[Callable[[], Input]]:
    """Return loaders of pictures that are in memory."""
    return [partial(np.asarray, picture) for picture in pictures]


def _columns(
    images: Sequence[LabelledImage], found: NDArray[np.float32]
) -> tuple[NDArray[np.str_], NDArray[np.str_], NDArray[np.float32]]:
    labels = np.array([CLASS_NAMES[image.label] for image in images])
    return labels, np.array([image.source or "no source" for image in images]), found


def _parts(
    labels: NDArray[np.str_], sources: NDArray[np.str_], found: NDArray[np.float32]
) -> Iterator[Scored]:
    """Yield validation and test images by class and by source."""
    for column in (labels, sources):
        for name in dict.fromkeys(sorted(column)):
            yield Scored(f"of both, {name}", found[column == name], ood=False)


def named_folders(given: Iterable[str]) -> dict[str, Path]:
    """Take NAME=FOLDER apart. Raises DataError."""
    parts = [one.partition("=") for one in given]
    wrong = next((name for name, _, folder in parts if not name or not folder), None)
    if wrong is not None:
        raise DataError(f"--ood {wrong}: expected NAME=FOLDER")
    return {name: Path(folder) for name, _, folder in parts}


def _read(folder: Path, preprocessing: Preprocessing) -> list[Input]:
    """Decode a folder's images, those that can be; raises DataError for none."""
    inputs = []
    for item in local_source(folder):
        try:
            pixels = decode(item.path.read_bytes(), side=preprocessing.decode_side)
            inputs.append(preprocessing(pixels).pixels)
        except (OSError, ImageError):
            continue
    if not inputs:
        raise DataError(f"{folder}: no images there that can be read")
    return inputs


def table(sets: Sequence[Scored], limit: float) -> str:
    """Return Markdown; AUROC of each out-of-distribution set against the test images."""
    test = sets[EVALUATED.index("test")].scores
    lines = ["| images | n | rejected (95 % interval) | AUROC | median score |", "|---" * 5 + "|"]
    for one in sets:
        count, rejected = len(one.scores), int(np.sum(one.scores > limit))
        area = ""
        if one.ood:
            outside = np.repeat([False, True], [len(test), count])
            area = f"{auroc(outside, np.concatenate([test, one.scores])):.4f}"
        median = f"{np.median(one.scores):.2f}"
        lines.append(f"| {one.name} | {count} | {_share(rejected, count)} | {area} | {median} |")
    return "\n".join(lines)


def leave_out(
    model: Model,
    dataset: Dataset,
    groups: Sequence[frozenset[str]],
    *,
    false_rejection: float,
    report: Report,
) -> str:
    """Fit the score anew without each group of sources in turn; return in Markdown what is rejected of it.

    Neither the fit nor the threshold sees an image of the group: as X-rays of a hospital that is new. The
    features are those of the file, whose network did learn from the group. Raises DataError for an unknown
    source.
    """
    known = {image.source for image in dataset.images}
    unknown = set().union(*groups) - known
    if unknown:
        raise DataError(f"no source {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    report(f"features of {len(dataset.images)} images, for sources left out")
    stream = ImageStream(dataset.images, READERS[model.format](model.path).preprocessing)
    features = collect_features(open_scorer(model.path.read_bytes(), model.format), stream)
    split = np.array([image.split for image in dataset.images])
    lines = ["| sources left out | n | rejected (95 % interval) |", "|---" * 3 + "|"]
    for group in groups:
        inside = np.array([image.source in group for image in dataset.images])
        familiarity = fit_familiarity(features[(split == "train") & ~inside])
        validation = familiarity.score(features[(split == "val") & ~inside])
        limit = set_limit(validation, false_rejection=false_rejection)
        rejected, count = int(np.sum(familiarity.score(features[inside]) > limit.value)), int(inside.sum())
        lines.append(f"| {', '.join(sorted(group))} | {count} | {_share(rejected, count)} |")
    return "\n".join(lines)


def _share(rejected: int, count: int) -> str:
    low, high = wilson_interval(rejected, count)
    return f"{rejected} = {rejected / count:.1%} ({max(low, 0):.1%}-{high:.1%})"


@study("rejection")
@click.argument("model", type=FILE)
@click.option("--data", required=True, type=FILE, help="Data set of MODEL.")
@click.option("--runtime", help="By name.  [default: the format's first]")
@click.option("--ood", multiple=True, metavar="NAME=FOLDER", help="Images that are no frontal chest X-rays.")
@click.option(
    "--without", multiple=True, metavar="SOURCE,...", help="Fit again without these sources, and try them."
)
@click.option("--count", type=click.IntRange(1), default=200, show_default=True, help="Of each drawn kind.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn or altered.")
def main(  # noqa: PLR0913 - a command line
    model: Path,
    data: Path,
    runtime: str | None,
    ood: tuple[str, ...],
    without: tuple[str, ...],
    count: int,
    seed: int,
) -> None:
    """Measure which images MODEL's ood_score rejects: DATA's, drawn and altered pictures, your folders.

    Noise, blanks, text, screens, CT slices, hands and lateral chests are drawn; test images are rotated, cut
    and so on. --without may be given several times.
    """
    file, dataset, folders = find_model(model), read_dataset(data), named_folders(ood)
    scorers = Scorers(file, runtime=runtime)
    check_same_data(dataset, scorers.manifest.training, data=data, model=model)
    if scorers.manifest.rejection is None:
        raise ModelError(f"{model}: does not say how its threshold was set; export the model again")
    asked = scorers.manifest.rejection.false_rejection
    sets = []
    for one in measure(scorers, dataset, folders, count=count, seed=seed):
        say(f"{one.name}: {len(one.scores)} images")
        sets.append(one)
    click.echo(table(sets, scorers.limit))
    groups = [frozenset(one.split(",")) for one in without]
    if groups:
        click.echo("\n" + leave_out(file, dataset, groups, false_rejection=asked, report=say))
    click.echo(
        f"\nThreshold {scorers.limit:.3f}, set on validation images for {asked:.3g}; in "
        f"{scorers.runtime}. {describe_machine()} {RESEARCH_NOTICE}"
    )


if __name__ == "__main__":
    main()

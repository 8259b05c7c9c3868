"""Which images a file refuses: its own data, sources it was not fitted on, other pictures.

Out-of-distribution images are drawn, altered test images, or found in folders and manifests; every set has a
row of its own, because a mean over such sets would say how they were mixed. A file refuses by its
`ood_score`, and one that asks for the lungs refuses what has none, too.
"""

from __future__ import annotations

import csv
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
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import DataError, ImageError, ModelError
from xray_infer.export.calibration import ImageStream, check_same_data
from xray_infer.export.familiarity import fit_familiarity
from xray_infer.export.rejection import collect_features, open_scorer
from xray_infer.host import default_workers
from xray_infer.images.decode import decode
from xray_infer.images.preprocess import LUNGS, ModelInput, Preprocessing
from xray_infer.model.runtimes import Model, Session, find_model
from xray_infer.run.sources.folder import local_source
from xray_infer.study.conformal import set_limit
from xray_infer.study.datasets import TAG, Dataset, LabelledImage, read_dataset, split_images
from xray_infer.study.intervals import wilson_interval
from xray_infer.study.metrics import auroc
from xray_infer.terminal import Report, say

Load = Callable[[], ModelInput]
EVALUATED: Final = ("val", "test")


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a file answers to a set of images; those out of distribution (`ood`) should be refused.

    `scores` float32 [N], `confidences` float32 [N], the largest probabilities, and `no_lungs` bool [N], True
    where the file asks for lungs and none were found.
    """

    name: str
    scores: NDArray[np.float32]
    confidences: NDArray[np.float32]
    no_lungs: NDArray[np.bool_]
    ood: bool = False

    def part(self, name: str, rows: NDArray[np.bool_]) -> Answers:
        """Return the answers to some of the images, under another name."""
        return Answers(name, self.scores[rows], self.confidences[rows], self.no_lungs[rows], self.ood)

    def refused(self, limit: float) -> NDArray[np.bool_]:
        """Return which images are refused with this limit of the score, bool [N]."""
        if limit == np.inf:
            return np.zeros(len(self.scores), bool)
        return self.no_lungs | ~(self.scores <= limit)


class Answerers:
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

    def answer(self, name: str, loaders: Iterable[Load], *, ood: bool) -> Answers:
        """Return the answers to what `loaders` return, in their order."""
        asks_for_lungs = self.manifest.preprocessing_version == LUNGS

        def run(load: Load) -> tuple[float, float, bool]:
            given, session = load(), self._idle.get()
            try:
                output = session.run(given.pixels[None])
            finally:
                self._idle.put(session)
            assert output.ood_score is not None  # the file has a limit for it
            none = asks_for_lungs and given.area is None
            return float(output.ood_score[0]), float(output.probabilities.max()), none

        with ThreadPoolExecutor(self._workers) as pool:
            scores, confidences, none = zip(*pool.map(run, loaders), strict=True)
        return Answers(
            name,
            np.array(scores, np.float32),
            np.array(confidences, np.float32),
            np.array(none, bool),
            ood=ood,
        )


def measure(
    answerers: Answerers, dataset: Dataset, sets: Mapping[str, Sequence[Path]], *, count: int, seed: int
) -> Iterator[Answers]:
    """Yield the sets one after the other: the data's own first, of which the second is the test split.

    `count` pictures of each drawn kind; each test image altered in each way; `sets` of files by name. Raises
    DataError.
    """
    made = answerers.manifest.preprocessing
    both: list[Answers] = []
    images: list[LabelledImage] = []
    for split in EVALUATED:
        mine = split_images(dataset, split, use="which this study measures")
        loaders = [partial(_load, image.path, made) for image in mine]
        both.append(answerers.answer(f"{split} images", loaders, ood=False))
        images += mine
        yield both[-1]
    yield from _parts(images, dataset.classes, both)
    for name, draw in DRAWN.items():
        rng = np.random.default_rng(seed)
        yield answerers.answer(name, [partial(made, draw(rng)) for _ in range(count)], ood=True)
    pictures = [decode(one.path.read_bytes(), side=made.decode_side) for one in dataset.split("test")]
    for name, alter in ALTERED.items():
        rng = np.random.default_rng(seed)
        altered = [partial(made, alter(pictures, index, rng)) for index in range(len(pictures))]
        yield answerers.answer(f"X-rays {name}", altered, ood=True)
    for name, files in sets.items():
        yield answerers.answer(name, [partial(_load, file, made) for file in files], ood=True)


def _load(file: Path, preprocessing: Preprocessing) -> ModelInput:
    try:
        return preprocessing(decode(file.read_bytes(), side=preprocessing.decode_side))
    except (OSError, ValueError, ImageError) as error:  # no path holds a null byte
        raise DataError(f"{file}: {error}; remove it") from error


def _parts(
    images: Sequence[LabelledImage], classes: Sequence[str], both: Sequence[Answers]
) -> Iterator[Answers]:
    """Yield validation and test images by class, by source and by domain."""
    whole = Answers(
        "both",
        np.concatenate([one.scores for one in both]),
        np.concatenate([one.confidences for one in both]),
        np.concatenate([one.no_lungs for one in both]),
    )
    labels = [classes[image.label] for image in images]
    sources = [image.source or "no source" for image in images]
    domains = [f"the domain {image.domain}" if image.domain else "" for image in images]
    for column in map(np.array, (labels, sources, domains)):
        for name in sorted({*column.tolist()} - {""}):
            yield whole.part(f"of both, {name}", column == name)


def named_folders(given: Iterable[str]) -> dict[str, list[Path]]:
    """Return the images of NAME=FOLDER by name, those that can be read. Raises DataError."""
    found = {}
    for one in given:
        name, _, folder = one.partition("=")
        if not name or not folder:
            raise DataError(f"--ood {one.partition('=')[0]}: expected NAME=FOLDER")
        found[name] = [item.path for item in local_source(Path(folder)) if _is_readable(item.path)]
        if not found[name]:
            raise DataError(f"{folder}: no images there that can be read")
    return found


def _is_readable(file: Path) -> bool:
    try:
        decode(file.read_bytes())
    except (OSError, ImageError):
        return False
    return True


def listed_sets(manifest: Path) -> dict[str, list[Path]]:
    """Return the files of a manifest by label and by the tag in brackets that their note begins with.

    Its columns are file, label and note; labels may be any. Raises DataError.
    """
    sets: dict[str, list[Path]] = {}
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as stream:
            for row in csv.DictReader(stream, restval=""):
                tag = TAG.match(row.get("note") or "")
                name = ", ".join(filter(None, (row["label"], tag[1] if tag else "")))
                if not row["file"].strip("\0"):
                    raise DataError(f"{manifest}: a row names no file")
                sets.setdefault(name, []).append(manifest.parent / row["file"])
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{manifest}: not a manifest with the columns file, label and note: {error}"
        ) from error
    if not sets:
        raise DataError(f"{manifest}: lists no images")
    return dict(sorted(sets.items()))


def table(sets: Sequence[Answers], limit: float, min_confidence: float) -> str:
    """Return Markdown; AUROC of each out-of-distribution set's scores against those of the test images."""
    test = sets[EVALUATED.index("test")].scores
    titles = ("images", "n", "refused (95 % interval)", "for want of lungs", "AUROC", "median score")
    lines = [f"| {' | '.join((*titles, 'labelled', 'mean confidence'))} |", "|---" * 8 + "|"]
    for one in sets:
        count, refused = len(one.scores), one.refused(limit)
        area = ""
        if one.ood:
            outside = np.repeat([False, True], [len(test), count])
            area = f"{auroc(outside, np.concatenate([test, one.scores])):.4f}"
        cells = [
            one.name,
            str(count),
            _share(int(refused.sum()), count),
            str(int(one.no_lungs.sum())),
            area,
            f"{np.median(one.scores):.2f}",
            f"{np.mean(~refused & (one.confidences >= min_confidence)):.1%}",
            "" if refused.all() else f"{one.confidences[~refused].mean():.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def leave_out(
    model: Model,
    dataset: Dataset,
    groups: Sequence[frozenset[str]],
    *,
    false_rejection: float,
    report: Report,
) -> str:
    """Fit the score anew without each group of sources or domains; return in Markdown what is rejected of it.

    Neither the fit nor the threshold sees an image of the group: as X-rays of a hospital that is new. The
    features are those of the file, whose network did learn from the group. Raises DataError for an unknown
    name.
    """
    known = {image.source for image in dataset.images} | set(dataset.domains)
    unknown = set().union(*groups) - known
    if unknown:
        raise DataError(
            f"no source or domain {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
        )
    report(f"features of {len(dataset.images)} images, for what is left out")
    stream = ImageStream(dataset.images, model.manifest().preprocessing)
    features = collect_features(open_scorer(model.path.read_bytes(), model.format), stream)
    split = np.array([image.split for image in dataset.images])
    lines = ["| left out | n | rejected by the score (95 % interval) |", "|---" * 3 + "|"]
    for group in groups:
        inside = np.array([bool({image.source, image.domain} & group) for image in dataset.images])
        if inside[split == "train"].all() or inside[split == "val"].all():
            raise DataError(f"--without {','.join(sorted(group))}: no other images to fit the score with")
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
@click.option("--extra", type=FILE, help="Manifest of more such images: file, label, note.")
@click.option(
    "--without", multiple=True, metavar="NAME,...", help="Fit again without these sources or domains."
)
@click.option("--count", type=click.IntRange(1), default=200, show_default=True, help="Of each drawn kind.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn or altered.")
def main(  # noqa: PLR0913 - a command line
    model: Path,
    data: Path,
    runtime: str | None,
    ood: tuple[str, ...],
    extra: Path | None,
    without: tuple[str, ...],
    count: int,
    seed: int,
) -> None:
    """Measure which images MODEL refuses: DATA's, drawn and altered pictures, your folders.

    Noise, blanks, text, screens, CT slices, hands and lateral chests are drawn; test images are rotated, cut
    and so on. --without may be given several times.
    """
    file = find_model(model)
    dataset = read_dataset(data, classes=file.manifest().class_names)
    others, listed = named_folders(ood), {} if extra is None else listed_sets(extra)
    if twice := sorted(others.keys() & listed.keys()):
        raise DataError(f"--ood {twice[0]}: {extra} has images of that name; give another")
    others |= listed
    answerers = Answerers(file, runtime=runtime)
    manifest = answerers.manifest
    check_same_data(dataset, manifest.training, data=data, model=model)
    if manifest.rejection is None:
        raise ModelError(f"{model}: does not say how its threshold was set; export the model again")
    asked = manifest.rejection.false_rejection
    sets = []
    for one in measure(answerers, dataset, others, count=count, seed=seed):
        say(f"{one.name}: {len(one.scores)} images")
        sets.append(one)
    click.echo(table(sets, answerers.limit, manifest.min_confidence))
    groups = [frozenset(one.split(",")) for one in without]
    if groups:
        click.echo("\n" + leave_out(file, dataset, groups, false_rejection=asked, report=say))
    click.echo(
        f"\nThreshold {answerers.limit:.3f}, set on validation images for {asked:.3g}; a label is said "
        f"from a confidence of {manifest.min_confidence:.2f}; in {answerers.runtime}. "
        f"{describe_machine()} {RESEARCH_NOTICE}"
    )


if __name__ == "__main__":
    main()

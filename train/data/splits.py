"""Dealing images to train, val and test, 80/10/10, and writing the outcome as a manifest.

A split that divides copies or patients measures memory, not skill: `grouped_split` deals whole groups.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from xray_infer.atomic import make_folder, write_atomically
from xray_infer.errors import DataError
from xray_infer.study.datasets import SPLITS, Dataset, LabelledImage
from xray_infer.terminal import Report
from xray_infer.train.data.groups import group_images

SHARES: Final = {"train": 0.8, "val": 0.1, "test": 0.1}
COLUMNS: Final = ("file", "label", "split", "group_id", "patient_id", "source", "domain")


def grouped_split(
    dataset: Dataset, *, seed: int, patient_pattern: str | None = None, report: Report
) -> Dataset:
    """Deal whole groups, balanced within each class and, as far as groups allow, within each source.

    The images keep their order; `split`, `group` and, by the pattern, `patient` are filled in. A split that
    the data had is dealt anew. Every class gets validation and test images. Raises DataError when a class has
    fewer than three groups, and for what `group_images` refuses.
    """
    grouping = group_images(dataset, patient_pattern=patient_pattern, report=report)
    groups = [image.group for image in grouping.dataset.images]
    largest = max(Counter(groups).values())
    report(f"{len(groups)} images in {len(set(groups))} groups, the largest of {largest}")
    return _deal(grouping.dataset, groups, seed)


def random_split(dataset: Dataset, *, seed: int) -> Dataset:
    """Deal image by image, so that copies and patients stand on both sides. Never use it for a model.

    It is there to show what that leak is worth: shares and balance are those of `grouped_split`. The images
    keep their order and all else. Raises DataError when a class has fewer than three images.
    """
    return _deal(dataset, range(len(dataset.images)), seed)


def _deal(dataset: Dataset, keys: Sequence[Hashable], seed: int) -> Dataset:
    """Deal the images of one key together.

    The largest blocks come first, in random order within a size. Each goes where its classes and sources
    have least of their share (Sainte-Lague's quotient), so every split gets large and small blocks.
    """
    members: dict[Hashable, list[int]] = {}
    for position, key in enumerate(keys):
        members.setdefault(key, []).append(position)
    listed = list(members.values())
    order = np.random.default_rng(seed).permutation(len(listed))
    blocks = sorted((listed[index] for index in order), key=len, reverse=True)

    images = dataset.images
    totals = Counter(stratum for image in images for stratum in _strata(image))
    dealt: Counter[tuple[str, tuple[int, str | None]]] = Counter()
    sides: list[str] = []
    for block in blocks:
        strata = Counter(stratum for position in block for stratum in _strata(images[position]))

        def fullness(split: str, strata: Counter[tuple[int, str | None]] = strata) -> float:
            return sum(
                count * (dealt[split, stratum] + count / 2) / (SHARES[split] * totals[stratum])
                for stratum, count in strata.items()
            )

        side = min(SPLITS, key=fullness)
        sides.append(side)
        for stratum, count in strata.items():
            dealt[side, stratum] += count
    labels = [{images[position].label for position in block} for block in blocks]
    _fill_empty(labels, sides, dataset.classes)

    splits = {position: side for block, side in zip(blocks, sides, strict=True) for position in block}
    dealt_images = tuple(replace(image, split=splits[position]) for position, image in enumerate(images))
    return replace(dataset, images=dealt_images)


def _strata(image: LabelledImage) -> tuple[tuple[int, str | None], ...]:
    """Name what is to be balanced for an image: its class, and its class within its source."""
    return (image.label, None), (image.label, image.source)


def _fill_empty(labels: Sequence[set[int]], sides: list[str], classes: Sequence[str]) -> None:
    """Move the smallest training block to where a class has none, `labels` by falling block size."""

    def blocks_of(label: int, split: str) -> list[int]:
        return [at for at, side in enumerate(sides) if side == split and label in labels[at]]

    for label in sorted(set().union(*labels)):
        for split in ("val", "test"):
            if blocks_of(label, split):
                continue
            spare = [
                at
                for at in blocks_of(label, "train")
                if all(len(blocks_of(one, "train")) > 1 for one in labels[at])
            ]
            if not spare:
                raise DataError(
                    f"class {classes[label]!r} has too few groups of images for train, val and test: "
                    "copies and images of one patient count as one"
                )
            sides[spare[-1]] = split


def write_manifest(dataset: Dataset, path: Path) -> None:
    """Write the data as a manifest that `read_dataset` reads back, files relative to it where possible.

    Domains that are the sources are not written again.
    Raises OutputError when it cannot be written, DataError for a file name that is not Unicode.
    """
    make_folder(path.parent)
    root = path.parent.resolve()

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            for image in dataset.images:
                label = dataset.classes[image.label]
                file = relative_to(image.path, root)
                domain = "" if dataset.domains_from == "source" else image.domain
                writer.writerow((file, label, image.split, image.group, image.patient, image.source, domain))

    try:
        write_atomically(path, write)
    except UnicodeEncodeError as error:
        raise DataError(f"{path}: a file name is not Unicode: {error.object!r}; rename it") from error


def relative_to(path: Path, root: Path) -> str:
    """Return a file's path as a manifest in the resolved folder `root` names it."""
    # The folder is resolved, or `..` would lead astray from a linked one; a linked image keeps its name.
    place = path.parent.resolve() / path.name
    try:
        return Path(os.path.relpath(place, root)).as_posix()
    except ValueError:  # another drive of Windows
        return place.as_posix()

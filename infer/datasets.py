"""Labelled images for training, calibration and benchmarks: a manifest CSV or a class-per-folder tree.

A manifest has the columns `file` (relative to it) and `label`, and may have `split` (train, val, test)
and `group_id`. A tree is `<class>/<image>` or `<split>/<class>/<image>`. Without a given split, groups
are dealt 80/10/10 within each class, seeded; identical files form one group, so no copy is on two sides.
"""

from __future__ import annotations

import csv
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.classes import CLASS_NAMES
from xray_infer.decode import decode
from xray_infer.errors import DataError, ImageError, SourceError
from xray_infer.preprocess import to_input
from xray_infer.sources import list_images

SPLITS: Final = ("train", "val", "test")
SHARES: Final = {"train": 0.8, "val": 0.1, "test": 0.1}


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image: its path, its class (index into CLASS_NAMES), split, group and SHA-256 of its bytes."""

    path: Path
    label: int
    split: str
    group: str
    digest: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """All images, in a stable order."""

    images: tuple[LabelledImage, ...]

    def split(self, name: str) -> tuple[LabelledImage, ...]:
        """Return the images of one split."""
        return tuple(image for image in self.images if image.split == name)

    @property
    def digest(self) -> str:
        """SHA-256 over every image's digest, label and split: what a model was trained on."""
        lines = sorted(f"{image.digest} {image.label} {image.split}" for image in self.images)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def counts(self) -> dict[str, dict[str, int]]:
        """Count images by split and class name."""
        table = {split: dict.fromkeys(CLASS_NAMES, 0) for split in SPLITS}
        for image in self.images:
            table[image.split][CLASS_NAMES[image.label]] += 1
        return table


def read_dataset(path: Path, *, seed: int = 0) -> Dataset:
    """Read a manifest CSV, a folder that holds `manifest.csv`, or a class-per-folder tree.

    Raises DataError when the data cannot be read, or when a class has no images for training.
    """
    manifest = path / "manifest.csv" if path.is_dir() else path
    images = _read_manifest(manifest) if manifest.is_file() else _read_tree(path)
    if any(image.split == "" for image in images):
        images = _deal(images, seed)
    dataset = Dataset(tuple(images))
    for name, count in dataset.counts()["train"].items():
        if count == 0:
            raise DataError(f"{path}: no training images of class {name!r}")
    return dataset


def _label(name: str, where: str) -> int:
    if name not in CLASS_NAMES:
        raise DataError(f"{where}: unknown class {name!r}; expected one of {', '.join(CLASS_NAMES)}")
    return CLASS_NAMES.index(name)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _read_manifest(manifest: Path) -> list[LabelledImage]:
    images: list[LabelledImage] = []
    try:
        with manifest.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                where = f"{manifest}, image {len(images) + 1}"
                if not row.get("file") or not row.get("label"):
                    raise DataError(f"{where}: the columns 'file' and 'label' are needed")
                split = row.get("split") or ""
                if split not in ("", *SPLITS):
                    raise DataError(f"{where}: unknown split {split!r}; expected {', '.join(SPLITS)}")
                path = manifest.parent / row["file"]
                digest = _digest(path)
                group = row.get("group_id") or digest
                images.append(LabelledImage(path, _label(row["label"], where), split, group, digest))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{manifest}: cannot read the manifest: {error}") from error
    if not images:
        raise DataError(f"{manifest}: the manifest lists no images")
    return images


def _read_tree(root: Path) -> list[LabelledImage]:
    try:
        listing = list_images(root)
    except SourceError as error:
        raise DataError(str(error)) from error
    images = []
    for item in listing.items:
        *folders, _ = Path(item.name).parts
        split = folders.pop(0) if len(folders) == 2 and folders[0] in SPLITS else ""
        if len(folders) != 1:
            raise DataError(f"{item.path}: expected {root}/<class>/<image>")
        digest = _digest(item.path)
        images.append(LabelledImage(item.path, _label(folders[0], str(item.path)), split, digest, digest))
    return images


def _deal(images: Iterable[LabelledImage], seed: int) -> list[LabelledImage]:
    """Deal whole groups to the splits, 80/10/10 within each class. A group takes its first label's deck."""
    groups: dict[str, list[LabelledImage]] = defaultdict(list)
    for image in images:
        groups[image.group].append(image)
    decks: dict[int, list[list[LabelledImage]]] = defaultdict(list)
    for group in groups.values():
        decks[group[0].label].append(group)
    dealt = []
    for label, deck in sorted(decks.items()):
        random.Random(f"{seed}-{label}").shuffle(deck)
        total, held_out = sum(map(len, deck)), {"val": 0, "test": 0}
        for group in deck:
            split = next((name for name in held_out if held_out[name] < SHARES[name] * total), "train")
            if split != "train":
                held_out[split] += len(group)
            dealt += [replace(image, split=split) for image in group]
    return sorted(dealt, key=lambda image: str(image.path))


def read_input(image: LabelledImage) -> NDArray[np.uint8]:
    """Decode one labelled image to the model's `uint8 [224, 224, 1]`. Raises DataError."""
    try:
        return to_input(decode(image.path.read_bytes()))
    except (OSError, ImageError) as error:
        raise DataError(f"{image.path}: {error}; remove it from the data") from error

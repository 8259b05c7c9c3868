"""Labelled images for training, calibration and benchmarks: a manifest CSV or a class-per-folder tree.

A manifest has the columns `file` (relative to it) and `label`, and may have `split` (train, val, test),
`group_id` (images that must stay in one split), `patient_id`, `source` (where an image came from; a `note`
that begins with a [tag] names it too), and `domain` or `hospital`. A tree is `<class>/<image>` or
`<split>/<class>/<image>`.

A domain is what a network can tell apart by the look of the images: a hospital, or several whose images
came the same way. The first of DOMAIN_COLUMNS that says anything names the domains of a data set.

A split is read here and never made here: whoever exports or measures must meet the split that the model
was trained with. `xray-train` makes one where there is none, and writes it out as a manifest.
"""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError, ImageError, SourceError
from xray_infer.images.decode import decode
from xray_infer.images.preprocess import Preprocessing
from xray_infer.run.sources.folder import local_source

SPLITS: Final = ("train", "val", "test")
DOMAIN_COLUMNS: Final = ("domain", "hospital", "source")
TAG: Final = re.compile(r"\[([^\]]+)\]")


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image: its path, its class (index into CLASS_NAMES), SHA-256 of its bytes, and what is known.

    `split`, `group`, `patient`, `source` and `domain` are empty where the data says nothing of them.
    """

    path: Path
    label: int
    digest: str
    split: str = ""
    group: str = ""
    patient: str = ""
    source: str = ""
    domain: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """All images, in a stable order; `path` is what they were listed by, for messages.

    `domains_from` is the column that names the domains, "" where none does.
    """

    images: tuple[LabelledImage, ...]
    path: Path | None = field(default=None, compare=False)
    domains_from: str = field(default="", compare=False)

    def split(self, name: str) -> tuple[LabelledImage, ...]:
        """Return the images of one split, none where it has none; see `split_images`."""
        return tuple(image for image in self.images if image.split == name)

    @property
    def has_split(self) -> bool:
        """Whether the data says of any image to which split it belongs."""
        return any(image.split for image in self.images)

    @property
    def domains(self) -> tuple[str, ...]:
        """The names of the domains, sorted."""
        return tuple(sorted({image.domain for image in self.images} - {""}))

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


def split_images(dataset: Dataset, split: str, *, use: str) -> tuple[LabelledImage, ...]:
    """Return the images of a split. Raises DataError where it has none.

    `use` ends the sentence that begins "no images in the split 'val'": ", which training needs".
    """
    images = dataset.split(split)
    if not images:
        where = "" if dataset.path is None else f"{dataset.path}: "
        raise DataError(
            f"{where}no images in the split {split!r}, {use}; "
            "make a split that has some (xray-train split), and train with it"
        )
    return images


def read_images(path: Path, *, unreadable: dict[Path, str] | None = None) -> Dataset:
    """Read a manifest CSV, a folder with a `manifest.csv` or a class-per-folder tree; it may lack a split.

    Raises DataError when it cannot be read, or when only some of the images have a split. With `unreadable`,
    a file that is missing or cannot be opened is put there with the reason, and left out of the data.
    """
    manifest = path / "manifest.csv" if path.is_dir() else path
    images = []
    listed = _read_manifest(manifest) if manifest.is_file() else Dataset(tuple(_read_tree(path)))
    for image in listed.images:
        try:
            images.append(replace(image, digest=file_digest(image.path)))
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
            if unreadable is None:
                raise DataError(f"{image.path}: {reason}") from error
            unreadable[image.path] = reason
    dataset = Dataset(tuple(images), path, listed.domains_from)
    without = next((image for image in images if not image.split), None)
    if dataset.has_split and without is not None:
        raise DataError(
            f"{path}: {without.path.name} has no split, others have; give all of them one, or none"
        )
    return dataset


def read_dataset(path: Path) -> Dataset:
    """Read data that has a split, as `read_images` does.

    Raises DataError also when there is no split, or when a class has no images for training.
    """
    dataset = read_images(path)
    if not dataset.has_split:
        raise DataError(
            f"{path} has no split: give the split.csv of the training run, or make one: xray-train split"
        )
    return check_split(dataset, path)


def check_split(dataset: Dataset, path: Path) -> Dataset:
    """Return the data, all of which has a split. Raises DataError when a class has none to train on."""
    for name, count in dataset.counts()["train"].items():
        if count == 0:
            raise DataError(
                f"{path}: no training images of class {name!r}; the split 'train' needs some of every class"
            )
    return dataset


def _label(name: str, where: str) -> int:
    if name not in CLASS_NAMES:
        raise DataError(f"{where}: unknown class {name!r}; expected one of {', '.join(CLASS_NAMES)}")
    return CLASS_NAMES.index(name)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_manifest(manifest: Path) -> Dataset:
    """List a manifest's images; the files are not opened, so their digests are empty."""
    images: list[LabelledImage] = []
    named: dict[str, list[str]] = {column: [] for column in DOMAIN_COLUMNS}
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
                tag = TAG.match(row.get("note") or "")
                images.append(
                    LabelledImage(
                        path,
                        _label(row["label"], where),
                        "",
                        split,
                        group=row.get("group_id") or "",
                        patient=row.get("patient_id") or "",
                        source=row.get("source") or (tag[1] if tag else ""),
                    )
                )
                for column, names in named.items():
                    names.append(images[-1].source if column == "source" else row.get(column) or "")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{manifest}: cannot read the manifest: {error}") from error
    if not images:
        raise DataError(f"{manifest}: the manifest lists no images")
    column = next((column for column, names in named.items() if any(names)), "")
    domains = named.get(column, [""] * len(images))
    pairs = zip(images, domains, strict=True)
    return Dataset(tuple(replace(image, domain=domain) for image, domain in pairs), manifest, column)


def _read_tree(root: Path) -> list[LabelledImage]:
    """List a tree's images; the files are not opened, so their digests are empty."""
    try:
        items = list(local_source(root))
    except SourceError as error:
        raise DataError(f"{error}; expected a manifest.csv or {root}/<class>/<image>") from error
    images = []
    for item in items:
        *folders, _ = Path(item.name).parts
        split = folders.pop(0) if len(folders) == 2 and folders[0] in SPLITS else ""
        if len(folders) != 1:
            raise DataError(f"{item.path}: expected {root}/<class>/<image>")
        images.append(LabelledImage(item.path, _label(folders[0], str(item.path)), "", split))
    return images


def read_input(image: LabelledImage, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Decode one labelled image to the model's input, `uint8 [side, side, 1]`. Raises DataError."""
    try:
        return preprocessing(decode(image.path.read_bytes(), side=preprocessing.decode_side)).pixels
    except (OSError, ImageError) as error:
        raise DataError(f"{image.path}: {error}; remove it from the data") from error

"""Labelled images for training, calibration and benchmarks: a manifest CSV or a class-per-folder tree.

A manifest is in UTF-8, with commas, semicolons or tabs. It has the columns `file` (relative to it) and
`label`, the name of a class. It may have `split` (train, val, test), `group_id` (images that must stay in one
split), `patient_id`, `source` (where an image came from; a `note` that begins with a [tag] names it too), and
`domain` or `hospital`. A tree is `<class>/<image>` or `<split>/<class>/<image>`.

A domain is what a network can tell apart by the look of the images: a hospital, or several whose images
came the same way. The first of DOMAIN_COLUMNS that says anything names the domains of a data set.

The classes are those that the data names: any 2 to 50. A reader that knows which it expects says so.

A split is read here and never made here: whoever exports or measures must meet the split that the model
was trained with. `xray-train` makes one where there is none, and writes it out as a manifest.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TextIO

import numpy as np
from numpy.typing import NDArray

from xray_infer.classes import CLASS_NAMES, FEWEST, MOST, check_class_names
from xray_infer.errors import DataError, ImageError, SourceError
from xray_infer.images.decode import decode
from xray_infer.images.preprocess import Preprocessing
from xray_infer.run.sources.folder import local_source
from xray_infer.study.class_choice import ClassChoice, composed, in_order, listed
from xray_infer.terminal import Report

SPLITS: Final = ("train", "val", "test")
DOMAIN_COLUMNS: Final = ("domain", "hospital", "source")
TAG: Final = re.compile(r"\[([^\]]+)\]")
UNKNOWN: Final = -1  # the label of an image that is only listed


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image: its path, its class (index into `Dataset.classes`), SHA-256 of its bytes, and what is known.

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
    """All images, in a stable order, and the names of their classes, in that of a model's outputs.

    `path` is what they were listed by, for messages; `domains_from` is the column that names the domains, ""
    where none does.
    """

    images: tuple[LabelledImage, ...]
    classes: tuple[str, ...]
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
        """SHA-256 over every image's digest, class and split: what a model was trained on.

        The order of the classes does not count. The study's stand by their numbers, as they always did.
        """
        of_study = set(self.classes) == set(CLASS_NAMES)
        names = [CLASS_NAMES.index(name) if of_study else name for name in self.classes]
        lines = sorted(f"{image.digest} {names[image.label]} {image.split}" for image in self.images)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def counts(self) -> dict[str, dict[str, int]]:
        """Count images by split and class name."""
        table = {split: dict.fromkeys(self.classes, 0) for split in SPLITS}
        for image in self.images:
            table[image.split][self.classes[image.label]] += 1
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


def list_images(path: Path) -> Dataset:
    """List a manifest CSV, a folder with a `manifest.csv` or a tree, for those who ask for no classes.

    No image is opened, so there are no digests, and the classes may be any number of any names. Raises
    DataError when it cannot be read, or when only some of the images have a split.
    """
    found = _listing(path)
    classes = in_order(found.labels)
    return _labelled(found, classes, {name: place for place, name in enumerate(classes)})


def read_images(
    path: Path,
    *,
    classes: Sequence[str] | None = None,
    choice: ClassChoice | None = None,
    unreadable: dict[Path, str] | None = None,
    report: Report = lambda line: None,
) -> Dataset:
    """Read a manifest CSV, a folder with a `manifest.csv` or a class-per-folder tree; it may lack a split.

    With `classes`, those of a model, an image of another one is an error. With a `choice`, images of the
    classes that it does not name are left out, and `report` gets a line that counts them. Raises DataError
    when the data cannot be read, or its classes are not what is asked for. With `unreadable`, a file that is
    missing or cannot be opened is put there with the reason, and left out of the data.
    """
    found = _listing(path)
    names, labels = _names(found, path, classes, choice)
    left_out = Counter(name for name in found.labels if name not in labels)
    if left_out:
        counts = listed(f"{name} {left_out[name]}" for name in in_order(left_out))
        report(f"images of no class in --classes, left out: {left_out.total()} ({counts})")
    dataset = _labelled(found, names, labels)
    images = []
    for image in dataset.images:
        try:
            images.append(replace(image, digest=file_digest(image.path)))
        except (OSError, ValueError) as error:
            told = error.strerror if isinstance(error, OSError) else "not a possible name"
            reason = f"cannot be read: {told}"
            if unreadable is None:
                raise DataError(f"{image.path}: {reason}") from error
            unreadable[image.path] = reason
    return replace(dataset, images=tuple(images), path=path)


def read_dataset(
    path: Path,
    *,
    classes: Sequence[str] | None = None,
    choice: ClassChoice | None = None,
    report: Report = lambda line: None,
) -> Dataset:
    """Read data that has a split, as `read_images` does.

    Raises DataError also when there is no split, or when a class has no images for training.
    """
    dataset = read_images(path, classes=classes, choice=choice, report=report)
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
                f"{path}: no training images of class {name!r}; the split 'train' needs some of every class: "
                f"{listed(dataset.classes)}"
            )
    return dataset


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex. Raises OSError, also for a pipe, which would block."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class _Listing:
    """What a manifest or a tree lists: each image, the name of its class, and where that stands."""

    images: tuple[LabelledImage, ...]
    labels: tuple[str, ...]
    places: tuple[str, ...]
    path: Path
    domains_from: str = ""


def _listing(path: Path) -> _Listing:
    """List images. The files are not opened: they have no digests, and no number for a class."""
    manifest = path / "manifest.csv" if path.is_dir() else path
    found = _read_manifest(manifest) if manifest.is_file() else _read_tree(path)
    without = next((image for image in found.images if not image.split), None)
    if without is not None and any(image.split for image in found.images):
        raise DataError(
            f"{path}: {without.path.name} has no split, others have; give all of them one, or none"
        )
    return found


def _names(
    found: _Listing, path: Path, classes: Sequence[str] | None, choice: ClassChoice | None
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the classes, and the place of each name that the data may have. Raises DataError."""
    there = in_order(found.labels)
    if choice is not None:
        missing = next((name for name in choice.labels if name not in there), None)
        if missing is not None:
            raise DataError(f"{path}: no class {missing!r}, which --classes names; there are {listed(there)}")
        return choice.names, choice.labels
    if len(there) == 1 and classes is None:
        raise DataError(
            f"{path}: all images are of one class, {there[0]!r}; a model tells {FEWEST} to {MOST} apart"
        )
    if classes is None:
        try:
            classes = check_class_names(there)
        except ValueError as error:
            raise DataError(
                f"{path}: {error}; there are {listed(there)}; xray-train --classes chooses and merges"
            ) from error
    for name, place in zip(found.labels, found.places, strict=True):
        if name not in classes:
            raise DataError(f"{place}: unknown class {name!r}; expected one of {listed(classes)}")
    return tuple(classes), {name: place for place, name in enumerate(classes)}


def _labelled(found: _Listing, classes: tuple[str, ...], labels: dict[str, int]) -> Dataset:
    pairs = zip(found.images, found.labels, strict=True)
    images = tuple(replace(image, label=labels[name]) for image, name in pairs if name in labels)
    return Dataset(images, classes, found.path, found.domains_from)


def _read_manifest(manifest: Path) -> _Listing:
    """List a manifest's images."""
    images: list[LabelledImage] = []
    labels: list[str] = []
    places: list[str] = []
    named: dict[str, list[str]] = {column: [] for column in DOMAIN_COLUMNS}
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as stream:  # as spreadsheets save "CSV UTF-8"
            for row in csv.DictReader(stream, delimiter=_delimiter(stream)):
                if not any(row.values()):
                    continue
                places.append(f"{manifest}, image {len(images) + 1}")
                if not row.get("file") or not row.get("label"):
                    raise DataError(f"{places[-1]}: the columns 'file' and 'label' are needed")
                labels.append(composed(row["label"]))
                images.append(_of_row(row, manifest.parent, places[-1]))
                for column, names in named.items():
                    names.append(images[-1].source if column == "source" else row.get(column) or "")
    except UnicodeDecodeError as error:
        raise DataError(f"{manifest}: not text in UTF-8; save the table as 'CSV UTF-8'") from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{manifest}: cannot read the manifest: {error}") from error
    if not images:
        raise DataError(f"{manifest}: the manifest lists no images")
    column = next((column for column, names in named.items() if any(names)), "")
    domains = named.get(column, [""] * len(images))
    pairs = zip(images, domains, strict=True)
    with_domains = tuple(replace(image, domain=domain) for image, domain in pairs)
    return _Listing(with_domains, tuple(labels), tuple(places), manifest, column)


def _delimiter(stream: TextIO) -> str:
    """Return what stands between columns: a comma, or what spreadsheets put there in some countries."""
    names = stream.readline()
    stream.seek(0)
    return next((one for one in ",;\t" if one in names), ",")


def _of_row(row: dict[str, str], folder: Path, place: str) -> LabelledImage:
    split = row.get("split") or ""
    if split not in ("", *SPLITS):
        raise DataError(f"{place}: unknown split {split!r}; expected {', '.join(SPLITS)}")
    tag = TAG.match(row.get("note") or "")
    return LabelledImage(
        folder / row["file"],
        UNKNOWN,
        "",
        split,
        group=row.get("group_id") or "",
        patient=row.get("patient_id") or "",
        source=row.get("source") or (tag[1] if tag else ""),
    )


def _read_tree(root: Path) -> _Listing:
    """List a tree's images."""
    try:
        items = list(local_source(root))
    except SourceError as error:
        raise DataError(f"{error}; expected a manifest.csv or {root}/<class>/<image>") from error
    images, labels = [], []
    for item in items:
        *folders, _ = Path(item.name).parts
        split = folders.pop(0) if len(folders) == 2 and folders[0] in SPLITS else ""
        if len(folders) != 1 or folders[0] in SPLITS:
            raise DataError(
                f"{item.path}: expected {root}/<class>/<image>; move the images there, or list them in a "
                "manifest CSV with the columns file, label and patient_id"
            )
        images.append(LabelledImage(item.path, UNKNOWN, "", split))
        labels.append(composed(folders[0]))
    return _Listing(tuple(images), tuple(labels), tuple(str(image.path) for image in images), root)


def read_input(image: LabelledImage, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Decode one labelled image to the model's input, `uint8 [side, side, 1]`. Raises DataError."""
    try:
        return preprocessing(decode(image.path.read_bytes(), side=preprocessing.decode_side)).pixels
    except (OSError, ImageError) as error:
        raise DataError(f"{image.path}: {error}; remove it from the data") from error

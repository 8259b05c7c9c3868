"""A zip of small labelled photographs, `train|val/<class>/<name>.webp`, as gray arrays in memory; beside them
the X-rays without labels that a teacher labels.
"""

from __future__ import annotations

import hashlib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import DataError, ImageError
from xray_infer.host import default_workers
from xray_infer.images.decode import decode
from xray_infer.images.preprocess import WHOLE_PICTURE, Preprocessing
from xray_infer.study.datasets import list_images


@dataclass(frozen=True, slots=True)
class Photographs:
    """One split: `images` uint8 [N, side, side] gray, `labels` int64 [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PhotographSet:
    """Both splits of an archive, the class names in label order and the archive's SHA-256."""

    train: Photographs
    val: Photographs
    class_names: tuple[str, ...]
    digest: str


def read_photographs(archive: Path) -> PhotographSet:
    """Read every photograph of both splits as gray (X-rays have no colour to learn from).

    Raises DataError when the archive is missing, is not such a zip, or holds an image that cannot be read.
    """
    try:
        with archive.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        with zipfile.ZipFile(archive) as zipped:
            members = sorted(
                name
                for name in zipped.namelist()
                if name.count("/") == 2 and name.startswith(("train/", "val/")) and not name.endswith("/")
            )
            class_names = tuple(sorted({name.split("/")[1] for name in members}))
            splits = {
                split: _read_split(
                    zipped, [name for name in members if name.startswith(f"{split}/")], class_names
                )
                for split in ("train", "val")
            }
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{archive}: cannot read the photographs: {error}") from error
    return PhotographSet(splits["train"], splits["val"], class_names, digest)


def _read_split(zipped: zipfile.ZipFile, members: list[str], class_names: tuple[str, ...]) -> Photographs:
    images = []
    for name in members:
        gray = cv2.imdecode(np.frombuffer(zipped.read(name), np.uint8), cv2.IMREAD_GRAYSCALE)
        if gray is None:
            raise DataError(f"{zipped.filename}: cannot decode {name}")
        images.append(gray)
    if not images:
        raise DataError(f"{zipped.filename}: no photographs under train/<class>/ and val/<class>/")
    if len({image.shape for image in images}) > 1:
        raise DataError(f"{zipped.filename}: photographs differ in size; they must all have one")
    number = {name: index for index, name in enumerate(class_names)}
    labels = np.array([number[name.split("/")[1]] for name in members], dtype=np.int64)
    return Photographs(np.stack(images).astype(np.uint8, copy=False), labels)


SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class FilmSource:
    """Where films without labels are: a manifest CSV or a folder of images at `path`.

    `version` of the preprocessing says what is cut out of them. Films of the domains in `left_out` are not
    read, nor any that share a group or a patient with one or have no domain: so a network can be judged on a
    domain that not even its backbone has seen.
    """

    path: Path
    version: int = WHOLE_PICTURE
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnlabelledFilms:
    """`images` uint8 [N, side, side] gray, and the SHA-256 over all files' digests."""

    images: NDArray[np.uint8]
    digest: str


def read_films(source: FilmSource, *, side: int) -> UnlabelledFilms:
    """Read the films of a source. No label is used.

    Of a manifest with a split, only the training images are read. Raises DataError for a file that cannot
    be read, when there are none, and for a domain to be left out that is not in the data.
    """
    files = _list_films(source)
    if not files:
        raise DataError(f"{source.path}: no films: expected a manifest CSV or a folder of images")
    preprocessing = Preprocessing(source.version, side)

    def read(file: Path) -> tuple[NDArray[np.uint8], str]:
        try:
            content = file.read_bytes()
            gray = preprocessing(decode(content, side=preprocessing.decode_side)).pixels[..., 0]
        except (OSError, ImageError) as error:
            raise DataError(f"{file}: {error}") from error
        return gray, hashlib.sha256(content).hexdigest()

    with ThreadPoolExecutor(default_workers()) as pool:
        read_ones = list(pool.map(read, files))
    digest = hashlib.sha256("\n".join(sorted(digest for _, digest in read_ones)).encode()).hexdigest()
    return UnlabelledFilms(np.stack([gray for gray, _ in read_ones]), digest)


def _list_films(source: FilmSource) -> list[Path]:
    path = source.path
    manifest = path / "manifest.csv" if path.is_dir() else path
    if not manifest.is_file():
        if source.left_out:
            raise DataError(f"{path}: a folder of images names no domain that could be left out")
        return sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    data = list_images(manifest)
    unknown = sorted(set(source.left_out) - set(data.domains))
    if unknown:
        raise DataError(f"{path}: no domain {unknown[0]!r}; the data has {', '.join(data.domains) or 'none'}")
    images = data.split("train") if data.has_split else data.images
    if not source.left_out:
        return [image.path for image in images]
    left_out = [image for image in data.images if image.domain in source.left_out]
    groups, patients = ({getattr(image, name) for image in left_out} - {""} for name in ("group", "patient"))
    return [
        image.path
        for image in images
        if image.domain not in ("", *source.left_out)
        and image.group not in groups
        and image.patient not in patients
    ]

"""Films to find lungs in, and pictures that show none: what is listed, and all of it read small.

A list is a CSV as `xray_infer.study.datasets` describes it, but no label is needed or used. Pictures without
lungs come from a folder of images, from a zip of photographs as pre-training takes it, or from a CSV: of one
with a column `label`, the rows labelled NO_LUNGS.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import DataError, ImageError
from xray_infer.host import default_workers
from xray_infer.images.decode import decode
from xray_infer.images.lungs import shrunk
from xray_infer.study.datasets import DOMAIN_COLUMNS, SPLITS, TAG
from xray_infer.train.backbone.photographs import SUFFIXES, read_photographs

NO_LUNGS: Final = "not-frontal-chest"


@dataclass(frozen=True, slots=True)
class ListedFilm:
    """One row of a list: `name` is its column `file`, `kind` the tag of its note, or its source."""

    name: str
    path: Path
    label: str = ""
    split: str = ""
    domain: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class SmallPictures:
    """`pictures` uint8 [N, side, side], one of `names` each, and the SHA-256 over the files' digests."""

    names: tuple[str, ...]
    pictures: NDArray[np.uint8]
    digest: str


@dataclass(frozen=True, slots=True, eq=False)
class PicturesWithoutLungs:
    """Photographs and X-rays to train on; pictures of both sorts to judge with, and their kinds."""

    photographs: NDArray[np.uint8]
    train: NDArray[np.uint8]
    judge: NDArray[np.uint8]
    judge_kinds: tuple[str, ...]
    digests: tuple[str, ...]


def list_films(path: Path) -> tuple[ListedFilm, ...]:
    """Read a list of films: a CSV, or the `manifest.csv` of a folder. Raises DataError."""
    manifest = path / "manifest.csv" if path.is_dir() else path
    try:
        with manifest.open(newline="", encoding="utf-8") as stream:
            films = tuple(_listed(row, manifest) for row in csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{manifest}: cannot read the manifest: {error}") from error
    if not films:
        raise DataError(f"{manifest}: the manifest lists no images")
    return films


def _listed(row: dict[str, str | None], manifest: Path) -> ListedFilm:
    name = row.get("file")
    if not name:
        raise DataError(f"{manifest}: the column 'file' is needed")
    tag = TAG.match(row.get("note") or "")
    return ListedFilm(
        name,
        manifest.parent / name,
        label=row.get("label") or "",
        split=row.get("split") or "",
        domain=next((str(row[column]) for column in DOMAIN_COLUMNS if row.get(column)), ""),
        kind=tag[1] if tag else row.get("source") or row.get("label") or "",
    )


def with_split(films: Iterable[ListedFilm], path: Path) -> tuple[ListedFilm, ...]:
    """Return the films that have a split; raises DataError where none trains or none judges."""
    found = tuple(film for film in films if film.split in SPLITS)
    if len({film.split == "train" for film in found}) < 2:
        raise DataError(f"{path}: needs films of split 'train' and of 'val' or 'test' (xray-train split)")
    return found


def read_small(films: Sequence[ListedFilm], *, side: int) -> SmallPictures:
    """Read films as the detector gets them, shrunk to `side`. Raises DataError for an unreadable one."""

    def read(film: ListedFilm) -> tuple[NDArray[np.uint8], str]:
        content, gray = read_gray(film.path)
        return shrunk(gray, side), hashlib.sha256(content).hexdigest()

    with ThreadPoolExecutor(default_workers()) as pool:
        found = list(pool.map(read, films))
    digest = hashlib.sha256("\n".join(sorted(digest for _, digest in found)).encode()).hexdigest()
    pictures = np.stack([gray for gray, _ in found]) if found else np.zeros((0, side, side), np.uint8)
    return SmallPictures(tuple(film.name for film in films), pictures, digest)


def read_gray(path: Path) -> tuple[bytes, NDArray[np.uint8]]:
    """Return a file's bytes and its picture as inference decodes it. Raises DataError."""
    try:
        content = path.read_bytes()
        return content, decode(content)
    except (OSError, ImageError) as error:
        raise DataError(f"{path}: {error}; remove it from the data") from error


def read_without_lungs(paths: Iterable[Path], *, side: int) -> PicturesWithoutLungs:
    """Read all pictures that show no lungs. Raises DataError.

    Half of those of a folder or CSV judge, by a hash of their names; of a zip, its split `val` does.
    """
    none = np.zeros((0, side, side), np.uint8)
    photographs, train, judge = [none], [none], [none]
    kinds: list[str] = []
    digests: list[str] = []
    for path in paths:
        if path.suffix.lower() == ".zip":
            found = read_photographs(path)
            photographs.append(np.stack([shrunk(one, side) for one in found.train.images]))
            judge.append(np.stack([shrunk(one, side) for one in found.val.images]))
            kinds += ["photographs"] * len(judge[-1])
            digests.append(found.digest)
            continue
        films = _without_lungs(path)
        small = read_small(films, side=side)
        judges = np.array([_judges(film.name) for film in films])
        train.append(small.pictures[~judges])
        judge.append(small.pictures[judges])
        kinds += [film.kind for film, judging in zip(films, judges, strict=True) if judging]
        digests.append(small.digest)
    return PicturesWithoutLungs(
        photographs=np.concatenate(photographs),
        train=np.concatenate(train),
        judge=np.concatenate(judge),
        judge_kinds=tuple(kinds),
        digests=tuple(digests),
    )


def _without_lungs(path: Path) -> tuple[ListedFilm, ...]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        films = tuple(ListedFilm(file.relative_to(path).as_posix(), file, kind=path.name) for file in files)
    else:
        films = tuple(film for film in list_films(path) if film.label in ("", NO_LUNGS))
    if not films:
        raise DataError(f"{path}: no pictures without lungs: expected images, or rows labelled {NO_LUNGS}")
    return films


def _judges(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[-1] % 2 == 1

"""Unlabelled X-rays that a teacher labels, as gray arrays in memory."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.errors import DataError, ImageError
from xray_infer.images.decode import decode
from xray_infer.images.preprocess import to_input
from xray_infer.model.processors import default_workers
from xray_infer.study.datasets import read_images

SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class UnlabelledFilms:
    """`images` uint8 [N, side, side] gray, and the SHA-256 over all files' digests."""

    images: NDArray[np.uint8]
    digest: str


def read_films(path: Path, *, side: int) -> UnlabelledFilms:
    """Read a manifest CSV or a folder of images. No label is used.

    Of a manifest with a split, only the training images are read. Raises DataError for a file that cannot
    be read, and when there are none.
    """
    manifest = path / "manifest.csv" if path.is_dir() else path
    if manifest.is_file():
        data = read_images(manifest)
        files = [image.path for image in (data.split("train") if data.has_split else data.images)]
    else:
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"{path}: no films: expected a manifest CSV or a folder of images")

    def read(file: Path) -> tuple[NDArray[np.uint8], str]:
        try:
            content = file.read_bytes()
            gray = to_input(decode(content, side=side), side=side)[..., 0]
        except (OSError, ImageError) as error:
            raise DataError(f"{file}: {error}") from error
        return gray, hashlib.sha256(content).hexdigest()

    with ThreadPoolExecutor(default_workers()) as pool:
        read_ones = list(pool.map(read, files))
    digest = hashlib.sha256("\n".join(sorted(digest for _, digest in read_ones)).encode()).hexdigest()
    return UnlabelledFilms(np.stack([gray for gray, _ in read_ones]), digest)

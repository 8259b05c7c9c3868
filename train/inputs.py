"""Labelled images as the model's input arrays: each file is decoded once, into a file on disk."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.atomic import write_atomically
from xray_infer.errors import DataError
from xray_infer.host import default_workers
from xray_infer.images.preprocess import Preprocessing
from xray_infer.study.datasets import LabelledImage, read_input
from xray_infer.terminal import Report

CHUNK: Final = 256  # images in memory at once while decoding
FRAME: Final = 8  # a side's part that is the border's width

REGIONS: Final = ("all", "centre", "border")


def decode_inputs(
    images: Sequence[LabelledImage], preprocessing: Preprocessing, path: Path, *, report: Report
) -> NDArray[np.uint8]:
    """Return `uint8 [N, side, side, 1]`, memory-mapped from `path`; decode the images unless it exists.

    The file appears atomically. Raises DataError for an image that cannot be read.
    """
    if not path.exists():
        report(f"decoding {len(images)} images")
        write_atomically(path, lambda temporary: _decode_to(temporary, images, preprocessing))
    inputs: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return inputs


def _decode_to(path: Path, images: Sequence[LabelledImage], preprocessing: Preprocessing) -> None:
    shape = (len(images), *preprocessing.shape)
    inputs = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    read = partial(read_input, preprocessing=preprocessing)
    with ThreadPoolExecutor(default_workers()) as pool:
        for start in range(0, len(images), CHUNK):
            chunk = images[start : start + CHUNK]
            inputs[start : start + len(chunk)] = list(pool.map(read, chunk))
    inputs.flush()


def keep_region(inputs: NDArray[np.uint8], region: str) -> NDArray[np.uint8]:
    """Return inputs `[N, side, side, 1]` with all but a region black.

    "border" keeps a frame an eighth of the side wide, where there is next to no lung: what a model scores on
    it, it scores on shortcuts. "centre" keeps what is inside the frame. "all" changes nothing.
    """
    if region not in REGIONS:
        raise DataError(f"unknown region {region!r}; expected one of {', '.join(REGIONS)}")
    if region == "all":
        return inputs
    width = inputs.shape[1] // FRAME
    inner = slice(width, -width)
    kept = inputs.copy() if region == "border" else np.zeros_like(inputs)
    kept[:, inner, inner] = 0 if region == "border" else inputs[:, inner, inner]
    return kept

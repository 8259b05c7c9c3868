"""Labelled images as batches for Keras: each file is decoded once, into a memory-mapped array on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import keras
import numpy as np
from numpy.typing import NDArray

from xray_infer.atomic import write_atomically
from xray_infer.datasets import LabelledImage, read_input
from xray_infer.engine import default_workers
from xray_infer.preprocess import INPUT_SHAPE

CHUNK: Final = 256  # images in memory at once while decoding


def decode_inputs(
    images: Sequence[LabelledImage], path: Path, *, report: Callable[[str], None]
) -> NDArray[np.uint8]:
    """Return `uint8 [N, 224, 224, 1]`, memory-mapped from `path`; decode the images unless it exists.

    The file appears atomically. Raises DataError for an image that cannot be read.
    """
    if not path.exists():
        report(f"decoding {len(images)} images")
        write_atomically(path, lambda partial: _decode_to(partial, images))
    return np.load(path, mmap_mode="r")


def _decode_to(path: Path, images: Sequence[LabelledImage]) -> None:
    inputs = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(images), *INPUT_SHAPE))
    with ThreadPoolExecutor(default_workers()) as pool:
        for start in range(0, len(images), CHUNK):
            chunk = images[start : start + CHUNK]
            inputs[start : start + len(chunk)] = list(pool.map(read_input, chunk))
    inputs.flush()


class InputBatches(keras.utils.PyDataset):
    """Batches of `(uint8 [B, 224, 224, 1], int [B])`, prefetched in the background.

    Shuffled anew each epoch by (seed, epoch) alone, so that a resumed run sees the same order as an
    undisturbed one. Without `seed` the order is that of the data.
    """

    def __init__(
        self,
        inputs: NDArray[np.uint8],
        labels: NDArray[np.int64],
        *,
        batch_size: int,
        seed: int | None = None,
        first_epoch: int = 0,
    ) -> None:
        super().__init__(workers=1, max_queue_size=8)
        self._inputs, self._labels, self._batch_size = inputs, labels, batch_size
        self._seed, self._epoch = seed, first_epoch
        self._shuffle()

    def _shuffle(self) -> None:
        self._order = np.arange(len(self._labels))
        if self._seed is not None:
            np.random.default_rng((self._seed, self._epoch)).shuffle(self._order)

    def on_epoch_end(self) -> None:
        """Move to the next epoch's order."""
        self._epoch += 1
        self._shuffle()

    def __len__(self) -> int:
        """Return the number of batches; the last one may be smaller."""
        return -(-len(self._labels) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return one batch."""
        chosen = np.sort(self._order[index * self._batch_size : (index + 1) * self._batch_size])
        return self._inputs[chosen], self._labels[chosen]

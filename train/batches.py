"""Batches for Keras from arrays on disk: shuffled by seed and epoch alone, with mixup where asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from xray_infer.train.film_quality import vary_qualities


class Views(Protocol):
    """What a network is fed: one of several views of each image."""

    def view(self, rows: NDArray[np.integer], epoch: int) -> NDArray[Any]:
        """Return the training views of some images for an epoch."""
        ...

    def plain(self, rows: NDArray[np.integer]) -> NDArray[Any]:
        """Return the images as they are, for validation and test."""
        ...


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How batches are made.

    `mixup` is alpha of Zhang et al. 2018, 0 for none; with it, or with `one_hot`, labels are
    `float [B, classes]` instead of `int [B]`.
    """

    batch_size: int
    seed: int
    classes: int
    mixup: float = 0.0
    one_hot: bool = False

    @property
    def targets_are_indices(self) -> bool:
        """Whether batches hold class indices rather than one probability for each class."""
        return self.mixup == 0 and not self.one_hot


def one_hot(labels: NDArray[np.integer], classes: int) -> NDArray[np.float32]:
    """Return `float32 [N, classes]`, 1 at the label."""
    return np.asarray(np.eye(classes, dtype=np.float32)[labels])


class TrainingBatches(keras.utils.PyDataset):
    """Shuffled batches of views, labels and, if there are any, weights, prefetched in the background.

    `weights` are float32 [N], as many as labels. What an epoch holds depends on (seed, epoch) alone, so a
    resumed run sees what an undisturbed one does.
    """

    def __init__(
        self,
        views: Views,
        labels: NDArray[np.int64],
        rows: NDArray[np.integer],
        options: BatchOptions,
        *,
        first_epoch: int = 0,
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__(workers=1, max_queue_size=8)
        self._views, self._labels, self._rows, self._options = views, labels, rows, options
        self._weights, self._epoch = weights, first_epoch
        self._shuffle()

    def _shuffle(self) -> None:
        self._order = np.random.default_rng((self._options.seed, self._epoch)).permutation(self._rows)

    def on_epoch_end(self) -> None:
        """Move to the next epoch's order."""
        self._epoch += 1
        self._shuffle()

    def __len__(self) -> int:
        """Return the number of batches; the last one may be smaller."""
        return -(-len(self._rows) // self._options.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], ...]:
        """Return one batch: inputs, targets and, where there are any, weights."""
        size, options = self._options.batch_size, self._options
        chosen = self._order[index * size : (index + 1) * size]
        inputs, labels = self._views.view(chosen, self._epoch), self._labels[chosen]
        targets = labels if options.targets_are_indices else one_hot(labels, options.classes)
        batch = (inputs, targets) if self._weights is None else (inputs, targets, self._weights[chosen])
        if options.mixup == 0:
            return batch
        rng = np.random.default_rng((options.seed, self._epoch, index))
        share = rng.beta(options.mixup, options.mixup)
        other = rng.permutation(len(inputs))
        return tuple(_blend(values, other, share) for values in batch)


def _blend(values: NDArray[Any], other: NDArray[np.integer], share: float) -> NDArray[Any]:
    """Blend each row with another one of the batch; integers are rounded."""
    mixed = share * values.astype(np.float32) + (1 - share) * values[other].astype(np.float32)
    if np.issubdtype(values.dtype, np.integer):
        mixed = np.rint(mixed)
    return np.asarray(mixed, values.dtype)


class PlainBatches(keras.utils.PyDataset):
    """Batches of inputs, labels and, if there are any, weights, in the data's order, not augmented."""

    def __init__(
        self,
        views: Views,
        labels: NDArray[Any],
        rows: NDArray[np.integer],
        *,
        batch_size: int,
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__(workers=1, max_queue_size=8)
        self._views, self._labels, self._rows, self._batch_size = views, labels, rows, batch_size
        self._weights = weights

    def __len__(self) -> int:
        """Return the number of batches; the last one may be smaller."""
        return -(-len(self._rows) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], ...]:
        """Return one batch."""
        chosen = self._rows[index * self._batch_size : (index + 1) * self._batch_size]
        batch = self._views.plain(chosen), self._labels[chosen]
        return batch if self._weights is None else (*batch, self._weights[chosen])


@dataclass(frozen=True, slots=True)
class ImageViews:
    """The plain path: the network gets the images themselves and augments them in its graph.

    With `quality_seed` their quality is varied before.
    """

    inputs: NDArray[np.uint8]
    quality_seed: int | None = None

    def view(self, rows: NDArray[np.integer], epoch: int) -> NDArray[np.uint8]:
        """Return the images; the graph's random layers make the view."""
        images = np.asarray(self.inputs[rows])
        if self.quality_seed is None:
            return images
        return vary_qualities(images, rows, (self.quality_seed, epoch))

    def plain(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Return the images."""
        return np.asarray(self.inputs[rows])

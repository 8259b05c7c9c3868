"""Features at the freeze boundary, computed once for each view of an image and kept on disk.

Folder layout, `CACHE/KEY/` with KEY a digest of all that the features depend on:
    view-K.npy         float16 or float32 [images, ...], K = 0 not augmented, 1.. augmented
    view-K.done.npy    bool [chunks], which chunks of CHUNK images are filled
A killed computation goes on at the first unfilled chunk. The augmentation of a chunk is seeded by
(seed, view, chunk), so what is computed later is what would have been computed first.

`FixedPart` is the fast path of training that reads them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from xray_infer.atomic import make_folder, write_atomically
from xray_infer.terminal import Report
from xray_infer.train.film_quality import SETTINGS, vary_qualities
from xray_infer.train.fixed_part.boundary import Parts
from xray_infer.train.fixed_part.runners import KerasRunner, Runner, make_runner

CHUNK: Final = 64
SECONDS_BETWEEN_LINES: Final = 30

Compute = Callable[[int, slice], NDArray[Any]]


class FeatureStore:
    """The features of all images in one view, filled chunk by chunk."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: type[np.floating]) -> None:
        self._done_path = path.with_suffix(".done.npy")
        chunks = -(-shape[0] // CHUNK)
        if self._done_path.exists():
            self._done = np.load(self._done_path)
            self.features = np.lib.format.open_memmap(path, mode="r+")
        else:
            self._done = np.zeros(chunks, bool)
            self.features = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)

    def missing(self, rows: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return the chunks that hold some of these rows and are not filled."""
        return np.array([chunk for chunk in np.unique(rows // CHUNK) if not self._done[chunk]], int)

    def fill(self, chunks: NDArray[np.integer], compute: Compute) -> Iterator[int]:
        """Compute chunks with `compute(chunk, rows)`, and yield how many images each had."""
        for chunk in chunks:
            rows = slice(chunk * CHUNK, min((chunk + 1) * CHUNK, len(self.features)))
            self.features[rows] = compute(int(chunk), rows)
            self.features.flush()
            self._done[chunk] = True
            write_atomically(self._done_path, lambda path: np.save(path, self._done))
            yield rows.stop - rows.start


@dataclass(frozen=True, slots=True)
class FeatureViews:
    """What the top of a network is trained on: feature stores, the first one not augmented.

    That one is among the training views with `originals`.
    """

    stores: tuple[FeatureStore, ...]
    seed: int
    originals: bool = False
    turns: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        images = len(self.stores[0].features)
        object.__setattr__(self, "turns", np.random.default_rng(self.seed).permutation(images))

    def view(self, rows: NDArray[np.integer], epoch: int) -> NDArray[np.float32]:
        """Return the rows, each in its turn through the training views; turns start at random."""
        used = self.stores if self.originals else self.stores[1:]
        choice = (self.turns[rows] + epoch) % len(used)
        result = np.empty((len(rows), *self.stores[0].features.shape[1:]), np.float32)
        for index, store in enumerate(used):
            mine = choice == index
            result[mine] = store.features[rows[mine]]
        return result

    def plain(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the rows without augmentation."""
        return np.asarray(self.stores[0].features[rows], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class OriginalViews:
    """The training rows as they are, in every epoch."""

    views: FeatureViews

    def view(self, rows: NDArray[np.integer], epoch: int) -> NDArray[np.float32]:
        """Return the rows without augmentation."""
        return self.views.plain(rows)

    def plain(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the rows without augmentation."""
        return self.views.plain(rows)


def feature_key(**facts: Any) -> str:
    """Return a folder name for features that depend on these facts (JSON types)."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def weights_digest(model: keras.Model) -> str:
    """Return SHA-256 over a model's weights."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def open_stores(
    folder: Path, *, views: int, shape: tuple[int, ...], dtype: type[np.floating] = np.float16
) -> tuple[FeatureStore, ...]:
    """Open or create the stores of view 0 (float32, for figures) and of 1..views (`dtype`)."""
    make_folder(folder)
    dtypes: list[type[np.floating]] = [np.float32, *[dtype] * views]
    return tuple(FeatureStore(folder / f"view-{k}.npy", shape, one) for k, one in enumerate(dtypes))


def fill_stores(
    stores: tuple[FeatureStore, ...],
    *,
    train: NDArray[np.integer],
    plain: NDArray[np.integer],
    compute: Callable[[int], Compute],
    report: Report,
) -> None:
    """Fill the augmented views of the rows `train` and the plain view of the rows `plain`.

    `compute(view)` returns the function that computes a chunk of that view.
    """
    missing = [store.missing(train if view else plain) for view, store in enumerate(stores)]
    total = sum(map(len, missing)) * CHUNK
    done, started = 0, time.monotonic()
    spoken = started
    for view, (store, chunks) in enumerate(zip(stores, missing, strict=True)):
        for count in store.fill(chunks, compute(view)):
            done += count
            now = time.monotonic()
            if now - spoken >= SECONDS_BETWEEN_LINES:
                spoken = now
                left = (total - done) * (now - started) / done / 60
                report(f"features: {done} of about {total} views of images, about {left:.1f} min left")
    if done:
        report(f"features: {done} views of images in {time.monotonic() - started:.0f} s")


def image_features(
    inputs: NDArray[np.uint8],
    views: keras.Model,
    trunks: tuple[Runner, Runner],
    *,
    seed: int,
    varied_quality: bool = False,
) -> Callable[[int], Compute]:
    """Compute features from images. `trunks`: exact for view 0, fast for the augmented ones."""
    exact, fast = trunks
    plain = KerasRunner(views)
    augmented = KerasRunner(keras.Model(views.input, _Augmented(views)(views.input)))
    generators = [layer.generator for layer in views.layers if hasattr(layer, "generator")]

    def compute(view: int) -> Compute:
        def chunk_features(chunk: int, rows: slice) -> NDArray[Any]:
            if view == 0:
                return exact(plain(inputs[rows]))
            for number, generator in enumerate(generators):
                state = np.random.SeedSequence((seed, view, chunk, number)).generate_state(2)
                generator.state.assign(state)
            images = inputs[rows]
            if varied_quality:
                images = vary_qualities(images, np.arange(rows.start, rows.stop), (seed, view))
            return fast(augmented(images))

        return chunk_features

    return compute


class _Augmented(keras.Layer):
    """Runs a model's random layers in inference too, where Keras would leave them out."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self.model = model

    def call(self, inputs: Any) -> Any:
        """Keras's hook."""
        return self.model(inputs, training=True)


def further_features(lower: tuple[FeatureStore, ...], trunk: Runner) -> Callable[[int], Compute]:
    """Compute features from those of a lower boundary: nothing below it is run again."""

    def compute(view: int) -> Compute:
        return lambda chunk, rows: trunk(lower[view].features[rows].astype(np.float32))

    return compute


STORED: Final = np.float16  # the largest activation seen was 14; bfloat16's own error is larger


@dataclass(frozen=True, slots=True)
class FixedPart:
    """Computes and keeps the features of one set of images.

    `inputs` are `uint8 [N, side, side, 1]` and `inputs_digest` names them; `train` and `held_out` are rows.
    `views` is how many augmented views of the training rows are made, seeded by `seed`; with `originals`
    these rows are also trained on as they are, and with `varied_quality` the views differ in quality too.
    """

    cache: Path
    inputs: NDArray[np.uint8]
    inputs_digest: str
    train: NDArray[np.integer]
    held_out: NDArray[np.integer]
    views: int
    originals: bool
    varied_quality: bool
    seed: int
    report: Report

    def features(self, parts: Parts, *, below: Parts | None = None, augmented: bool = True) -> FeatureViews:
        """Return the views of all images at the boundary of `parts`, computing what is missing.

        `below` is a lower cut of the same network: its features are made first and built upon, so that
        two boundaries cost little more than one. Without `augmented` only the plain view is filled.
        """
        lower = None
        if below is not None and below.boundary != parts.boundary:
            lower = self.features(below, augmented=augmented).stores
        if lower is None or below is None:
            exact, fast = (make_runner(parts.trunk, fast=fast) for fast in (False, True))
            compute = image_features(
                self.inputs,
                parts.views,
                (exact, fast),
                seed=self.seed,
                varied_quality=self.varied_quality,
            )
        else:
            middle = keras.Model(below.features, parts.features)
            exact = fast = make_runner(middle, fast=False)
            compute = further_features(lower, exact)
        key = feature_key(
            inputs=self.inputs_digest,
            trunk=weights_digest(parts.trunk),
            boundary=parts.boundary,
            runtimes=[exact.name, fast.name],
            from_features=lower is not None,
            augmentation=_settings(parts.views),
            seed=self.seed,
            **({"varied_quality": SETTINGS} if self.varied_quality else {}),
        )
        shape = (len(self.inputs), *parts.trunk.output.shape[1:])
        stores = open_stores(self.cache / key, views=self.views, shape=shape, dtype=STORED)
        plain = np.concatenate([self.train, self.held_out]) if self.originals else self.held_out
        train = self.train if augmented else self.train[:0]
        fill_stores(stores, train=train, plain=plain, compute=compute, report=self.report)
        return FeatureViews(stores, self.seed, self.originals)


def _settings(views: keras.Model) -> list[list[Any]]:
    """Return what the layers in front of the trunk do, without their names and seeds, as JSON types."""
    settings = []
    for layer in views.layers:
        config = {key: value for key, value in layer.get_config().items() if key not in ("name", "seed")}
        settings.append([type(layer).__name__, json.loads(json.dumps(config, default=str))])
    return settings

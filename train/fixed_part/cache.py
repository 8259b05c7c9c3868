"""The fast path: what lies below the freeze boundary is run once for each view, and its output kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from xray_infer.terminal import Report
from xray_infer.train.fixed_part.boundary import Parts
from xray_infer.train.fixed_part.runners import make_runner
from xray_infer.train.fixed_part.stores import (
    FeatureViews,
    feature_key,
    fill_stores,
    further_features,
    image_features,
    open_stores,
    weights_digest,
)

STORED: Final = np.float16  # the largest activation seen was 14; bfloat16's own error is larger


@dataclass(frozen=True, slots=True)
class FixedPart:
    """Computes and keeps the features of one set of images.

    `inputs` are `uint8 [N, 224, 224, 1]` and `inputs_digest` names them; `train` and `held_out` are rows.
    `views` is how many augmented views of the training rows are made, seeded by `seed`; with `originals`
    these rows are also trained on as they are.
    """

    cache: Path
    inputs: NDArray[np.uint8]
    inputs_digest: str
    train: NDArray[np.integer]
    held_out: NDArray[np.integer]
    views: int
    originals: bool
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
            compute = image_features(self.inputs, parts.views, (exact, fast), seed=self.seed)
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

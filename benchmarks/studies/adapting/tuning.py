"""Full fine-tuning of the same labels, for comparison: TensorFlow, minutes a split.

It begins where `xray-train adapt` ends, at the fitted head (Kumar et al. 2022), and trains all of DenseNet121
but its normalisation, on the training films' flips and rotations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.adapting.curves import mean_recall
from benchmarks.studies.adapting.splits import Hospitals, Split, splits
from xray_infer.images.preprocess import Preprocessing
from xray_infer.study.datasets import LabelledImage, read_input
from xray_infer.terminal import Report
from xray_infer.train.adapt.crossing import cross, deal

EPOCHS: Final = 15
BATCH: Final = 16
RATE: Final = 3e-5  # of Adam, falling to zero as a cosine
MOST_JUDGING: Final = 200  # films a split


@dataclass(frozen=True, slots=True)
class TunedResult:
    """Balanced accuracies on the same films: the head on the Keras model's features, and all of it tuned."""

    domain: str
    labels: int
    seed: int
    judging: int
    head: float
    tuned: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """Which splits to tune: of these domains, with so many labels a class, `number` of each."""

    model: Path
    preprocessing: Preprocessing
    domains: Sequence[str]
    counts: Sequence[int]
    number: int


def tune_all(
    hospitals: Hospitals, tuning: Tuning, *, known: Collection[tuple[str, int, int]], report: Report
) -> Iterator[TunedResult]:
    """Yield the result of each split, but of those that are `known` by domain, labels and seed."""
    for domain in tuning.domains:
        for count in tuning.counts:
            for seed, split in enumerate(splits(hospitals, domain, count, tuning.number)):
                if (domain, count, seed) in known:
                    continue
                report(f"{domain}: {count} labels a class, split {seed + 1} of {tuning.number}")
                judge = np.random.default_rng(seed).permutation(split.judge)[:MOST_JUDGING]
                head, tuned = _tune(hospitals, tuning, Split(split.labelled, judge), seed)
                yield TunedResult(domain, count, seed, len(judge), head, tuned)


def _tune(hospitals: Hospitals, tuning: Tuning, split: Split, seed: int) -> tuple[float, float]:
    """Return the balanced accuracy of the head alone and of the tuned network."""
    import keras

    from xray_infer.train.network import HEAD, POOLED, freeze

    keras.utils.set_random_seed(seed)
    kept, labels = np.unique(hospitals.labels[split.labelled], return_inverse=True)
    truth = np.searchsorted(kept, hospitals.labels[split.judge])
    given = _inputs([hospitals.images[one] for one in split.labelled], tuning.preprocessing)
    asked = _inputs([hospitals.images[one] for one in split.judge], tuning.preprocessing)
    model = keras.saving.load_model(tuning.model, compile=False)
    pooled = keras.Model(model.input, model.get_layer(POOLED).output)
    folds = deal(labels, hospitals.groups[split.labelled].tolist())
    head = cross(pooled.predict(given, verbose=0), labels, folds).head
    alone = mean_recall(truth, head.logits(pooled.predict(asked, verbose=0)))
    dense = keras.layers.Dense(len(kept), activation="softmax", name=HEAD)
    tuned = keras.Model(model.input, dense(pooled.output))
    dense.set_weights([head.weights.astype(np.float32), head.bias.astype(np.float32)])
    freeze(tuned, unfrozen=len(tuned.layers))
    steps = EPOCHS * -(-len(given) // BATCH)
    rate: Any = keras.optimizers.schedules.CosineDecay(RATE, steps)
    tuned.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    tuned.fit(given, labels, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return alone, mean_recall(truth, tuned.predict(asked, verbose=0))


def _inputs(images: Sequence[LabelledImage], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    return np.stack([read_input(image, preprocessing) for image in images])

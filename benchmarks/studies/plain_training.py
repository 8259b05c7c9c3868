"""The training that `xray-train` is timed against: the study's schedule as a Keras user writes it.

    python -m benchmarks.studies.plain_training MANIFEST WEIGHTS SEED OUT.json [--no-xla]

All images are decoded into memory once; then `model.fit` with the base frozen, and again with the top
layers unfrozen, every image through the whole network in every epoch, the best epoch kept each time.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any


def main(manifest: str, weights: str, seed: str, out: str, jit: str = "auto") -> None:
    """Train both methods and write their test accuracies."""
    import keras
    import numpy as np

    from xray_infer.model.manifest import METHODS
    from xray_infer.study.datasets import SPLITS, read_dataset, read_input
    from xray_infer.train.network import build_classifier, freeze
    from xray_infer.train.schedule import SCHEDULES

    schedule = SCHEDULES["study"]
    dataset = read_dataset(Path(manifest))
    inputs = {split: np.stack([read_input(image) for image in dataset.split(split)]) for split in SPLITS}
    labels = {split: np.array([image.label for image in dataset.split(split)]) for split in SPLITS}
    keras.utils.set_random_seed(int(seed))
    model = build_classifier(weights, seed=int(seed))
    accuracies: dict[str, Any] = {}
    for method in METHODS:
        stage = schedule.stage(method)
        freeze(model, unfrozen=stage.unfrozen)
        model.compile(
            optimizer=keras.optimizers.Adam(stage.learning_rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            jit_compile=False if jit == "--no-xla" else "auto",
        )
        with tempfile.TemporaryDirectory() as folder:
            best = Path(folder, "best.keras")
            model.fit(
                inputs["train"],
                labels["train"],
                batch_size=schedule.batch_size,
                epochs=stage.epochs,
                validation_data=(inputs["val"], labels["val"]),
                callbacks=[keras.callbacks.ModelCheckpoint(best, save_best_only=True)],
                verbose=0,
            )
            model = keras.saving.load_model(best)
        probabilities = model.predict(inputs["test"], verbose=0)
        accuracies[method] = float(np.mean(probabilities.argmax(axis=1) == labels["test"]))
    Path(out).write_text(json.dumps(accuracies))


if __name__ == "__main__":
    main(*sys.argv[1:])

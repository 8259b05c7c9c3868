"""The script that the folder command is measured against: what most people write first.

    python -m xray_infer.benchmarks.plain_keras MODEL.keras FOLDER OUT.csv

Loads each picture with Keras's own loader, resizes it, calls `model.predict` on it and writes a CSV.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path


def main(model_path: str, folder: str, out: str) -> None:
    """Classify every picture of a folder, one after the other."""
    import keras

    from xray_infer.classes import CLASS_NAMES
    from xray_infer.preprocess import INPUT_SIDE
    from xray_infer.sources.folder import local_source

    model = keras.saving.load_model(model_path, compile=False)
    with open(out, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        for item in local_source(Path(folder)):
            picture = keras.utils.load_img(
                item.path,
                color_mode="grayscale",
                target_size=(INPUT_SIDE, INPUT_SIDE),
                interpolation="bilinear",
            )
            batch = keras.utils.img_to_array(picture, dtype="uint8")[None]
            probabilities = model.predict(batch, verbose=0)[0]
            writer.writerow([item.name, CLASS_NAMES[probabilities.argmax()], *probabilities])


if __name__ == "__main__":
    main(*sys.argv[1:])

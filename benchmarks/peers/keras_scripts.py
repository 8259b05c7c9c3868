"""Plain Keras, as a notebook would have it, `load_img` and `model.predict`: NAME MODEL FOLDER OUT.csv.

NAME is one of `SCRIPTS`: one image at a time, or batches of 32, Keras's default.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final

from xray_infer.benchmarks.peers.answer_file import AnswerFile, Script, run
from xray_infer.images.preprocess import INPUT_SIDE


def classify(model_path: Path, files: list[Path], answers: AnswerFile, *, batch: int) -> None:
    """Load each picture with Keras's own loader, bilinear and without antialiasing, and predict."""
    import keras
    import numpy as np

    model: Any = keras.saving.load_model(model_path, compile=False)
    for start in range(0, len(files), batch):
        some = files[start : start + batch]
        pictures = [
            keras.utils.load_img(
                path, color_mode="grayscale", target_size=(INPUT_SIDE, INPUT_SIDE), interpolation="bilinear"
            )
            for path in some
        ]
        arrays = np.stack([keras.utils.img_to_array(one, dtype="uint8") for one in pictures])
        for path, probabilities in zip(some, model.predict(arrays, verbose=0), strict=True):
            answers.add(path, probabilities)


SCRIPTS: Final[dict[str, Script]] = {
    "one_at_a_time": partial(classify, batch=1),
    "batches": partial(classify, batch=32),
}

if __name__ == "__main__":
    run(SCRIPTS)

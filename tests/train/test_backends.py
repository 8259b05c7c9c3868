"""Training on Keras's other backends, where they are installed."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from places import SUPPORT
from specimens import quick_config

from xray_infer.model.manifest import METHODS

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.tensorflow


BACKEND_RUN = """
import sys
from pathlib import Path
from specimens import quick_config
from xray_infer.train.fit import train
train(Path(sys.argv[1]), Path(sys.argv[2]), quick_config(), report=lambda line: None)
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_train_and_their_files_are_interchangeable(backend, tmp_path, module_tree):
    """The tool's own run on each backend that is installed; TensorFlow then computes what it wrote."""
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    from xray_infer.study.datasets import read_dataset, read_input
    from xray_infer.study.metrics import softmax
    from xray_infer.train.predictions import read_predictions

    folder = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-c", BACKEND_RUN, str(module_tree), str(tmp_path / "run")],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": folder},
        check=True,
    )
    images = read_dataset(tmp_path / "run" / "split.csv").split("test")
    inputs = np.stack([read_input(image, quick_config().preprocessing) for image in images])
    for method in METHODS:
        assert json.loads((tmp_path / "run" / f"{method}.json").read_text())["versions"]["backend"] == backend
        model = keras.saving.load_model(tmp_path / "run" / f"{method}.keras", compile=False)
        written = read_predictions(tmp_path / "run" / f"{method}.predictions.csv")["test"]
        assert softmax(written.logits) == pytest.approx(model.predict(inputs, verbose=0), abs=1e-3)

"""Models of other classes than the study's, trained and exported by the commands themselves, in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from tiny_densenet import build_small_classifier

NAMES = ("Viral Pneumonia", "COVID", "Normal", "Lung_Opacity", "Tuberkulose \u00e4")
FIVE = (
    "COVID",
    "Lung_Opacity",
    "Normal",
    "Tuberkulose \u00e4",
    "Viral Pneumonia",
)  # in the order of the outputs
TWO = ("sick", "Normal")
MERGED = '"sick"=COVID+Viral Pneumonia+Lung_Opacity,Normal'
SIDE = 96
METHOD = "feature_extraction"
TRAINING = (
    *("--method", "feature-extraction", "--weights", "none", "--side", SIDE, "--batch-size", 4),
    *("--schedule", "best", "--epochs", 8, 1, "--rates", 0.1, 0.001),
)
EXPORT = (
    *("--quantize", "fp32,int8", "--calibrate", "minmax", "--mixed", "none", "--calibration-images", 20),
)


@dataclass(frozen=True, slots=True)
class ModelOfAnyClasses:
    """A model that was trained on `tree` and exported: classes, run's folder and files' folder."""

    classes: tuple[str, ...]
    tree: Path
    run: Path
    files: Path

    @property
    def keras(self) -> Path:
        """The trained network."""
        return self.run / f"{METHOD}.keras"

    def file(self, model_format: str, recipe: str = "fp32") -> Path:
        """Return an exported file."""
        return self.files / f"{METHOD}-{recipe}.{model_format}"


def write_tree(root: Path) -> Path:
    """Write 20 images of each class, which a small network can tell apart: gray levels, and stripes."""
    rng = np.random.default_rng(4)
    across = np.arange(SIDE) // 8 % 2
    patterns: tuple[Any, ...] = (40, 120, 210, 40 + 170 * across, (40 + 170 * across)[:, None])
    for name, pattern in zip(NAMES, patterns, strict=True):
        (root / name).mkdir(parents=True)
        for number in range(20):
            noise = rng.normal(rng.uniform(-12, 12), 8, (SIDE, SIDE))
            pixels = np.clip(pattern + noise, 0, 255).astype(np.uint8)
            (root / name / f"{number}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return root


def run_train(*arguments: object) -> Result:
    """Run `xray-train` with the small network in place of DenseNet121."""
    from xray_infer.train import trainer
    from xray_infer.train.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "build_classifier", build_small_classifier)
        return CliRunner().invoke(main, [str(one) for one in arguments])


def make_model(folder: Path, classes: tuple[str, ...], *options: object) -> ModelOfAnyClasses:
    """Train on a tree and export int8 and float32 in both formats; `options` are of `xray-train`."""
    from xray_infer.export.cli import main

    made = ModelOfAnyClasses(classes, write_tree(folder / "tree"), folder / "run", folder / "files")
    trained = run_train(made.tree, "--out", made.run, *TRAINING, *options)
    assert trained.exit_code == 0, trained.output
    arguments = [made.keras, "--data", made.run / "split.csv", "--out", made.files, *EXPORT]
    exported = CliRunner().invoke(main, [str(one) for one in arguments])
    assert exported.exit_code == 0, exported.output
    return made

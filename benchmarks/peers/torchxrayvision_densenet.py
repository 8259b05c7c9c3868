"""TorchXRayVision's DenseNet for one gray channel, with a DataLoader, the Keras model's weights in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xray_infer.benchmarks.peers.answer_file import AnswerFile, run
from xray_infer.classes import CLASS_NAMES

CHANNELS = 1


def network() -> Any:
    """Return its network with random weights, without the sigmoid and thresholds of its own labels."""
    from torchxrayvision.models import DenseNet

    one: Any = DenseNet(num_classes=len(CLASS_NAMES), in_channels=CHANNELS, weights=None)
    one.apply_sigmoid = False
    return one


def classify(weights: Path, files: list[Path], answers: AnswerFile) -> None:
    """Classify all files."""
    from xray_infer.benchmarks.peers.torch_loader import classify_with

    classify_with(network(), weights, files, answers, CHANNELS)


if __name__ == "__main__":
    run(classify)

"""timm's DenseNet121 in PyTorch with a DataLoader, the Keras model's weights in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xray_infer.benchmarks.peers.answer_file import AnswerFile, run
from xray_infer.classes import CLASS_NAMES

CHANNELS = 3


def network() -> Any:
    """Return timm's network with random weights."""
    import timm

    return timm.create_model("densenet121", pretrained=False, num_classes=len(CLASS_NAMES))


def classify(weights: Path, files: list[Path], answers: AnswerFile) -> None:
    """Classify all files."""
    from xray_infer.benchmarks.peers.torch_loader import classify_with

    classify_with(network(), weights, files, answers, CHANNELS)


if __name__ == "__main__":
    run(classify)

"""DenseNets of other packages in PyTorch, the Keras model's weights in them: NAME WEIGHTS FOLDER OUT.csv.

As PyTorch's documentation has it: a DataLoader with workers, inference mode, channels last. NAME is one of
`NETWORKS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from xray_infer.benchmarks.peers.answer_file import AnswerFile, read_gray, run
from xray_infer.classes import CLASS_NAMES
from xray_infer.images.preprocess import IMAGENET_MEAN, IMAGENET_STD

# With one channel: near to what each of the three would take away, so that padding is nearly the same.
GRAY_MEAN = sum(IMAGENET_MEAN) / 3
BATCH = 8  # measured on 2 cores: 1, 4, 8, 16 and 32 are within a tenth from 8 on


class Files(Dataset[tuple[int, torch.Tensor]]):
    """Files as float32 [channels, 224, 224], normalised; one channel around 0 only."""

    def __init__(self, files: list[Path], channels: int) -> None:
        self.files, self.channels = files, channels

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> tuple[int, torch.Tensor]:
        gray = read_gray(self.files[place])[..., 0].astype(np.float32) / 255
        return place, torch.from_numpy(normalised(gray[None], self.channels)[0])


def normalised(gray: np.ndarray, channels: int) -> np.ndarray:
    """Return float32 [N, channels, H, W] of gray float32 [N, H, W] in 0..1."""
    if channels == 1:
        return np.asarray(gray[:, None] - np.float32(GRAY_MEAN))
    mean = np.array(IMAGENET_MEAN, np.float32)[:, None, None]
    return np.asarray((gray[:, None] - mean) / np.array(IMAGENET_STD, np.float32)[:, None, None])


@dataclass(frozen=True, slots=True)
class PeerNetwork:
    """A network with random weights, made by `build`, that takes so many channels."""

    channels: int
    build: Callable[[], Any]


def timm_densenet() -> Any:
    """Return timm's DenseNet121."""
    import timm

    return timm.create_model("densenet121", pretrained=False, num_classes=len(CLASS_NAMES))


def torchxrayvision_densenet() -> Any:
    """Return TorchXRayVision's for one gray channel, without the sigmoid and thresholds of its own labels."""
    from torchxrayvision.models import DenseNet

    one: Any = DenseNet(num_classes=len(CLASS_NAMES), in_channels=1, weights=None)
    one.apply_sigmoid = False
    return one


NETWORKS: Final[dict[str, PeerNetwork]] = {
    "timm_densenet": PeerNetwork(3, timm_densenet),
    "torchxrayvision_densenet": PeerNetwork(1, torchxrayvision_densenet),
}


def classify(kind: PeerNetwork, weights: Path, files: list[Path], answers: AnswerFile) -> None:
    """Load the weights and classify all files."""
    network = kind.build()
    network.load_state_dict(torch.load(weights, weights_only=True))
    network = network.eval().to(memory_format=torch.channels_last)
    loader = DataLoader(Files(files, kind.channels), batch_size=BATCH, num_workers=os.cpu_count() or 1)
    with torch.inference_mode():
        for places, images in loader:
            logits = network(images.to(memory_format=torch.channels_last))
            for place, chances in zip(places, torch.softmax(logits, dim=1), strict=True):
                answers.add(files[int(place)], chances.numpy())


if __name__ == "__main__":
    run({name: partial(classify, kind) for name, kind in NETWORKS.items()})

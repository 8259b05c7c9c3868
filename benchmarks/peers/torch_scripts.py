"""DenseNets of other packages in PyTorch, the Keras model's weights in them: NAME WEIGHTS FOLDER OUT.csv.

As PyTorch's documentation has it: a DataLoader with workers, inference mode, channels last. NAME is one of
`NETWORKS`; `convert` writes WEIGHTS.

Keras and PyTorch have the same layers in the same order. timm's network takes three normalised channels, and
is exact. TorchXRayVision's takes one gray channel, so the first convolution's kernel is summed over the
channels, each divided by its standard deviation, and what the means take away is put into the normalisation
behind it. That is exact but for the frame where the convolution sees padding.
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
from torch import nn
from torch.utils.data import DataLoader, Dataset

from xray_infer.atomic import write_atomically
from xray_infer.benchmarks.peers.answer_file import AnswerFile, read_gray, run
from xray_infer.images.preprocess import IMAGENET_MEAN, IMAGENET_STD

# With one channel: near to what each of the three would take away, so that padding is nearly the same.
GRAY_MEAN = sum(IMAGENET_MEAN) / 3
BATCH = 8  # measured on 2 cores: 1, 4, 8, 16 and 32 are within a tenth from 8 on


class Files(Dataset[tuple[int, torch.Tensor]]):
    """Files as float32 [channels, side, side], normalised; one channel around 0 only."""

    def __init__(self, files: list[Path], channels: int, side: int) -> None:
        self.files, self.channels, self.side = files, channels, side

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> tuple[int, torch.Tensor]:
        gray = read_gray(self.files[place], self.side)[..., 0].astype(np.float32) / 255
        return place, torch.from_numpy(normalised(gray[None], self.channels)[0])


def normalised(gray: np.ndarray, channels: int) -> np.ndarray:
    """Return float32 [N, channels, H, W] of gray float32 [N, H, W] in 0..1."""
    if channels == 1:
        return np.asarray(gray[:, None] - np.float32(GRAY_MEAN))
    mean = np.array(IMAGENET_MEAN, np.float32)[:, None, None]
    return np.asarray((gray[:, None] - mean) / np.array(IMAGENET_STD, np.float32)[:, None, None])


@dataclass(frozen=True, slots=True)
class PeerNetwork:
    """A network that takes so many channels; `build` makes one of so many classes with random weights."""

    channels: int
    build: Callable[[int], Any]


def timm_densenet(classes: int) -> Any:
    """Return timm's DenseNet121."""
    import timm

    return timm.create_model("densenet121", pretrained=False, num_classes=classes)


def torchxrayvision_densenet(classes: int) -> Any:
    """Return TorchXRayVision's for one gray channel, without the sigmoid and thresholds of its own labels."""
    from torchxrayvision.models import DenseNet

    one: Any = DenseNet(num_classes=classes, in_channels=1, weights=None)
    one.apply_sigmoid = False
    return one


NETWORKS: Final[dict[str, PeerNetwork]] = {
    "timm_densenet": PeerNetwork(3, timm_densenet),
    "torchxrayvision_densenet": PeerNetwork(1, torchxrayvision_densenet),
}


def classify(kind: PeerNetwork, weights: Path, files: list[Path], answers: AnswerFile) -> None:
    """Load the weights and classify all files."""
    stored = torch.load(weights, weights_only=True)
    network = kind.build(stored["classes"])
    network.load_state_dict(stored["weights"])
    network = network.eval().to(memory_format=torch.channels_last)
    images = Files(files, kind.channels, stored["side"])
    loader = DataLoader(images, batch_size=BATCH, num_workers=os.cpu_count() or 1)
    with torch.inference_mode():
        for places, batch in loader:
            logits = network(batch.to(memory_format=torch.channels_last))
            for place, chances in zip(places, torch.softmax(logits, dim=1), strict=True):
                answers.add(files[int(place)], chances.numpy())


@dataclass(frozen=True, slots=True)
class Converted:
    """A network's size, and the largest difference of its probabilities to Keras's on the same inputs.

    `parameters` and `keras_parameters` are those that are learned.
    """

    parameters: int
    keras_parameters: int
    gmac: float
    max_dp: float


def convert(keras_model: Path, name: str, weights: Path, images: np.ndarray) -> Converted:
    """Write the Keras model's weights for a network of NETWORKS, its side and classes; compare their answers.

    `images`: uint8 [N, side, side, 1].
    """
    import keras

    model: Any = keras.saving.load_model(keras_model, compile=False)
    classes = int(model.output_shape[-1])
    network, channels = NETWORKS[name].build(classes), NETWORKS[name].channels
    copy_weights(model, network, channels)
    stored = {"weights": network.state_dict(), "side": images.shape[1], "classes": classes}
    write_atomically(weights, lambda temporary: torch.save(stored, temporary))
    gray = torch.from_numpy(normalised(images[..., 0].astype(np.float32) / 255, channels))
    network.eval()
    with torch.inference_mode():
        answers = torch.softmax(network(gray), dim=1).numpy()
    expected = np.asarray(model.predict(images, verbose=0))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    moving = ("moving_mean", "moving_variance")
    learned = sum(int(np.prod(one.shape)) for one in model.weights if one.name not in moving)
    return Converted(
        parameters, learned, count_gmac(network, gray[:1]), float(np.abs(answers - expected).max())
    )


@torch.no_grad()
def copy_weights(model: Any, network: nn.Module, channels: int) -> None:
    """Copy layer by layer, in order. Raises ValueError where the networks differ."""
    kinds = [layer for layer in model.layers if layer.get_weights()]
    convolutions = [layer for layer in kinds if type(layer).__name__ == "Conv2D"]
    norms = [layer for layer in kinds if type(layer).__name__ == "BatchNormalization"]
    (head,) = [layer for layer in kinds if type(layer).__name__ == "Dense"]
    modules = list(network.modules())
    theirs = [one for one in modules if isinstance(one, nn.Conv2d)]
    for layer, module in zip(convolutions, theirs, strict=True):
        kernel = layer.get_weights()[0].transpose(3, 2, 0, 1)
        if kernel.shape[1] != module.in_channels and channels == 1 and module is theirs[0]:
            kernel = (kernel / np.array(IMAGENET_STD)[:, None, None]).sum(axis=1, keepdims=True)
        module.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
    for layer, norm in zip(norms, [one for one in modules if isinstance(one, nn.BatchNorm2d)], strict=True):
        for target, value in zip(
            (norm.weight, norm.bias, norm.running_mean, norm.running_var), layer.get_weights(), strict=True
        ):
            assert target is not None
            target.copy_(torch.from_numpy(np.array(value)))
        # PyTorch's epsilon is 1e-5; variance and epsilon are only ever used together.
        assert norm.running_var is not None
        norm.running_var.add_(layer.epsilon - norm.eps)
    if channels == 1:
        first = convolutions[0].get_weights()[0]  # [7, 7, 3, 64]
        shift = (first * ((np.array(IMAGENET_MEAN) - GRAY_MEAN) / np.array(IMAGENET_STD))[:, None]).sum(
            axis=(0, 1, 2)
        )
        norm = next(one for one in modules if isinstance(one, nn.BatchNorm2d))
        assert norm.running_mean is not None
        norm.running_mean.add_(torch.from_numpy(shift.astype(np.float32)))
    (linear,) = [one for one in modules if isinstance(one, nn.Linear)]
    kernel, bias = head.get_weights()
    linear.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel.T)))
    linear.bias.copy_(torch.from_numpy(np.array(bias)))


def count_gmac(network: nn.Module, image: torch.Tensor) -> float:
    """Count the multiply-accumulates of one image in convolutions and linear layers, 10**9."""
    total = 0

    def count(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output.numel() * module.in_channels // module.groups * int(np.prod(module.kernel_size))
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features

    handles = [module.register_forward_hook(count) for module in network.modules()]
    with torch.inference_mode():
        network(image)
    for handle in handles:
        handle.remove()
    return total / 1e9


if __name__ == "__main__":
    run({name: partial(classify, kind) for name, kind in NETWORKS.items()})

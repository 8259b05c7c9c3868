"""The pictures that a teacher speaks of: photographs, and films if there are any, drawn in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from xray_infer.train.backbone.augmentation import augment

HELD_OUT_EVERY = 24  # films: photographs have a split of their own


@dataclass(frozen=True, slots=True)
class Kind:
    """Pictures of one kind, `train` and `val` uint8 [N, side, side], and their share of each batch."""

    name: str
    train: NDArray[np.uint8]
    val: NDArray[np.uint8]
    share: float


def hold_out(name: str, images: NDArray[np.uint8], share: float) -> Kind:
    """Make a kind out of pictures that have no split."""
    held_out = np.arange(len(images)) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    return Kind(name, images[~held_out], images[held_out], share)


@dataclass(frozen=True, slots=True)
class Batch:
    """`gray` float [N, 1, side, side] in 0..1 (not clipped) and the kind of each, int64 [N]."""

    gray: torch.Tensor
    kinds: torch.Tensor


def draw(kinds: tuple[Kind, ...], step: int, size: int, side: int, generator: torch.Generator) -> Batch:
    """Return step `step`'s augmented batch: each kind is gone through in a new order again and again."""
    views, numbers = [], []
    for number, (kind, count) in enumerate(zip(kinds, _counts(kinds, size), strict=True)):
        chosen = kind.train[_positions(len(kind.train), step * count, count, seed=number)]
        views.append(augment(torch.from_numpy(chosen)[:, None].float() / 255, side, generator))
        numbers.append(torch.full((count,), number))
    return Batch(torch.cat(views), torch.cat(numbers))


def held_out(kinds: tuple[Kind, ...], most: int, side: int) -> Batch:
    """Return at most `most` held-out pictures of each kind, evenly picked, as they are."""
    views, numbers = [], []
    for number, kind in enumerate(kinds):
        chosen = kind.val[:: max(1, -(-len(kind.val) // most))]
        views.append(resize(torch.from_numpy(chosen)[:, None].float() / 255, side))
        numbers.append(torch.full((len(chosen),), number))
    return Batch(torch.cat(views), torch.cat(numbers))


def resize(gray: torch.Tensor, side: int) -> torch.Tensor:
    """Resize `float [N, 1, H, W]` to a square of `side` pixels, averaging where it shrinks."""
    if gray.shape[-2:] == (side, side):
        return gray
    return nn.functional.interpolate(gray, size=(side, side), mode="bilinear", antialias=True)


def _counts(kinds: tuple[Kind, ...], size: int) -> list[int]:
    counts = [round(kind.share * size) for kind in kinds[1:]]
    return [size - sum(counts), *counts]


def _positions(length: int, start: int, count: int, *, seed: int) -> NDArray[np.int64]:
    """Return places `start` to `start + count` of an endless series of random orders of `length` pictures."""
    places = np.arange(start, start + count)
    orders = {
        cycle: np.random.default_rng((seed, int(cycle))).permutation(length)
        for cycle in set(places // length)
    }
    return np.array([orders[place // length][place % length] for place in places], dtype=np.int64)

"""Altered views of a small film, and of its box with it: what the detector has to hold against.

A view is shifted, scaled (outside is black, white, one gray level or the repeated border), turned by a few
degrees, mirrored; blurred; badly exposed (gamma, contrast, brightness); noisy.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

# Share of the box's area in the view: from the first on the lungs count as there, below the second as not.
THERE: Final = 0.8
NOT_THERE: Final = 0.4
MIDDLE: Final = np.array([0.2, 0.2, 0.8, 0.8])
LEVELS: Final = np.linspace(0, 1, 256)


@dataclass(frozen=True, slots=True)
class ViewConfig:
    """How far views go. Shares are of the picture's edge; logarithms of factors are natural."""

    log_zoom: tuple[float, float] = (-0.35, 0.45)  # above 0 the film gets smaller
    log_aspect: float = 0.15
    shift: float = 0.14
    far_shift: float = 0.6  # for views from which the lungs are mostly gone
    far_share: float = 0.12
    turn_degrees: float = 8.0
    log_gamma: float = 0.8
    contrast: tuple[float, float] = (0.35, 1.5)
    brightness: float = 75.0
    noise: float = 12.0


USUAL: Final = ViewConfig()


def film_view(
    picture: NDArray[np.uint8],
    box: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    side: int,
    config: ViewConfig = USUAL,
) -> tuple[NDArray[np.uint8], NDArray[np.float64], float]:
    """Return a view, uint8 [side, side], its box, cut at the view's borders, and the share of it inside.

    `picture` is a square of somewhat more than `side`; a box is left, top, right, bottom as shares.
    """
    turned, moved = _geometry(picture, box, rng, side, config)
    inside = np.clip(moved, 0, 1)
    share = float((inside[2:] - inside[:2]).clip(0).prod() / (moved[2:] - moved[:2]).prod())
    return _exposed(turned, rng, config), inside, share


def other_view(
    picture: NDArray[np.uint8], rng: np.random.Generator, *, side: int, config: ViewConfig = USUAL
) -> NDArray[np.uint8]:
    """Return a view of a picture without lungs, as `film_view` does."""
    return _exposed(_geometry(picture, MIDDLE, rng, side, config)[0], rng, config)


def _geometry(
    picture: NDArray[np.uint8],
    box: NDArray[np.float64],
    rng: np.random.Generator,
    side: int,
    config: ViewConfig,
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return the view and the box in it, which may reach out of it."""
    far, mirrored, zoomed, *balanced = rng.random(7)
    by = 2 * np.array(balanced) - 1  # -1 to 1: aspect, turn, shift
    angle = np.deg2rad(config.turn_degrees) * by[1]
    low, high = config.log_zoom
    zoom = np.exp(config.log_aspect * by[0] * np.array([1, -1]) - low - zoomed * (high - low))
    zoom[0] *= -1 if mirrored < 0.5 else 1
    shift = (config.far_shift if far < config.far_share else config.shift) * by[2:]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn * zoom  # of shares about the middle of the picture
    offset = 0.5 + shift - matrix @ [0.5, 0.5]

    # Pixel centres lie half a pixel in.
    scaled = matrix * (side / picture.shape[0])
    pixels = np.column_stack([scaled, side * offset + 0.5 * (scaled.sum(axis=1) - 1)])
    border = int(rng.integers(4))  # black, white, one level, repeated
    flags = cv2.BORDER_REPLICATE if border == 3 else cv2.BORDER_CONSTANT
    level = (0, 255, int(rng.integers(256)), 0)[border]
    view = cv2.warpAffine(
        picture, pixels, (side, side), flags=cv2.INTER_LINEAR, borderMode=flags, borderValue=level
    )

    # The middles of the edges: a turned rectangle's corners would make the box grow.
    (left, top, right, bottom), (x, y) = box, (box[:2] + box[2:]) / 2
    middles = np.array([[left, y], [right, y], [x, top], [x, bottom]]) @ matrix.T + offset
    return np.asarray(view, np.uint8), np.concatenate([middles.min(axis=0), middles.max(axis=0)])


def _exposed(picture: NDArray[np.uint8], rng: np.random.Generator, config: ViewConfig) -> NDArray[np.uint8]:
    blurred, noisy, gamma, contrast, brightness, sigma, noise = rng.random(7)
    if blurred < 0.25:
        picture = np.asarray(cv2.GaussianBlur(picture, (3, 3), 0.4 + 0.8 * sigma), np.uint8)
    levels = LEVELS ** np.exp(config.log_gamma * (2 * gamma - 1))
    low, high = config.contrast
    levels = 255 * ((levels - 0.5) * (low + contrast * (high - low)) + 0.5)
    levels += config.brightness * (2 * brightness - 1)
    exposed = np.asarray(cv2.LUT(picture, levels.clip(0, 255).astype(np.uint8)), np.uint8)
    if noisy < 0.5:
        grain = _grain()
        start = rng.integers(len(grain) - exposed.size)
        grains = grain[start : start + exposed.size].reshape(exposed.shape)
        exposed = (exposed + config.noise * noise * grains).clip(0, 255).astype(np.uint8)
    return exposed


@functools.cache
def _grain() -> NDArray[np.float32]:
    """Normal noise to cut pieces from: drawing it anew would take half of a view's time."""
    return np.random.default_rng(0).standard_normal(1 << 18, dtype=np.float32)

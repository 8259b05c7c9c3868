"""Films as another device, archive or e-mail would have left them.

Hospitals differ in sharpness, compression, noise and exposure, and a network that is trained on few of them
learns these for the findings. So half of the views of a film are made softer, half of them noisier, and so
on. All changes are drawn from one generator: a seed gives the same changes on every machine.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

SHRUNK: Final = (0.4, 1.0)  # of the side, and back again
BLUR: Final = (0.0, 0.008)  # deviation of the kernel, in sides
JPEG_QUALITY: Final = (25, 96)
NOISE: Final = (0.0, 6.0)  # deviation, in gray levels
GAMMA: Final = (0.6, 1.6)  # drawn on a logarithmic scale
CONTRAST: Final = (0.75, 1.25)  # around the film's mean
SHARE: Final = 0.5  # of films to which one change is made
# What names the views in a cache of features.
SETTINGS: Final = {
    "shrunk": SHRUNK,
    "blur": BLUR,
    "jpeg_quality": JPEG_QUALITY,
    "noise": NOISE,
    "gamma": GAMMA,
    "contrast": CONTRAST,
    "share": SHARE,
}


def vary_quality(film: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return a film, uint8 [side, side, 1], after some of these changes, each made to half of all films.

    In the order in which a film meets them: gamma and contrast, loss of size, blur, noise, JPEG.
    """
    side = film.shape[0]
    # All are drawn, whatever is used: one change says nothing of the next.
    chosen = generator.random(5) < SHARE
    gamma = np.exp(generator.uniform(*np.log(GAMMA)))
    contrast, shrunk = generator.uniform(*CONTRAST), generator.uniform(*SHRUNK)
    blur, noise = generator.uniform(*BLUR) * side, generator.uniform(*NOISE)
    quality = int(generator.integers(*JPEG_QUALITY))
    values: NDArray[Any] = film[..., 0].astype(np.float32)
    if chosen[0]:
        values = 255 * (values / 255) ** np.float32(gamma)
        values = (values - values.mean()) * np.float32(contrast) + values.mean()
    if chosen[1]:
        size = max(8, round(side * shrunk))
        small = cv2.resize(values, (size, size), interpolation=cv2.INTER_AREA)
        values = cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)
    if chosen[2] and blur > 0.1:
        values = cv2.GaussianBlur(values, (0, 0), blur)
    if chosen[3]:
        values = values + generator.normal(0, noise, values.shape).astype(np.float32)
    result = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    if chosen[4]:
        _, stored = cv2.imencode(".jpg", result, (cv2.IMWRITE_JPEG_QUALITY, quality))
        result = np.asarray(cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE), np.uint8)
    return np.asarray(result[..., None], np.uint8)


def vary_qualities(
    films: NDArray[np.uint8], rows: NDArray[np.integer], seed: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Vary films, uint8 [N, side, side, 1], each by a generator of `seed` and its row."""
    generators = (np.random.default_rng((*seed, int(row))) for row in rows)
    return np.stack([vary_quality(*one) for one in zip(films, generators, strict=True)])

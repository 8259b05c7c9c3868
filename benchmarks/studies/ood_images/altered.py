"""Real X-rays turned into what is none: rotated, negative, cut, squeezed, assembled, photographed.

A mirrored X-ray stays one: it is there to show that the check does not reject whatever was touched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
# Of the pictures, number i, by a generator of its own.
Alter = Callable[[list[Picture], int, np.random.Generator], Picture]


def mirrored(pictures: list[Picture], index: int, rng: np.random.Generator) -> Picture:
    """Left and right exchanged: still a frontal chest X-ray."""
    return pictures[index][:, ::-1].copy()


def on_its_side(pictures: list[Picture], index: int, rng: np.random.Generator) -> Picture:
    """Rotated by 90 degrees, to either side."""
    return np.rot90(pictures[index], int(rng.choice((1, 3)))).copy()


def upside_down(pictures: list[Picture], index: int, rng: np.random.Generator) -> Picture:
    """Rotated by 180 degrees."""
    return np.rot90(pictures[index], 2).copy()


def negative(pictures: list[Picture], index: int, rng: np.random.Generator) -> Picture:
    """Black and white exchanged, as an unconverted MONOCHROME1 file is read."""
    return 255 - pictures[index]


def one_half(pictures: list[Picture], index: int, rng: np.random.Generator) -> Picture:
    """The left or the right half alone, which fills the picture."""
    middle = pictures[index].shape[1] // 2
    return pictures[index][:, :middle] if rng.random() < 0.5 else pictures[index][:, middle:]


def squeezed(pictures: list[Picture], index: int, rng: np.random.Generator) -> Picture:
    """A third of the width, between black sides."""
    height, width = pictures[index].shape
    narrow = cv2.resize(pictures[index], (max(width // 3, 1), height), interpolation=cv2.INTER_AREA)
    sides = width - narrow.shape[1]
    left = sides // 2
    wide = cv2.copyMakeBorder(narrow, 0, 0, left, sides - left, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(wide, np.uint8)


def contact_sheet(pictures: list[Picture], index: int, rng: np.random.Generator) -> Picture:
    """Four X-rays, two by two."""
    four = [pictures[index], *(pictures[int(other)] for other in rng.integers(0, len(pictures), 3))]
    tiles = [cv2.resize(one, (256, 256), interpolation=cv2.INTER_AREA) for one in four]
    return np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])


def photographed(pictures: list[Picture], index: int, rng: np.random.Generator) -> Picture:
    """A photograph of a screen that shows it: askew, smaller, on a gray desk, with glare and moire."""
    side = 512
    scene = np.full((side, side), rng.uniform(60, 200), np.float32)
    film = cv2.resize(pictures[index], (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    film = 30 + 0.75 * film + 8 * np.sin(x * rng.uniform(0.6, 1.2) + y * rng.uniform(0.1, 0.5))
    corners = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float32)
    middle = side / 2 + rng.uniform(-25, 25, 2)
    shrunk = (corners - side / 2) * rng.uniform(0.55, 0.75) + middle + rng.uniform(-35, 35, (4, 2))
    warp = cv2.getPerspectiveTransform(corners, shrunk.astype(np.float32))
    frame = cv2.warpPerspective(np.full((side, side), 1, np.float32), warp, (side, side))
    bezel = cv2.dilate(frame, np.ones((31, 31), np.uint8))
    scene = np.where(bezel > 0, np.float32(20), scene)
    scene = np.where(frame > 0, cv2.warpPerspective(film, warp, (side, side)), scene)
    centre = rng.uniform(100, 412, 2)
    glare = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * rng.uniform(30, 90) ** 2))
    lit = scene + rng.uniform(20, 90) * glare + rng.normal(0, 4, scene.shape)
    picture: Picture = np.clip(cv2.GaussianBlur(lit.astype(np.float32), (0, 0), 1.0), 0, 255).astype(np.uint8)
    return picture


ALTERED: Final[dict[str, Alter]] = {
    "mirrored, which they may be": mirrored,
    "on their side": on_its_side,
    "upside down": upside_down,
    "negatives": negative,
    "one half": one_half,
    "squeezed between black sides": squeezed,
    "four on a sheet": contact_sheet,
    "photographed from a screen": photographed,
}

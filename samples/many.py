"""Draw as many labelled phantoms as wanted, in two folders: with opacities in the lungs, and without.

    python samples/many.py FOLDER --count 15

Both classes are drawn alike but for the opacities: patients of any build, with the marker on either side.
They stand in for a clinic's own films where commands are tried.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from anatomy import Film
from render import Opacity, Phantom, render

CLASSES: Final = ("clear", "opacity")
SIDE: Final = 384  # pixels
# Of opacities, in cm: from the middle, from the upper edge, half widths and half heights.
SIDEWARD: Final = (7.0, 11.0)
DOWNWARD: Final = (8.0, 17.0)
RADII: Final = (1.2, 2.6)
DENSITIES: Final = (0.5, 0.7)


def draw(seed: int, *, ill: bool) -> Phantom:
    """Return a phantom of any build; two of one seed differ in their opacities alone."""
    rng = np.random.default_rng(seed)
    film = Film(
        SIDE,
        SIDE,
        px_per_cm=SIDE / rng.uniform(34.5, 37),
        apex_y_cm=rng.uniform(5.4, 6.8),
        tilt_deg=rng.uniform(-1.5, 1.5),
        width_scale=rng.uniform(0.93, 1.04),
        height_scale=rng.uniform(0.95, 1.05),
        heart_scale=rng.uniform(0.92, 1.1),
        body_thickness_cm=rng.uniform(18.5, 22),
    )
    marker, bubble = ("L", "R")[int(rng.integers(2))], bool(rng.integers(2))
    opacities = [
        Opacity(
            side * rng.uniform(*SIDEWARD),
            rng.uniform(*DOWNWARD),
            rng.uniform(*RADII),
            rng.uniform(*RADII),
            density=rng.uniform(*DENSITIES),
        )
        for side in rng.choice((-1, 1), int(rng.integers(1, 4)))
    ]
    return Phantom(
        "", seed, film, marker=marker, has_stomach_bubble=bubble, opacities=tuple(opacities if ill else ())
    )


def main() -> None:
    """Write the folders."""
    parser = argparse.ArgumentParser(description="Draw labelled phantoms, with opacities and without.")
    parser.add_argument("folder", type=Path, help="folder for one sub-folder a class")
    parser.add_argument("--count", type=int, default=15, help="films of each class (default: 15)")
    options = parser.parse_args()
    for kind, name in enumerate(CLASSES):
        folder = options.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(options.count):
            phantom = draw(1000 * kind + number, ill=bool(kind))
            gray = np.round(render(phantom) * 255).astype(np.uint8)
            (folder / f"{number:03d}.png").write_bytes(cv2.imencode(".png", gray)[1].tobytes())


if __name__ == "__main__":
    main()

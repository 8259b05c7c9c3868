"""Render six simulated frontal chest radiographs ("phantoms"). No patient data goes in or comes out.

Maps of tissue and bone thickness (`anatomy.py`) are summed to line integrals of attenuation, put through
Beer-Lambert's law with scatter and quantum noise, and shown on a film curve as MONOCHROME2: bone bright,
air dark. Every phantom is seeded, so each run draws the same pixels. The six files differ in size and
encoding on purpose. Their names say what was drawn; they are not diagnoses.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anatomy
import cv2
import numpy as np
from anatomy import Film, Map
from numpy.typing import NDArray

MU_SOFT_PER_CM: Final = 0.20  # near 60 keV
MU_BONE_PER_CM: Final = 0.55
LUNG_AIR_FRACTION: Final = 0.74
SCATTER_FRACTION: Final = 0.25  # of the primary beam, behind the grid
PHOTONS_PER_PIXEL: Final = 6e5  # in the open beam; noise, and with it the size of the PNG files, follow
FILM_MIDDLE: Final = 2.75  # optical depth shown as middle gray, and
FILM_LATITUDE: Final = 0.62  # the scale of the sigmoid around it
MARKERS: Final = {
    "L": ((0.0, 0.0), (0.0, 1.6), (1.0, 1.6)),
    "R": ((0.0, 1.6), (0.0, 0.0), (0.8, 0.05), (1.0, 0.4), (0.8, 0.8), (0.0, 0.85), (0.5, 0.85), (1.0, 1.6)),
}


@dataclass(frozen=True, slots=True)
class Opacity:
    """An ill-defined ellipse in which fluid replaces `density` (0..1) of the lung's air.

    `softness` is the width of its edge and `raggedness` the irregularity, both as shares of the radius.
    """

    x_cm: float
    y_cm: float
    half_width_cm: float
    half_height_cm: float
    density: float = 0.85
    softness: float = 0.18
    raggedness: float = 0.1


@dataclass(frozen=True, slots=True)
class Phantom:
    """One drawing; the border left, top, right and bottom is what the collimator covers."""

    file_name: str
    seed: int
    film: Film
    encoding: str = "gray8"  # a key of ENCODINGS
    marker: str = "L"  # a key of MARKERS, drawn on the side that it names
    border_cm: tuple[float, float, float, float] = (0.3, 0.3, 0.3, 0.3)
    has_stomach_bubble: bool = False
    opacities: tuple[Opacity, ...] = ()


def haze(*patches: tuple[float, float, float, float]) -> tuple[Opacity, ...]:
    """Ground-glass patches, thin and soft, each given as x, y, half width and half height in cm."""
    return tuple(Opacity(*patch, density=0.52, softness=0.28, raggedness=0.24) for patch in patches)


PHANTOMS: Final = (
    Phantom("phantom_normal_1.png", 11, Film(768, 768), has_stomach_bubble=True),
    Phantom(
        "phantom_normal_2.jpg",
        12,
        Film(1024, 900, 25.5, 6.8, -1.2, width_scale=0.93, height_scale=1.06, heart_scale=0.92),
        marker="R",
        border_cm=(0.1, 1.1, 0.2, 0.4),
    ),
    Phantom(
        "phantom_focal_1.png",
        21,
        Film(768, 784, 21.5, 5.4, 0.8, body_thickness_cm=19),
        "gray16",
        border_cm=(0.5, 0.2, 0.9, 0.2),
        opacities=(Opacity(-8.2, 14.2, 4.6, 4.2), Opacity(-5.5, 11.5, 2, 2, 0.4)),
    ),
    Phantom(
        "phantom_focal_2.jpg",
        22,
        Film(900, 960, 25, width_scale=1.02, heart_scale=1.08, body_thickness_cm=21.5),
        marker="R",
        has_stomach_bubble=True,
        opacities=(Opacity(8.6, 17.2, 4.6, 4), Opacity(6.5, 13.5, 2, 1.8, 0.4)),
    ),
    Phantom(
        "phantom_bilateral_1.png",
        31,
        Film(800, 768, 20.5, 6.6, height_scale=0.96),
        border_cm=(0.2, 0.6, 0.2, 0.9),
        opacities=haze((-11, 12.5, 2.6, 3.6), (-9.5, 17, 3.4, 2.6), (11.3, 14.5, 2.4, 4), (9.5, 9, 2.2, 1.8)),
    ),
    Phantom(
        "phantom_bilateral_2.png",
        32,
        Film(768, 820, 21.5, tilt_deg=1.5, heart_scale=1.05, body_thickness_cm=21),
        "rgb8",
        marker="R",
        has_stomach_bubble=True,
        opacities=haze((-10.5, 9, 2.2, 2.4), (-12, 15.5, 2.2, 3.6), (11.6, 12, 2, 3), (10.2, 17.8, 3, 2.8)),
    ),
)


def texture(film: Film, rng: np.random.Generator, grain_cm: float) -> Map:
    """Smooth noise of mean 0 and a standard deviation near 1, without a unit."""
    cells = [max(4, round(side / film.px_per_cm / grain_cm)) for side in (film.height_px, film.width_px)]
    grid = 1.4 * rng.standard_normal(cells)
    noise = cv2.resize(grid, (film.width_px, film.height_px), interpolation=cv2.INTER_CUBIC)
    return np.asarray(noise, np.float64)


def filled_share(film: Film, opacities: tuple[Opacity, ...], rng: np.random.Generator) -> Map:
    """Share 0..1 of the lung's air that the opacities replace."""
    aerated = np.ones_like(film.empty())
    rows, columns = np.indices(aerated.shape)
    for spot in opacities:
        x, y = film.to_px((spot.x_cm, spot.y_cm))
        radius = (
            np.hypot((columns - x) / spot.half_width_cm, (rows - y) / spot.half_height_cm) / film.px_per_cm
        )
        cloud = texture(film, rng, 2.4) + 0.6 * texture(film, rng, 1.2) + 0.3 * texture(film, rng, 0.5)
        outward = (radius + spot.raggedness * cloud - 1) / spot.softness
        aerated *= 1 - spot.density / (1 + np.exp(np.clip(outward, -30, 30)))
    return 1 - aerated


def line_integrals(phantom: Phantom, rng: np.random.Generator) -> Map:
    """Attenuation along each ray: coefficients times thicknesses, summed, without a unit."""
    film = phantom.film
    vessels = anatomy.lung_markings(film, rng)
    fluid = filled_share(film, phantom.opacities, rng)
    lungs = np.maximum(anatomy.lung_fields(film) - anatomy.heart_and_vessels(film), 0)
    air = LUNG_AIR_FRACTION * lungs * (1 + 0.02 * texture(film, rng, 0.9))
    # Vessels count thrice, for those that lie one behind the other; in fluid the bronchi beside them show.
    air = np.maximum(air - 3 * vessels, 0) * (1 - fluid) + 0.6 * vessels * fluid * (lungs > 0)
    air += anatomy.airways(film)
    if phantom.has_stomach_bubble:
        air += anatomy.stomach_bubble(film)
    tissue = anatomy.body(film) * (1 + 0.006 * texture(film, rng, 3) + 0.004 * texture(film, rng, 0.8))
    bone = anatomy.ribs(film) + anatomy.shoulders(film) + anatomy.vertebrae(film)
    return MU_SOFT_PER_CM * np.maximum(tissue - air, 0) + MU_BONE_PER_CM * bone


def exposed(film: Film, attenuation: Map, rng: np.random.Generator) -> Map:
    """Optical depth that the detector reads: with scatter, quantum noise and the detector's blur."""
    primary = np.exp(-attenuation)
    # The open beam beside the body is capped: it would scatter a halo far into the trunk.
    signal = primary + SCATTER_FRACTION * film.blur(np.minimum(primary, 0.3), 2.5)
    noise = rng.standard_normal(signal.shape) / np.sqrt(PHOTONS_PER_PIXEL * signal)
    return film.blur(noise - np.log(signal), 0.035)


def developed(film: Film, depth: Map) -> Map:
    """Gray 0..1: the mild edge enhancement of digital radiography, then a sigmoid film curve."""
    enhanced = depth + 0.35 * (depth - film.blur(depth, 1.2))
    return 1 / (1 + np.exp((FILM_MIDDLE - enhanced) / FILM_LATITUDE))


def collimated(phantom: Phantom, gray: Map) -> Map:
    """Gray 0..1 with the lead marker inside the field and black outside it."""
    film = phantom.film
    left, top, right, bottom = (round(side * film.px_per_cm) for side in phantom.border_cm)
    x = left + 1.6 * film.px_per_cm if phantom.marker == "R" else film.width_px - right - 2.6 * film.px_per_cm
    strokes = np.array(MARKERS[phantom.marker]) * film.px_per_cm + (x, top + 1.2 * film.px_per_cm)
    lead = np.zeros(gray.shape, np.uint8)
    bits = anatomy.FIXED_POINT_BITS
    cv2.polylines(lead, [anatomy.fixed_point(strokes)], False, 245, 4, cv2.LINE_AA, bits)
    field = np.s_[top : film.height_px - bottom, left : film.width_px - right]
    framed = film.empty()
    framed[field] = np.maximum(gray, lead / 255.0)[field]
    return framed


def render(phantom: Phantom) -> Map:
    """Gray 0..1 of one phantom, MONOCHROME2."""
    rng = np.random.default_rng(phantom.seed)
    depth = exposed(phantom.film, line_integrals(phantom, rng), rng)
    return collimated(phantom, developed(phantom.film, depth))


ENCODINGS: Final[dict[str, Callable[[Map], NDArray[np.integer]]]] = {
    "gray8": lambda gray: np.round(gray * 255).astype(np.uint8),
    "gray16": lambda gray: np.round(gray * 4095).astype(np.uint16),  # 12 bits used, as by many detectors
    "rgb8": lambda gray: np.repeat(np.round(gray * 255).astype(np.uint8)[..., None], 3, axis=2),
}
WRITE_OPTIONS: Final = {
    ".png": (cv2.IMWRITE_PNG_COMPRESSION, 6),
    ".jpg": (cv2.IMWRITE_JPEG_QUALITY, 90),
}


def main() -> None:
    """Write the six files."""
    parser = argparse.ArgumentParser(description="Render six simulated chest radiographs.")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).parent,
        help="folder to write to (default: the script's own)",
    )
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for phantom in PHANTOMS:
        path = folder / phantom.file_name
        _, encoded = cv2.imencode(
            path.suffix, ENCODINGS[phantom.encoding](render(phantom)), WRITE_OPTIONS[path.suffix]
        )
        path.write_bytes(encoded.tobytes())


if __name__ == "__main__":
    main()

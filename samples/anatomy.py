"""Schematic chest anatomy projected onto a film: maps of thickness in cm for `render.py`.

Outlines are written in cm, x from the midline, positive to the patient's left (image right), y downward
from the apex of the lungs, for an average adult; a `Film` scales them, tilts them and turns them into
pixels. Maps are float64, so that processors and library versions round to the same gray levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Map = NDArray[np.float64]  # [height_px, width_px]; thickness in cm unless a docstring says otherwise
Points = NDArray[np.float64]  # [N, 2]; x and y in cm, or in pixels where the name says so

Piece = tuple[Points, Points, int]  # start and end of a vessel, and how often it will still fork

FIXED_POINT_BITS: Final = 4  # sub-pixel bits of the coordinates that OpenCV draws with
VERTEBRA_PITCH_CM: Final = 2.05
# Start and end in degrees around the chest, half width and density in cm: the posterior part, and the
# anterior part in three layers, so that it fades into cartilage.
RIB_ARCS: Final = ((2, 105, 0.48, 0.55), (90, 122, 0.55, 0.16), (90, 134, 0.6, 0.14), (90, 146, 0.62, 0.1))


@dataclass(frozen=True, slots=True)
class Film:
    """Geometry of one projection: the film, where the patient stands on it and how he or she is built.

    The scales multiply an average adult; `apex_y_cm` is the distance from the film's upper edge to the
    apex of the lungs, `body_thickness_cm` the depth of the chest along the rays.
    """

    height_px: int
    width_px: int
    px_per_cm: float = 21.0
    apex_y_cm: float = 6.0
    tilt_deg: float = 0.0
    width_scale: float = 1.0
    height_scale: float = 1.0
    heart_scale: float = 1.0
    body_thickness_cm: float = 20.0

    def empty(self) -> Map:
        """A map of zeros."""
        return np.zeros((self.height_px, self.width_px))

    def to_px(self, points: ArrayLike) -> Points:
        """Map anatomy in cm to pixels."""
        sine, cosine = np.sin(np.deg2rad(self.tilt_deg)), np.cos(np.deg2rad(self.tilt_deg))
        scaled = np.asarray(points) * (self.width_scale, self.height_scale) * self.px_per_cm
        origin = (self.width_px / 2, self.apex_y_cm * self.px_per_cm)
        return np.asarray(scaled @ np.array([[cosine, sine], [-sine, cosine]]) + origin)

    def rows_cm(self) -> Map:
        """Height of every row in cm of anatomy, [height_px, 1], tilt disregarded."""
        return (np.arange(self.height_px)[:, None] / self.px_per_cm - self.apex_y_cm) / self.height_scale

    def fill(self, *outline: ArrayLike) -> Map:
        """Rasterise one closed outline, given in one or several pieces: coverage 0..1, antialiased."""
        canvas = np.zeros((self.height_px, self.width_px), np.uint8)
        corners = fixed_point(self.to_px(np.concatenate([np.asarray(piece) for piece in outline])))
        cv2.fillPoly(canvas, [corners], 255, cv2.LINE_AA, FIXED_POINT_BITS)
        return canvas / 255.0

    def blur(self, image: Map, sigma_cm: float) -> Map:
        """Blur with a Gaussian; a wide one at a fraction of the resolution, where it costs little."""
        sigma_px = sigma_cm * self.px_per_cm
        step = max(1, int(sigma_px / 4))
        height, width = image.shape
        small = cv2.resize(image, (width // step, height // step), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), sigma_px / step)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float64)


def fixed_point(points_px: Points) -> NDArray[np.int32]:
    """Pixels as the integers that OpenCV draws at sub-pixel places."""
    return np.round(points_px * (1 << FIXED_POINT_BITS)).astype(np.int32)


def smooth(*points: tuple[float, float]) -> Points:
    """Catmull-Rom curve through the points, 16 samples a span."""
    knots = np.array(points)
    knots = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
    before, start, end, after = (knots[i : len(knots) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, 16)[None, :, None]
    cubic = after - before + 3 * (start - end)
    square = 2 * before - 5 * start + 4 * end - after
    curve = start + 0.5 * t * (end - before + t * (square + t * cubic))
    return np.asarray(curve.reshape(-1, 2))


def mirror(points: Points, side: int) -> Points:
    """The outline on the patient's left (side 1) or right (side -1)."""
    return points * (side, 1)


def ellipse(x: float, y: float, half_width: float, half_height: float) -> Points:
    """Closed outline around a centre, all in cm."""
    angle = np.linspace(0, 2 * np.pi, 60)
    return np.stack([x + half_width * np.cos(angle), y + half_height * np.sin(angle)], axis=1)


def band(path: Points, half_widths: ArrayLike) -> Points:
    """Outline of a ribbon along the path; its half width may change from the start to the end."""
    tangent = np.gradient(path, axis=0)
    normal = tangent[:, ::-1] * (-1, 1) / np.maximum(np.hypot(*tangent.T), 1e-9)[:, None]
    first, last = np.broadcast_to(half_widths, 2).tolist()
    half = np.linspace(first, last, len(path))[:, None]
    return np.concatenate([path + half * normal, (path - half * normal)[::-1]])


def hollow(film: Film, path: Points, half_widths: ArrayLike, density_cm: float) -> Map:
    """A tubular bone: its edges, where rays run along the cortex, are denser than its middle."""
    marrow = film.fill(band(path, np.multiply(half_widths, 0.7)))
    return density_cm * (film.fill(band(path, half_widths)) - 0.4 * marrow)


def rounded(film: Film, mask: Map, radius_cm: float) -> Map:
    """Depth 0..1 of a body with this silhouette, round over the last `radius_cm` to its edge."""
    distance_px = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5).astype(np.float64)
    inward = np.clip(film.blur(distance_px / film.px_per_cm, 0.25) / radius_cm, 0, 1)
    return mask * np.sqrt(1 - (1 - inward) ** 2)


def chest_half_width(y: ArrayLike) -> NDArray[np.float64]:
    """Half the inner width of the rib cage in cm at the height y in cm."""
    return 13.9 * np.sqrt(np.clip(1 - ((np.asarray(y) - 19) / 20.5) ** 2, 0, 1))


def body(film: Film) -> Map:
    """Soft tissue of trunk, neck and arms, as if there were no lungs."""
    trunk = smooth(
        (5.2, -9), (5.3, -5.5), (7.5, -3.8), (13, -3), (17.5, -1.8), (17.5, 12), (16, 20), (15.8, 34)
    )
    shoulder = smooth((15, -2.6), (18.5, -1.9), (21, 1), (23.5, 8), (27, 20))
    axilla = smooth((22, 20), (18.5, 12), (16.5, 7.5), (12, 4))
    mask = film.fill(trunk, mirror(trunk, -1)[::-1])
    for side in (-1, 1):
        mask = np.maximum(mask, film.fill(mirror(shoulder, side), mirror(axilla, side)))
    depth = np.interp(film.rows_cm(), (-6, 0, 7, 16, 26), (0.62, 0.76, 0.95, 1, 1.06))
    return film.blur(rounded(film, mask, 3.5) * depth * film.body_thickness_cm, 0.1)


def lung_fields(film: Film) -> Map:
    """Depth of both lungs; the right dome of the diaphragm stands about 1 cm above the left."""
    depth = film.empty()
    for side, dome in ((-1, 18.7), (1, 19.8)):
        y = np.linspace(0.9, dome + 3.6, 40)
        lateral = np.stack([chest_half_width(y) - 0.35, y], axis=1)
        base = smooth((13.4, dome + 3.6), (10.6, dome + 1), (7, dome), (4, dome + 0.5), (1.8, dome + 1.3))
        medial = smooth((1.7, dome + 1.2), (1.3, 12), (1.5, 6), (2.2, 2), (3, 0.2), (4.2, -0.4), (5.4, 0))
        silhouette = film.fill(*(mirror(piece, side) for piece in (lateral, base, medial)))
        depth = np.maximum(depth, rounded(film, silhouette, 4.5))
    share = np.interp(film.rows_cm(), (0, 5, 12, 20), (0.42, 0.68, 0.74, 0.66))
    return depth * share * film.body_thickness_cm


def heart_and_vessels(film: Film) -> Map:
    """Soft tissue of heart, aorta, mediastinum and hila, which takes the place of lung."""
    right = smooth((-2, 7), (-2.9, 10.5), (-3.9, 14), (-3.7, 17.5), (-2, 20.5))
    left = smooth((3, 21.5), (7.5, 20.8), (9, 18.6), (8.2, 15.4), (6, 12), (4.3, 9.4), (3.6, 7.6), (0, 5.5))
    heart = film.fill(*(piece * (film.heart_scale, 1) for piece in (right, left)))
    veins = smooth((-2.3, -2), (-2.2, 3), (-2.6, 7), (-2.8, 11), (-2.2, 15), (0, 17))
    arteries = smooth((0, 17), (2.4, 12), (2.9, 9), (2.7, 7.2), (2.5, 4), (2.5, 0), (2.6, -2))
    knob = film.fill(ellipse(1.7, 5.6, 2.3, 2))
    descending = film.fill(band(smooth((2.7, 6), (2.4, 10), (1.7, 16), (1, 23)), (1.3, 1.1)))
    hila = film.fill(ellipse(-3.5, 9.8, 1, 1.9)) + film.fill(ellipse(3.9, 9, 1, 1.9))
    return (
        9.5 * rounded(film, heart, 4)
        + 6 * film.blur(film.fill(veins, arteries), 0.12)
        + 5 * rounded(film, knob, 1.8)
        + 1.6 * rounded(film, descending, 1.2)
        + 1.6 * film.blur(hila, 0.6)
    )


def airways(film: Film) -> Map:
    """Air in the trachea and the main bronchi."""
    trachea = film.fill(band(smooth((0, -9), (0, -2), (-0.2, 3), (-0.3, 7.4)), (0.85, 0.8)))
    right = film.fill(band(smooth((-0.4, 7), (-1.8, 8.4), (-3.2, 9.8)), (0.7, 0.5)))
    left = film.fill(band(smooth((-0.2, 7), (1.6, 8.2), (3.6, 9.2)), (0.65, 0.4)))
    return film.blur(2.2 * np.maximum(trachea, 0.6 * np.maximum(left, right)), 0.12)


def stomach_bubble(film: Film) -> Map:
    """Air under the left dome, above a fluid level."""
    outline = smooth((3.2, 22.9), (4.2, 21.7), (6.4, 21.2), (8.8, 21.9), (9.6, 23.1))
    return 3.5 * rounded(film, film.fill(outline), 1.6)


def ribs(film: Film) -> Map:
    """Ten pairs, each a tilted ring: its posterior part near the horizontal, its anterior part steep."""
    bone = film.empty()
    for number in range(10):
        at_spine = VERTEBRA_PITCH_CM * number - 1.2
        drop = min(4.5 + 0.85 * number, 9.5)
        reach = float(chest_half_width(at_spine + drop / 2)) - 1.5
        shorter_deg = 5 * max(0, number - 5)
        for start, end, half_width, density in RIB_ARCS:
            anterior = start > 2
            angle = np.deg2rad(np.linspace(start, end - shorter_deg * anterior, 40))
            rise = 0.5 * np.sin(2 * np.minimum(angle, np.pi / 2))
            y = at_spine + drop * (1 - np.cos(angle)) / 2 - rise
            path = np.stack([1.4 + reach * np.sin(angle), y], axis=1)
            for side in (-1, 1):
                bone += hollow(film, mirror(path, side), (0.9 * half_width, 1.1 * half_width), density)
    return film.blur(bone, 0.05)


def shoulders(film: Film) -> Map:
    """Clavicles, shoulder blades, and heads and shafts of the upper arms."""
    clavicle = smooth((1.6, 2.4), (3.5, 1.6), (7, 0.5), (10.5, -1.2), (14, -1.9), (16.2, -1.7))
    medial = smooth((15.2, 0.2), (12.6, 1), (12.4, 5), (13.4, 11.5))
    lateral = smooth((13.4, 11.5), (14.1, 11.8), (14.8, 7), (15.9, 3), (15.2, 0.2))
    spine = smooth((12.3, 2), (14, 0.3), (17.6, -1.6))
    shaft = smooth((17.5, 1.6), (18.6, 5), (21, 13), (23, 20))
    bone = film.empty()
    for side in (-1, 1):
        bone += hollow(film, mirror(clavicle, side), (0.75, 0.5), 0.9)
        bone += 0.22 * film.fill(mirror(medial, side), mirror(lateral, side))
        bone += hollow(film, mirror(lateral, side), 0.3, 0.35)
        bone += hollow(film, mirror(spine, side), (0.3, 0.6), 0.4)
        head = 1.1 * rounded(film, film.fill(ellipse(side * 17.2, 0.9, 2, 2.2)), 1.4)
        bone += np.maximum(head, hollow(film, mirror(shaft, side), 1, 0.9))
    return film.blur(bone, 0.05)


def vertebrae(film: Film) -> Map:
    """Bodies with disc spaces between them, pedicles and spinous processes."""
    bone = 0.25 * film.fill([(-1, -12), (1, -12), (2, 36), (-2, 36)])
    for number, top in enumerate(np.arange(-9.2, 32, VERTEBRA_PITCH_CM)):
        half = 1.35 + 0.028 * number
        edge = smooth((half, top), (half - 0.2, top + 0.9), (half, top + 1.75))
        bone += 0.35 * film.fill(edge, mirror(edge, -1)[::-1])
        for x in (-0.62 * half, 0.62 * half):
            bone += 0.3 * film.fill(ellipse(x, top + 0.7, 0.34, 0.5))
            bone -= 0.18 * film.fill(ellipse(x, top + 0.7, 0.2, 0.34))
        bone += 0.35 * film.fill(ellipse(0, top + 1.7, 0.28, 0.55))
    return film.blur(bone, 0.09)


def branch(
    rng: np.random.Generator, start: Points, heading: float, length: float, order: int
) -> Iterator[Piece]:
    """Yield (start, end, order) of every piece of a forking tree; heading in radians, length in cm."""
    end = start + length * np.array([np.cos(heading), np.sin(heading)])
    yield start, end, order
    if order:
        side = rng.choice((-1, 1))
        onward, aside = heading + side * rng.uniform(0, 0.35), heading - side * rng.uniform(0.35, 0.9)
        yield from branch(rng, end, onward, length * rng.uniform(0.75, 1), order - 1)
        yield from branch(rng, end, aside, length * rng.uniform(0.6, 1), max(0, order - 2))


def lung_markings(film: Film, rng: np.random.Generator) -> Map:
    """Vessels that fork from both hila and thin out towards the chest wall."""
    diameters_cm = 0.06 * 1.36 ** np.arange(8)
    layers = np.zeros((len(diameters_cm), film.height_px, film.width_px), np.uint8)
    for side, hilum in ((-1, (-3.4, 9.6)), (1, (3.8, 8.9))):
        for heading in np.linspace(-1.3, 1.4, 8) + rng.uniform(-0.25, 0.25, 8):
            outward = heading if side > 0 else np.pi - heading
            root = hilum + rng.uniform(-0.5, 0.5, 2) * (1, 2)
            for start, end, order in branch(rng, root, outward, rng.uniform(1.2, 2.2), len(layers) - 1):
                root_px, tip_px = fixed_point(film.to_px([start, end])).tolist()
                width_px = max(1, round(diameters_cm[order] * film.px_per_cm))
                cv2.line(layers[order], root_px, tip_px, 255, width_px, cv2.LINE_AA, FIXED_POINT_BITS)
    depths = (layer / 255.0 * diameter for layer, diameter in zip(layers, diameters_cm, strict=True))
    return film.blur(np.maximum.reduce(list(depths)), 0.045)

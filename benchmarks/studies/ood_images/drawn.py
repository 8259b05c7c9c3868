"""Pictures drawn from nothing: noise, blanks, text, screens, and simulated radiographs of other things.

The radiographs are caricatures, as `samples/` are: ellipses and strokes of absorbing matter, blurred, with
grain. They have the tones and the smoothness of an X-ray and another anatomy.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Plane = NDArray[np.float32]
Point = tuple[float, float]
Place = Point | NDArray[np.floating]

SIDE: Final = 512
FONTS: Final = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_COMPLEX)
LETTERS: Final = "aaabcdeeeefghiiijklmnnoooprrssttuuvwxyz"


def noise(rng: np.random.Generator) -> Picture:
    """Uniform, normal or smooth noise of several octaves; the brightness varies."""
    kind = rng.integers(3)
    if kind == 0:
        return rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    if kind == 1:
        return _to_picture(rng.normal(rng.uniform(40, 215), rng.uniform(10, 60), (SIDE, SIDE)))
    plane = np.zeros((SIDE, SIDE), np.float32)
    coarsest = int(rng.integers(2, 7))
    for octave in range(coarsest, 9):
        rough = rng.normal(0, 1, (2**octave, 2**octave)).astype(np.float32)
        plane += cv2.resize(rough, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) / 2 ** (octave - coarsest)
    return _to_picture(rng.uniform(80, 176) + rng.uniform(20, 60) * plane)


def blank(rng: np.random.Generator) -> Picture:
    """One gray level, or a straight ramp between two."""
    first, second = rng.integers(0, 256, 2)
    if rng.random() < 0.5:
        return np.full((SIDE, SIDE), first, np.uint8)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    along = (x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(2)
    return _to_picture((first + second) / 2 + (float(second) - float(first)) / 2 * along)


def text(rng: np.random.Generator) -> Picture:
    """A page of words, dark on light or the other way round."""
    page = np.full((640, 480), int(rng.integers(225, 256)), np.uint8)
    size, line = float(rng.uniform(0.4, 0.9)), float(rng.uniform(16, 34))
    y = float(rng.uniform(20, 60))
    while y < 640 - rng.uniform(10, 120):
        words = [_word(rng) for _ in range(int(rng.integers(3, 14)))]
        start = (int(rng.uniform(15, 40)), int(y))
        cv2.putText(page, " ".join(words), start, int(rng.choice(FONTS)), size, int(rng.integers(0, 60)))
        y += line * (2 if rng.random() < 0.15 else 1)
    return 255 - page if rng.random() < 0.3 else page


def screen(rng: np.random.Generator) -> Picture:
    """A desktop: windows with title bars, buttons, text, and charts of lines and bars."""
    picture = np.full((600, 800), int(rng.integers(20, 240)), np.uint8)
    for _ in range(int(rng.integers(2, 6))):
        x, y = (int(value) for value in rng.integers(0, 420, 2))
        width, height = (int(value) for value in rng.integers(160, 380, 2))
        face, ink = (245, 40) if rng.random() < 0.6 else (35, 215)
        cv2.rectangle(picture, (x, y), (x + width, y + height), face, -1)
        cv2.rectangle(picture, (x, y), (x + width, y + 24), int(rng.integers(60, 200)), -1)
        cv2.putText(picture, _word(rng), (x + 8, y + 17), FONTS[0], 0.5, face)
        _window(rng, picture[y + 28 : y + height, x + 6 : x + width - 6], ink)
    return picture


def _window(rng: np.random.Generator, inside: Picture, ink: int) -> None:
    """Fill a window, in place: with text, a line chart or bars."""
    height, width = inside.shape
    kind = rng.integers(3)
    if kind == 0:
        for line in range(16, height, 18):
            words = " ".join(_word(rng) for _ in range(int(rng.integers(1, 8))))
            cv2.putText(inside, words, (2, line), FONTS[0], 0.42, ink)
    elif kind == 1:
        steps = np.cumsum(rng.normal(0, height / 15, max(width // 6, 2))) + height / 2
        points = np.stack([np.arange(len(steps)) * 6, np.clip(steps, 0, height)], axis=1)
        cv2.polylines(inside, [points.astype(np.int32)], False, ink, 2)
    else:
        for left in range(4, width - 14, 22):
            top = int(rng.integers(0, max(height, 1)))
            cv2.rectangle(inside, (left, top), (left + 14, height), int(rng.integers(60, 200)), -1)


def ct_slice(rng: np.random.Generator) -> Picture:
    """A cross-section of a chest: body wall, two lungs, heart, spine and ribs on black."""
    plane = np.zeros((SIDE, SIDE), np.float32)
    wide, high = rng.uniform(190, 235), rng.uniform(130, 175)
    _ellipse(plane, (256, 256), (wide, high), 120)
    _ellipse(plane, (256, 256), (wide - 14, high - 12), 150)
    for side in (-1, 1):
        at = (256 + side * wide * 0.45, 256 - rng.uniform(0, 20))
        lung = (wide * rng.uniform(0.3, 0.38), high * rng.uniform(0.6, 0.75))
        _ellipse(plane, at, lung, rng.uniform(15, 45))
        for _ in range(int(rng.integers(8, 25))):
            vessel = (at[0] + rng.normal(0, wide * 0.15), at[1] + rng.normal(0, high * 0.25))
            _ellipse(plane, vessel, (rng.uniform(1, 4), rng.uniform(1, 4)), rng.uniform(90, 160))
    _ellipse(plane, (256 + rng.uniform(0, 40), 225), (wide * 0.24, high * 0.35), 170)
    _ellipse(plane, (256, 256 + high * 0.6), (26, 24), 235)
    _ellipse(plane, (256, 256 + high * 0.78), (7, 20), 225)
    for angle in np.linspace(0, 2 * np.pi, int(rng.integers(10, 18)), endpoint=False):
        rib = (256 + (wide - 20) * np.cos(angle), 256 + (high - 18) * np.sin(angle))
        _ellipse(plane, rib, (10, 5), 225, np.degrees(angle) + 90)
    return _expose(rng, plane, blur=1.2)


def hand(rng: np.random.Generator) -> Picture:
    """A hand from above: soft tissue with the bones of wrist, palm and five fingers on black."""
    plane = np.full((SIDE, SIDE), rng.uniform(5, 30), np.float32)
    soft, bone = rng.uniform(60, 95), rng.uniform(150, 220)
    angles = np.radians(np.array([-62, -22, -6, 9, 26]) + rng.normal(0, 4, 5))
    lengths = np.array([150, 225, 245, 230, 185]) * rng.uniform(0.85, 1.05)
    wrist, tilt = np.array([256.0, 400.0]), rng.normal(0, 0.2)
    cv2.ellipse(plane, (256, 350), (85, 95), 0, 0, 360, soft, -1)
    _stroke(plane, (256, 380), (256, 520), 95, soft)
    ways = [np.array([np.sin(angle + tilt), -np.cos(angle + tilt)]) for angle in angles]
    for way, length in zip(ways, lengths, strict=True):
        _stroke(plane, wrist + 70 * way, wrist + (70 + length) * way, 34, soft)
    for way, length in zip(ways, lengths, strict=True):
        joints = wrist + np.outer(40 + np.array([0, 0.45, 0.75, 0.93, 1.0]) * (30 + length), way)
        for start, end in pairwise(joints):
            along = (end - start) / max(float(np.linalg.norm(end - start)), 1)
            _stroke(plane, start + 5 * along, end - 5 * along, 13, bone)
    for _ in range(8):
        _ellipse(plane, wrist + rng.normal(0, 18, 2), (14, 11), bone * 0.95)
    for side in (-1, 1):
        _stroke(plane, wrist + np.array((side * 22, 35)), wrist + np.array((side * 26, 130)), 26, bone)
    return _expose(rng, plane, blur=2.5)


def lateral(rng: np.random.Generator) -> Picture:
    """A chest from the side: one lung field, heart in front, spine behind, arms up."""
    plane = np.full((SIDE, SIDE), rng.uniform(5, 30), np.float32)
    cv2.ellipse(plane, (256, 290), (190, 330), 0, 0, 360, rng.uniform(130, 165), -1)
    behind, in_front = [(375, 170), (395, 330), (370, 430)], [(240, 390), (150, 330), (145, 180)]
    lung = np.array([(180, 90), (300, 75), *behind, *in_front]) + rng.normal(0, 10, (8, 2))
    cv2.fillPoly(plane, [lung.astype(np.int32)], rng.uniform(50, 80))
    _ellipse(plane, (205, 305), (rng.uniform(60, 85), rng.uniform(75, 100)), rng.uniform(150, 185), 30)
    for step in range(12):
        at = (385 + 25 * np.sin(step / 3.5), 40 + step * 40)
        _ellipse(plane, at, (24, 15), rng.uniform(175, 215))
    for step in range(9):
        start, end = (365, 90 + 38 * step), (140 + 8 * step, 170 + 40 * step)
        _stroke(plane, start, end, 5, float(plane[start[1], start[0]]) + 18)
    cv2.ellipse(plane, (255, 470), (150, 85), 0, 180, 360, rng.uniform(175, 200), -1)
    _stroke(plane, (150, 60), (110, -30), 70, 150)
    picture = _expose(rng, plane, blur=5)
    return picture[:, ::-1].copy() if rng.random() < 0.5 else picture


def _word(rng: np.random.Generator) -> str:
    return "".join(rng.choice(list(LETTERS), int(rng.integers(2, 10))))


def _ellipse(plane: Plane, at: Place, radii: Point, tone: float, angle: float = 0) -> None:
    x, y = at
    axes = (2 * radii[0], 2 * radii[1])
    cv2.ellipse(plane, ((float(x), float(y)), axes, float(angle)), float(tone), -1)


def _stroke(plane: Plane, start: Place, end: Place, width: int, tone: float) -> None:
    first, last = ((round(float(x)), round(float(y))) for x, y in (start, end))
    cv2.line(plane, first, last, float(tone), width)


def _expose(rng: np.random.Generator, plane: Plane, *, blur: float) -> Picture:
    """Blur, put grain on, and turn a little brighter or darker."""
    soft = cv2.GaussianBlur(plane, (0, 0), blur) * rng.uniform(0.85, 1.1)
    return _to_picture(soft + rng.normal(0, rng.uniform(1, 5), plane.shape))


def _to_picture(plane: NDArray[np.floating]) -> Picture:
    picture: Picture = np.clip(np.rint(plane), 0, 255).astype(np.uint8)
    return picture


DRAWN: Final[dict[str, Callable[[np.random.Generator], Picture]]] = {
    "noise": noise,
    "blanks and ramps": blank,
    "pages of text, drawn": text,
    "screens, drawn": screen,
    "CT slices, drawn": ct_slice,
    "hands, drawn": hand,
    "lateral chests, drawn": lateral,
}

"""A reference for the tiny model, whose one feature is a picture's mean gray, and films for it.

Films of the known hospital have a mean gray of 100 with a standard deviation of 4.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from specimens import png

from xray_infer.model.alarm_reference import AlarmReference, position_bytes
from xray_infer.model.manifest_parts import LeftOutAccuracy
from xray_infer.run.results import OK, Row

ACCURACY = LeftOutAccuracy(0.57, (0.5, 0.634))
KNOWN, STRANGE = 100, 140


def example_alarm() -> AlarmReference:
    """A limit of 4 standard deviations of the squared distance for one folder in a hundred."""

    def vector(*values: float) -> np.ndarray:
        return np.array(values, np.float32)

    return AlarmReference(
        basis=np.array([[127]], np.int8),
        scale=vector(1 / 127),
        offset=vector(90),
        corners=np.array([[10.0]], np.float32),
        noise=vector(16),
        spread=vector(16 * 2**0.5),
        films=vector(1000),
        names=("known, normal",),
        tolerance=0.01,
        base=-0.6,
        slope=1.0,
        accuracy=ACCURACY,
    )


def position(gray: float) -> bytes:
    """Where a film of this mean gray stands."""
    return position_bytes(example_alarm().positions(np.array([[gray]]))[0])


def rows(folder: str, count: int, *, gray: float = KNOWN, station: str = "", seed: int = 0) -> list[Row]:
    """Judged films of a folder."""
    grays = np.random.default_rng(seed).normal(gray, 4, count)
    return [
        Row(f"{folder}{index}.png", OK, "", "", "", position=position(one), station=station)
        for index, one in enumerate(grays)
    ]


def plant(folder: Path, count: int, *, gray: int = KNOWN) -> None:
    """Write flat films, whose grays differ a little."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        pixels = np.full((64, 64), gray + index % 9 - 4, np.uint8)
        pixels[0, index % 64] = 255
        (folder / f"{index:03}.png").write_bytes(png(pixels))

"""Labels of points that neither overlap each other nor leave the axes, with a line where they stand off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import cos, pi, sin
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from xray_infer.benchmarks.report.drawing import INK, QUIET

DISTANCES: Final = (9, 14, 20, 28, 38, 50, 64, 80, 100, 124)  # from the point, in points of 1/72 inch
ANGLES: Final = 24
ROOM: Final = 2  # pixels around a label
CLEAR: Final = 5  # points around a marker that a label keeps off


def label_points(axes: Axes, points: Sequence[tuple[float, float]], texts: Sequence[str]) -> None:
    """Label points, given in data coordinates, after everything else was drawn.

    The nearest free place wins, and points with few neighbours are served first. A label without a free place
    is left out, so the caller says elsewhere what the points are.
    """
    figure = axes.figure
    figure.draw_without_rendering()  # type: ignore[union-attr]
    scale = figure.dpi / 72
    spots = [axes.transData.transform(point) for point in points]
    taken = [Bbox.from_extents(x - CLEAR, y - CLEAR, x + CLEAR, y + CLEAR) for x, y in spots]
    inside = axes.get_window_extent()
    for point, spot, text in sorted(
        zip(points, spots, texts, strict=True), key=lambda one: _neighbours(one[1], spots)
    ):
        for across, up in _offsets():
            label = axes.annotate(
                text,
                point,
                (across, up),
                textcoords="offset points",
                ha="left" if across > 2 else "right" if across < -2 else "center",
                va="center",
                fontsize=7,
                color=INK,
            )
            box = label.get_window_extent().padded(ROOM)
            if _within(box, inside) and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                if max(abs(across), abs(up)) > DISTANCES[0]:
                    start = (spot[0] + across * scale, spot[1] + up * scale)
                    ends = axes.transData.inverted().transform(np.array([spot, start]))
                    axes.plot(*ends.T, color=QUIET, linewidth=0.5, zorder=1, scalex=False, scaley=False)
                break
            label.remove()


def _offsets() -> Iterator[tuple[float, float]]:
    for distance, step in product(DISTANCES, range(ANGLES)):
        angle = 2 * pi * step / ANGLES
        yield distance * cos(angle), distance * sin(angle)


def _neighbours(spot: NDArray[np.float64], spots: Sequence[NDArray[np.float64]]) -> int:
    return sum(abs(spot[0] - x) < 40 and abs(spot[1] - y) < 15 for x, y in spots)


def _within(box: Bbox, outer: Bbox) -> bool:
    return bool(outer.x0 <= box.x0 and box.x1 <= outer.x1 and outer.y0 <= box.y0 and box.y1 <= outer.y1)

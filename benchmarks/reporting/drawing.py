"""Plots as SVG in data URIs, in the colours of the reader's page, light or dark.

Text, axes and grids are drawn in colours that stand for others and are named in the SVG's own style, which
follows prefers-color-scheme inside an <img> too. Series keep Okabe and Ito's colours, which have a contrast
of 3:1 or more on both backgrounds, and differ in marker or place as well.

Labels of points neither overlap each other nor leave the axes, with a line where they stand off.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import cos, pi, sin
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from xray_infer.benchmarks.results_schema import RowKey

BLUE: Final = "#2c84c4"
VERMILION: Final = "#d55e00"
GREEN: Final = "#009e73"
PURPLE: Final = "#b8669a"
SERIES: Final = (BLUE, VERMILION, GREEN, PURPLE, "#8a7f00")
RUNTIMES: Final = {
    "keras": (PURPLE, "D"),
    "onnxruntime": (BLUE, "o"),
    "openvino": (GREEN, "^"),
    "litert": (VERMILION, "s"),
}
MARKERS: Final = ("o", "s", "^", "D", "v")

INK: Final = "#010203"
LINE: Final = "#040506"
PANEL: Final = "#070809"
QUIET: Final = "#595959"  # that of the training report's plots, which are shown here too
_NAMES: Final = {INK: "ink", LINE: "line", PANEL: "panel", QUIET: "quiet"}
_STYLE: Final = (
    ":root{--ink:#1f2328;--line:#c3cad2;--panel:#ffffff;--quiet:#4b535d}"
    "@media(prefers-color-scheme:dark)"
    "{:root{--ink:#e6edf3;--line:#3d444d;--panel:#0d1117;--quiet:#adb6c0}}"
)
_SETTINGS: Final[dict[str, Any]] = {
    "svg.fonttype": "path",  # looks the same with any fonts
    "svg.hashsalt": "xray-bench",  # the same results give the same bytes
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": LINE,
    "axes.facecolor": PANEL,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.facecolor": PANEL,
    "legend.edgecolor": LINE,
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}
WIDTH: Final = 4.6  # inches: text stays readable where a phone shows it at 330 pixels


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn plot: its `data` URI, and in words what it shows."""

    data: str
    alt: str
    caption: str


def drawn(draw: Callable[[], Figure], *, caption: str, alt: str) -> Plot:
    """Make a figure in the page's colours and return it as SVG."""
    target = io.StringIO()
    with matplotlib.rc_context(_SETTINGS):  # type: ignore[arg-type]  # wants literal names
        draw().savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    svg = target.getvalue()
    for colour, name in _NAMES.items():
        svg = svg.replace(colour, f"var(--{name})")
    svg = svg.replace('<style type="text/css">', f'<style type="text/css">{_STYLE}', 1)
    # Addresses of vocabularies, which nothing reads: the page then names no other place at all.
    start, end = svg.find("<metadata>"), svg.find("</metadata>")
    if start >= 0:
        svg = svg[:start] + svg[end + len("</metadata>") :]
    data = base64.b64encode(svg[svg.index("<svg") :].encode()).decode()
    return Plot(f"data:image/svg+xml;base64,{data}", alt, caption)


def panels(
    heights: list[float], titles: list[str], *, share_x: bool = True, width: float = WIDTH
) -> tuple[Figure, list[Axes]]:
    """Make panels one above the other, heights in inches without the room for labels."""
    figure = Figure(figsize=(width, sum(heights) + 0.35 * len(heights) + 0.35), layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=share_x, squeeze=False, height_ratios=heights)[:, 0]
    for one, title in zip(axes, titles, strict=True):
        one.set_title(title, loc="left", fontweight="bold")
        one.grid(alpha=0.8, linewidth=0.6)
        one.set_axisbelow(True)
    return figure, list(axes)


def row_panels(groups: dict[str, list[str]], *, each: float = 0.19) -> tuple[Figure, list[Axes]]:
    """Make a panel a group with a line for each of its labels, from top to bottom."""
    heights = [max(0.5, each * len(labels) + 0.15) for labels in groups.values()]
    figure, axes = panels(heights, list(groups))
    for one, labels in zip(axes, groups.values(), strict=True):
        one.set_yticks(range(len(labels)), labels)
        one.set_ylim(len(labels) - 0.4, -0.6)
        one.grid(axis="y", visible=False)
    return figure, axes


def logarithmic(axes: list[Axes]) -> None:
    """Scale panels that share x by powers, with plain numbers; a wider range shows fewer of them."""
    for one in axes:
        one.set_xscale("log")
    low, high = axes[0].get_xlim()
    steps = (1.0, 2.0, 5.0) if high / low < 300 else (1.0,)
    axes[0].xaxis.set_major_locator(LogLocator(subs=steps))
    axes[0].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes[0].xaxis.set_minor_formatter(NullFormatter())


def short(key: RowKey) -> str:
    """Return a row's name inside its method: no format, which the runtime tells."""
    return f"{key.recipe}, {key.runtime}"


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

"""Plots as SVG in data URIs, in the colours of the reader's page, light or dark.

Text, axes and grids are drawn in colours that stand for others and are named in the SVG's own style, which
follows prefers-color-scheme inside an <img> too. Series keep Okabe and Ito's colours, which have a contrast
of 3:1 or more on both backgrounds, and differ in marker or place as well.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from xray_infer.benchmarks.records.schema import RowKey

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


def drawn(make: Callable[[], Figure], *, caption: str, alt: str) -> Plot:
    """Make a figure in the page's colours and return it as SVG."""
    target = io.StringIO()
    with matplotlib.rc_context(_SETTINGS):  # type: ignore[arg-type]  # wants literal names
        make().savefig(target, format="svg", metadata={"Date": None, "Creator": None})
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

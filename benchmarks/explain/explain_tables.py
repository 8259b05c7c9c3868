"""The figures of `xray-bench explain` in Markdown, and in plain sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from xray_infer.benchmarks.explain.candidate_methods import find_method
from xray_infer.benchmarks.explain.curves import METRICS, ROAD_SHARES, Metric
from xray_infer.benchmarks.explain.explain_figures import MapFigures, Mean
from xray_infer.benchmarks.explain.measuring import BLOB, MIRRORED, RANDOM
from xray_infer.benchmarks.explain.sanity import SIMILARITIES
from xray_infer.benchmarks.explain.simple_maps import border_ring
from xray_infer.images.preprocess import STUDY

UNIT: Final = "log-odds"
BETTER, SAME, WORSE = "better than", "no different from", "worse than"
CHECKS: Final = {
    MIRRORED: "the mirrored picture, its map turned back",
    "head": "the head's kernel shuffled",
    "backbone": "the backbone's kernels shuffled",
}


def tables(figures: MapFigures) -> str:
    """Return every table."""
    parts = (
        faithfulness_table(figures),
        differences_table(figures),
        "\n".join(sentences(figures)),
        classes_table(figures),
        road_table(figures),
        similarity_table(figures),
        regions_table(figures),
        cost_table(figures),
        rounding_sentence(figures),
    )
    return "\n\n".join(part for part in parts if part)


def _title(name: str) -> str:
    return name if name in (BLOB, RANDOM) else find_method(name).title


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(
        [*lines, *("| " + " | ".join(one.replace("|", r"\|") for one in row) + " |" for row in rows)]
    )


def faithfulness_table(figures: MapFigures) -> str:
    """Return each map's figures, in probabilities of the explained class."""
    head = [
        f"{one.title} ({'higher' if one.higher_is_better else 'lower'} is better)" for one in METRICS.values()
    ]
    return _markdown(
        ["map", *head],
        (
            [_title(name), *(str(figures.faithfulness(name, metric)) for metric in METRICS)]
            for name in (*figures.methods, BLOB, RANDOM)
        ),
    )


def verdict(difference: Mean, metric: Metric) -> str:
    """Return how a method compares, by the interval of its paired difference."""
    if difference.low <= 0 <= difference.high:
        return SAME
    return BETTER if (difference.value > 0) == metric.higher_is_better else WORSE


def differences_table(figures: MapFigures) -> str:
    """Return each method's paired differences to the centre blob, random maps and the first method."""
    rows = []
    for name in figures.methods:
        for key, metric in METRICS.items():
            cells = [_title(name), metric.title]
            for base in _bases(figures):
                if base == name:
                    cells.append("")
                    continue
                found = figures.difference(name, key, to=base)
                cells.append(f"{found.signed()} {verdict(found, metric).split()[0]}")
            rows.append(cells)
    return _markdown(["map", "metric", *(f"minus {_title(base)}" for base in _bases(figures))], rows)


def _bases(figures: MapFigures) -> tuple[str, ...]:
    return BLOB, RANDOM, figures.methods[0]


def sentences(figures: MapFigures) -> Iterable[str]:
    """Yield, for each method and what it is compared with, by which metrics it is better or worse."""
    for name in figures.methods:
        for base in _bases(figures):
            if base != name:
                yield f"- {_compared(figures, name, base)}."


def _compared(figures: MapFigures, name: str, base: str) -> str:
    """Return in words how a method compares with a baseline or another method."""
    found: dict[str, list[str]] = {}
    for key, metric in METRICS.items():
        how = verdict(figures.difference(name, key, to=base), metric)
        found.setdefault(how, []).append(metric.title)
    if len(found) == 1:
        return f"{_title(name)} is {how} {_named(base)} by every measure"
    parts = (
        f"{how} {_named(base)} by {'; '.join(found[how])}" for how in (BETTER, SAME, WORSE) if how in found
    )
    return f"{_title(name)} is {', and '.join(parts)}"


def classes_table(figures: MapFigures) -> str:
    """Return the differences to the centre blob by the class that images are called, and in words."""
    rows, lines = [], []
    for label in figures.classes:
        called = [record for record in figures.records if record["predicted"] == label]
        if not called:
            continue
        of_class = MapFigures(called, figures.classes)
        for name in of_class.methods:
            found = {key: of_class.difference(name, key, to=BLOB) for key in METRICS}
            cells = (f"{one.signed()} {verdict(one, METRICS[key]).split()[0]}" for key, one in found.items())
            rows.append([f"{label} ({len(called)})", _title(name), *cells])
            lines.append(f"- On images called {label}, {_compared(of_class, name, BLOB)}.")
    titles = (one.title for one in METRICS.values())
    head = ["called (images)", "map, minus centre blob", *titles]
    return _markdown(head, rows) + "\n\n" + "\n".join(lines)


def _named(base: str) -> str:
    return {BLOB: "the centre blob", RANDOM: "a random map"}.get(base, _title(base))


def road_table(figures: MapFigures) -> str:
    """Return the share of images that keep their class while ROAD removes parts."""
    head = [f"{one:.0%}" for one in ROAD_SHARES]
    rows = []
    for order, what in (("morf", "most relevant first"), ("lerf", "least relevant first")):
        for name in (*figures.methods, BLOB, RANDOM):
            rows.append([what, _title(name), *(f"{one:.1%}" for one in figures.kept(name, order))])
    return _markdown(["ROAD, class kept at", "map", *head], rows)


def similarity_table(figures: MapFigures) -> str:
    """Return how alike maps are after the sanity checks; empty where no image had them."""
    rows = []
    for name in figures.methods:
        for check, found in figures.similarities(name).items():
            rows.append([_title(name), CHECKS.get(check, check), *(str(found[one]) for one in SIMILARITIES)])
    return _markdown(["map", "beside that of", *SIMILARITIES], rows) if rows else ""


def regions_table(figures: MapFigures) -> str:
    """Return the share of the heat in the border ring, and in the lung fields where masks were given."""
    names = (*figures.methods, BLOB)
    rows = [
        ["border ring", _title(name), *(str(figures.share(name, "border", one)) for one in figures.classes)]
        for name in names
    ]
    uniform = f"{border_ring(_side(figures)).mean():.3f}"
    rows.append(["border ring", "a uniform map", *[uniform] * len(figures.classes)])
    if figures.records[0]["lung_area"] is not None:
        rows += [
            [
                "lung fields",
                _title(name),
                *(str(figures.share(name, "lungs", one)) for one in figures.classes),
            ]
            for name in names
        ]
        areas = [
            [record["lung_area"] for record in figures.records if record["predicted"] == one]
            for one in figures.classes
        ]
        rows.append(
            ["lung fields", "a uniform map", *(f"{np.mean(one):.3f}" if one else "" for one in areas)]
        )
    return _markdown(["share of the heat in the", "map", *(f"called {one}" for one in figures.classes)], rows)


def _side(figures: MapFigures) -> int:
    """Return the side of the model's input, which records of earlier versions do not say."""
    return int(figures.records[0].get("side", STUDY.side))


def cost_table(figures: MapFigures) -> str:
    """Return each method's forward passes and time."""
    rows = []
    for name in figures.methods:
        low, middle, high = np.percentile(figures.column(name, "ms"), [10, 50, 90])
        passes = find_method(name).passes(_side(figures))
        rows.append([_title(name), str(passes), f"{middle:.4g} ({low:.4g}-{high:.4g})"])
    return _markdown(["map", "forward passes", "ms an image beside other workers, median (p10-p90)"], rows)


def rounding_sentence(figures: MapFigures) -> str:
    """Return what int8 rounding is worth beside the maps' peaks."""
    noise = np.array([record["rounding"] for record in figures.records])
    low, middle, high = np.percentile(noise, [10, 50, 90])
    lines = [
        "Rounding: one pixel in a hundred changed by one gray level moves the class's log-odds by a standard "
        f"deviation of {middle:.3f} nats (median over images; p10-p90 {low:.3f}-{high:.3f})."
    ]
    for name in figures.methods:
        if find_method(name).unit == UNIT:
            ratio = np.percentile(figures.column(name, "peak") / np.maximum(noise, 1e-6), [10, 50])
            lines.append(
                f"The peak of {_title(name)} is {ratio[1]:.1f} times that (median; in a tenth of the images "
                f"below {ratio[0]:.1f} times)."
            )
    return " ".join(lines)

"""results.csv: a line a row, every figure in a column of its own, units in the names."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict

from xray_infer.benchmarks.accuracy.accuracy_figures import RowAccuracy
from xray_infer.benchmarks.reporting.bench_figures import BenchFigures
from xray_infer.benchmarks.speed.speed_figures import Estimate, RowSpeed
from xray_infer.study.intervals import Interval

Cell = str | int | float | None


def csv_text(figures: BenchFigures) -> str:
    """Return the file's text; a figure that was not measured is empty."""
    rows = [dict(_cells(figures, place)) for place in range(len(figures.keys))]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def _cells(figures: BenchFigures, place: int) -> Iterator[tuple[str, Cell]]:
    model = figures.results.models[place]
    yield from asdict(model.row).items()
    yield "file", model.file
    yield "sha256", model.sha256
    yield "size_bytes", model.size_bytes
    accuracy, external = figures.accuracy.get(model.row), figures.external.get(model.row)
    if accuracy:
        yield from _accuracy("", accuracy)
    if external:
        yield from _accuracy("external_", external)
    speed = figures.speed.get(model.row)
    if speed:
        yield from _speed(speed)


def _accuracy(prefix: str, one: RowAccuracy) -> Iterator[tuple[str, Cell]]:
    metrics = one.metrics
    values = {
        "accuracy": metrics.accuracy,
        "balanced_accuracy": metrics.balanced_accuracy,
        "macro_f1": metrics.macro_f1,
        "macro_auroc": one.macro_auroc,
        "calibration_error": one.after.expected_calibration_error,
        "brier": one.after.brier_score,
    }
    yield f"{prefix}images", one.images
    for name, value in values.items():
        yield f"{prefix}{name}", value
        yield from _interval(f"{prefix}{name}_groups", one.intervals[name])
    yield from _interval(f"{prefix}accuracy_wilson", metrics.accuracy_interval)
    if one.within is not None and one.within.mean is not None:
        yield f"{prefix}auroc_within_domains", one.within.mean.value
        yield from _interval(f"{prefix}auroc_within_domains_groups", one.within.mean.interval)
    yield f"{prefix}calibration_error_at_temperature_1", one.before.expected_calibration_error
    yield f"{prefix}brier_at_temperature_1", one.before.brier_score
    for name, each in metrics.classes.items():
        for figure in ("precision", "recall", "specificity"):
            yield f"{prefix}{name}_{figure}", getattr(each, figure)
            yield from _interval(f"{prefix}{name}_{figure}", getattr(each, f"{figure}_interval"))
        yield f"{prefix}{name}_f1", each.f1
        yield f"{prefix}{name}_auroc", each.auroc
    if one.against:
        yield f"{prefix}agreement", one.against.agreement.value
        yield from _interval(f"{prefix}agreement", one.against.agreement.interval)
        yield f"{prefix}max_dp", one.against.max_dp
        yield f"{prefix}mean_dp", one.against.mean_dp
        yield f"{prefix}only_this_right", one.against.mcnemar.only_first_right
        yield f"{prefix}only_keras_right", one.against.mcnemar.only_second_right
        yield f"{prefix}mcnemar_p", one.against.mcnemar.p_value
        yield f"{prefix}accuracy_difference", one.against.accuracy_difference
        yield from _interval(f"{prefix}accuracy_difference", one.against.difference_interval)
    yield f"{prefix}passes_99", None if one.passes_99 is None else int(one.passes_99)
    for region, share in one.controls.items():
        yield f"{prefix}accuracy_{region}_only", share.value
        yield from _interval(f"{prefix}accuracy_{region}_only", share.interval)


def _speed(one: RowSpeed) -> Iterator[tuple[str, Cell]]:
    yield "processes", one.processes
    yield "queries", one.queries
    for name in ("p50_ms", "p90_ms", "p99_ms", "images_per_s", "latency_ratio", "ratio"):
        yield from _estimate(name, getattr(one, name))
    yield "batch", one.batch
    yield "limit_share", one.limit_share
    yield "load_s", one.load_s
    yield "first_result_s", one.first_result_s
    yield "peak_mb", one.peak_mb
    yield "energy_j_per_image", one.energy_j_per_image


def _estimate(name: str, estimate: Estimate | None) -> Iterator[tuple[str, Cell]]:
    yield name, None if estimate is None else estimate.value
    if estimate and estimate.interval:
        yield from _interval(name, estimate.interval)


def _interval(name: str, interval: Interval) -> Iterator[tuple[str, Cell]]:
    yield f"{name}_low", interval[0]
    yield f"{name}_high", interval[1]

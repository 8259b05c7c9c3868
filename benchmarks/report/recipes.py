"""What `xray-export --list-recipes` says of its files: measured.json, from a run of xray-bench."""

from __future__ import annotations

from typing import Any, Final

from xray_infer.benchmarks.machine import describe
from xray_infer.benchmarks.report.gathered import Figures
from xray_infer.benchmarks.rows import KERAS
from xray_infer.errors import DataError

METHOD: Final = "fine_tuning"


def recipe_figures(figures: Figures) -> dict[str, Any]:
    """Return fine-tuning's exported files, each in its default runtime, which comes first among its rows.

    Raises DataError where the run lacks such a file or its agreement with the Keras model.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    images = 0
    for model in figures.results.models:
        key = model.row
        if key.method != METHOD or key.format == KERAS or (key.format, key.recipe) in rows:
            continue
        accuracy, speed = figures.accuracy.get(key), figures.speed.get(key)
        if accuracy is None or accuracy.against is None:
            raise DataError(
                f"{key.name}: the run has no agreement with {METHOD}.keras; give that file among --models "
                "and measure accuracy"
            )
        images = accuracy.images
        rows[key.format, key.recipe] = {
            "format": key.format,
            "recipe": key.recipe,
            "runtime": key.runtime,
            "size_bytes": model.size_bytes,
            "agreement": accuracy.against.agreement.value,
            "max_dp": accuracy.against.max_dp,
            "ratio": speed.ratio.value if speed and speed.ratio else None,
        }
    if not rows:
        raise DataError(f"the run has no exported file of {METHOD}; give some among --models")
    machine = figures.results.machine
    return {
        "method": METHOD,
        "images": images,
        "machine": describe(machine.processors, machine.flags, machine.versions),
        "recipes": list(rows.values()),
    }

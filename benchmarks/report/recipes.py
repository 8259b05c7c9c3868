"""What `xray-export --list-recipes` says of the files: the figures of fine-tuning, in default runtimes."""

from __future__ import annotations

from typing import Any, Final

from xray_infer.benchmarks.machine import describe
from xray_infer.benchmarks.records.schema import Results
from xray_infer.benchmarks.report.gathered import gather
from xray_infer.benchmarks.rows import KERAS

METHOD: Final = "fine_tuning"


def recipe_figures(results: Results) -> dict[str, Any]:
    """Return one entry a format and recipe, as JSON types."""
    figures = gather(results)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for model in results.models:
        key = model.row
        accuracy, speed = figures.accuracy.get(key), figures.speed.get(key)
        if key.method != METHOD or key.format == KERAS or (key.format, key.recipe) in rows:
            continue
        if accuracy is None or accuracy.against is None:
            continue
        rows[key.format, key.recipe] = {
            "format": key.format,
            "recipe": key.recipe,
            "runtime": key.runtime,
            "size_bytes": model.size_bytes,
            "agreement": accuracy.against.agreement.value,
            "max_dp": accuracy.against.max_dp,
            "ratio": speed.ratio.value if speed and speed.ratio else None,
        }
    images = next((one.images for one in figures.accuracy.values()), 0)
    machine = results.machine
    return {
        "method": METHOD,
        "images": images,
        "machine": describe(machine.processors, machine.flags, machine.versions),
        "recipes": list(rows.values()),
    }

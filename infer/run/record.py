"""The record beside the results, `OUT.run.json`: what ran, on what, how long, and what it came to."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import xray_infer
from xray_infer.atomic import write_json
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.host import allowed_processors, installed_versions, processor_name, processor_quota
from xray_infer.model.manifest import ModelManifest
from xray_infer.run.alarm import judge
from xray_infer.run.progress import Summary
from xray_infer.run.results import ROW_SCHEMA
from xray_infer.run.settings import Fingerprint

RECORD_SCHEMA: Final = 1
SUFFIX: Final = ".run.json"
PACKAGES: Final = (
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "ai-edge-litert",
    "openvino",
    "pydicom",
    "highdicom",
    "pyarrow",
    "fsspec",
    "s3fs",
    "ray",
)


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """How a run went. Times are in UTC; `stage_s` are seconds by stage, all workers together.

    `beside` is what else there is to say, by name.
    """

    started: datetime
    ended: datetime
    finished: bool
    reused: int
    skipped: int
    workers: int
    stage_s: Mapping[str, float]
    beside: Mapping[str, Any] = field(default_factory=dict)


def run_record(
    results: str,
    manifest: ModelManifest,
    fingerprint: Fingerprint,
    statistics: RunStatistics,
    summary: Summary,
) -> dict[str, Any]:
    """Return the record of a run so far, for JSON. `results` names what holds the rows."""
    seconds = (statistics.ended - statistics.started).total_seconds()
    return {
        "record_schema": RECORD_SCHEMA,
        "row_schema": ROW_SCHEMA,
        "notice": RESEARCH_NOTICE,
        "xray_infer": xray_infer.__version__,
        "finished": statistics.finished,
        "results": results,
        "what_rows_depend_on": dict(fingerprint),
        "workers": statistics.workers,
        "model": {
            "name": manifest.name,
            "version": manifest.version,
            "method": manifest.method,
            "recipe": manifest.recipe,
            "format": manifest.format,
            "class_names": list(manifest.class_names),
            "sha256": fingerprint["model_sha256"],
            "intended_use": manifest.intended_use,
        },
        "counts": {
            **summary.counts(),
            "reused_from_an_earlier_run": statistics.reused,
            "skipped_other_files": statistics.skipped,
        },
        "alarm": judge(summary.films, manifest.alarm_reference).to_json(),
        "beside_the_rows": dict(statistics.beside),
        "time": {
            "started": statistics.started.isoformat(timespec="seconds"),
            "ended": statistics.ended.isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
            "images_per_s": round((summary.total - statistics.reused) / max(seconds, 1e-9), 2),
            "seconds_by_stage_over_all_workers": {
                stage: round(total, 6) for stage, total in statistics.stage_s.items()
            },
        },
        "peak_memory_mb": peak_memory_mb(),
        "machine": {
            "processor": processor_name(),
            "processors": os.cpu_count(),
            "allowed_processors": allowed_processors(),
            "quota": processor_quota(),
            "system": platform.platform(),
        },
        "versions": installed_versions(PACKAGES),
    }


def write_record(out: Path, record: Mapping[str, Any]) -> None:
    """Write `OUT.run.json`. Raises OutputError."""
    write_json(out.with_name(out.name + SUFFIX), record)


def peak_memory_mb() -> float | None:
    """Return this process's peak resident memory so far, in MiB; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10, 1)

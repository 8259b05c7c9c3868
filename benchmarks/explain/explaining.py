"""The whole of `xray-bench explain`: which images, which maps, their records, and the page."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xray_infer.benchmarks.explain.candidate_methods import find_method
from xray_infer.benchmarks.explain.explain_figures import MapFigures
from xray_infer.benchmarks.explain.explain_tables import tables
from xray_infer.benchmarks.explain.measuring import MeasurementFile, Plan, measure_images
from xray_infer.export.calibration import check_same_data, draw
from xray_infer.model.runtimes import Model
from xray_infer.outputs.heatmaps.methods import METHODS
from xray_infer.study.datasets import Dataset, read_dataset
from xray_infer.terminal import Report


@dataclass(frozen=True, slots=True)
class ExplainRequest:
    """What the command line asks for; `images` None is all of the split, `methods` None all in METHODS."""

    model: Model
    data: Path
    out: Path
    split: str
    images: int | None
    seed: int
    runtime: str | None
    methods: str | None
    sanity_images: int
    lung_masks: Path | None

    def plan(self, classes: tuple[str, ...]) -> Plan:
        """Return what is measured of each image. Raises DataError for an unknown method."""
        names = tuple(METHODS) if self.methods is None else tuple(self.methods.split(","))
        for name in names:
            find_method(name)
        return Plan(names, self.seed, self.sanity_images, classes, self.lung_masks)

    def facts(self, dataset: Dataset, plan: Plan) -> Mapping[str, Any]:
        """Return everything that a record depends on, for JSON."""
        return {
            "model_sha256": self.model.digest,
            "runtime": self.runtime,
            "data_sha256": dataset.digest,
            "split": self.split,
            "seed": self.seed,
            "methods": plan.methods,
            "sanity_images": self.sanity_images,
            "lung_masks": self.lung_masks and str(self.lung_masks.resolve()),
        }


def explain(request: ExplainRequest, *, report: Report) -> str:
    """Measure what the folder does not hold yet, and return the tables of the images asked for."""
    manifest = request.model.manifest()
    plan = request.plan(manifest.class_names)
    dataset = read_dataset(request.data, classes=plan.classes)
    check_same_data(dataset, manifest.training, data=request.data, model=request.model.path)
    count = request.images or sys.maxsize
    images = draw(dataset, request.split, count=count, seed=request.seed).images
    with MeasurementFile(request.out, request.facts(dataset, plan)) as records:
        measure_images(request.model, images, plan, records, runtime=request.runtime, report=report)
        found = [records.found[image.digest] for image in images]
    figures = MapFigures(found, plan.classes)
    groups = len({record["group"] for record in found if record["group"]})
    checked = sum(bool(record["sanity"]) for record in found)
    return "\n\n".join(
        [
            f"{manifest.method}, {manifest.recipe}, {request.model.format}: {len(found)} {request.split} "
            f"images, {groups} groups; sanity checks on {checked}. Seed {request.seed}.",
            tables(figures),
        ]
    )

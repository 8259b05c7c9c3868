"""Measures one image: every map of it, and what becomes of the model's answer when parts of it are removed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.benchmarks.explain.baselines import Map, centre_blob, random_map
from xray_infer.benchmarks.explain.contenders import find_method
from xray_infer.benchmarks.explain.curves import answer, removal_curves
from xray_infer.benchmarks.explain.places import border_ring, lung_mask, share_inside
from xray_infer.benchmarks.explain.randomised import PARTS, shuffled
from xray_infer.benchmarks.explain.records import Records
from xray_infer.benchmarks.explain.similarity import compare
from xray_infer.classes import CLASS_NAMES
from xray_infer.datasets import LabelledImage
from xray_infer.engine import Classified, Engine, EngineOptions, Task
from xray_infer.errors import DataError
from xray_infer.heatmaps.fills import FILLS
from xray_infer.heatmaps.methods import Method
from xray_infer.heatmaps.occlusion import log_odds
from xray_infer.processors import default_workers
from xray_infer.results import OK
from xray_infer.runtimes import Model, ModelOutput, Session, find_model
from xray_infer.sources.folder import FileItem
from xray_infer.terminal import Report

BLOB: Final = "centre blob"
RANDOM: Final = "random"
MIRRORED: Final = "mirrored"
RANDOM_MAPS: Final = 2  # an image; every image has others
ROUNDING_COPIES: Final = 16
REPORTED: Final = 10  # images between two lines of progress


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured. The first `sanity_images` of the images have the sanity checks, too."""

    methods: tuple[str, ...]
    seed: int
    sanity_images: int
    lung_masks: Path | None = None


class Shuffled:
    """Sessions of the model with the kernels of its head, and of its backbone, shuffled; an ONNX file's only."""

    def __init__(self, model: Model, *, runtime: str | None, count: int, seed: int) -> None:
        self._idle: dict[str, SimpleQueue[Session]] = {}
        if model.format != "onnx":
            return
        graph = model.path.read_bytes()
        with TemporaryDirectory() as folder:
            for part in PARTS:
                path = Path(folder, f"{part}.onnx")
                path.write_bytes(shuffled(graph, part, seed=seed))
                self._idle[part] = SimpleQueue()
                for session in find_model(path).open_many(count, runtime=runtime):
                    self._idle[part].put(session)

    def classified(self, given: Classified) -> Iterator[tuple[str, Classified]]:
        """Yield each part and the image as that model classifies it."""
        for part, idle in self._idle.items():
            session = idle.get()
            try:
                yield (
                    part,
                    replace(given, cam=session.run(given.input[None]).cam[0], run=_one_by_one(session)),
                )
            finally:
                idle.put(session)


def _one_by_one(session: Session) -> Any:
    """Return the session's `run` for any number of inputs in batches of one, as the engine's."""
    names = session.manifest.output_names

    def run(inputs: NDArray[np.uint8]) -> ModelOutput:
        parts = [session.run(one[None]) for one in inputs]
        return ModelOutput.join(names, [[getattr(part, name) for name in names] for part in parts])

    return run


class Measurer:
    """Measures images in the workers' threads, and keeps their records."""

    def __init__(
        self, plan: Plan, images: Sequence[LabelledImage], shuffled_models: Shuffled, records: Records
    ) -> None:
        self._plan, self._shuffled, self._records = plan, shuffled_models, records
        self._images = {str(image.path): (number, image) for number, image in enumerate(images)}
        self._methods = {name: find_method(name) for name in plan.methods}
        self._ring = border_ring()

    def measure(self, given: Classified) -> None:
        """Measure one image; see `Classified`."""
        number, image = self._images[given.item.name]
        label = int(np.argmax(given.row.probabilities))
        rng = np.random.default_rng([self._plan.seed, number])
        plain = given.input[..., 0]
        masks = self._plan.lung_masks
        lungs = lung_mask(masks, image.path.name) if masks else None
        whole = given.run(given.input[None])
        record: dict[str, Any] = {
            "name": given.item.name,
            "number": number,
            "label": CLASS_NAMES[image.label],
            "predicted": CLASS_NAMES[label],
            "group": image.group,
            "source": image.source,
            "whole": float(log_odds(whole)[0, label]),
            "empty": {
                name: answer(given.run, [fill(plain)], label).log_odds[0] for name, fill in FILLS.items()
            },
            "lung_area": None if lungs is None else float(lungs.mean()),
            "rounding": _rounding(given, label, rng),
            "maps": {},
            "sanity": {},
        }
        made = {name: self._explain(method, given, label) for name, method in self._methods.items()}
        heats = {name: heat for name, (heat, _) in made.items()}
        rest = {BLOB: centre_blob()}
        rest.update({f"{RANDOM} {index}": random_map(rng) for index in range(RANDOM_MAPS)})
        for name, heat in {**heats, **rest}.items():
            curves = removal_curves(given.run, plain, heat, label, rng=rng)
            record["maps"][name] = {
                "ms": made[name][1] if name in made else None,
                "peak": float(heat.max()),
                "border": share_inside(heat, self._ring),
                "lungs": None if lungs is None else share_inside(heat, lungs),
                "curves": {
                    fill: {order: asdict(curve) for order, curve in some.items()}
                    for fill, some in curves.items()
                },
                "cells": np.round(heat / max(float(heat.max()), 1e-9), 4).tolist() if name in made else None,
            }
        if number < self._plan.sanity_images:
            record["sanity"] = self._sanity(given, label, heats)
        self._records.append(record)

    def _explain(self, method: Method, given: Classified, label: int) -> tuple[Map, float]:
        """Return the class's map and the milliseconds that it took."""
        started = time.perf_counter()
        heat = method.explain(given)[..., label]
        return np.ascontiguousarray(heat), round(1000 * (time.perf_counter() - started), 3)

    def _sanity(
        self, given: Classified, label: int, heats: Mapping[str, Map]
    ) -> dict[str, dict[str, dict[str, float]]]:
        """Return how alike each method's map is to that of the shuffled models and of the mirrored picture."""
        mirrored = np.ascontiguousarray(given.input[:, ::-1])
        other = replace(given, input=mirrored, cam=given.run(mirrored[None]).cam[0])
        found: dict[str, dict[str, dict[str, float]]] = {MIRRORED: {}}
        for name, method in self._methods.items():
            heat, _ = self._explain(method, other, label)
            found[MIRRORED][name] = compare(heats[name], np.ascontiguousarray(heat[:, ::-1]))
        for part, changed in self._shuffled.classified(given):
            found[part] = {
                name: compare(heats[name], self._explain(method, changed, label)[0])
                for name, method in self._methods.items()
            }
        return found


def _rounding(given: Classified, label: int, rng: np.random.Generator) -> float:
    """Return the standard deviation of the log-odds, in nats, over copies with pixels one gray level off.

    One pixel in a hundred goes up or down by one: nothing that a float model would answer to.
    """
    shape = (ROUNDING_COPIES, *given.input.shape)
    steps = rng.choice(np.array([-1, 1]), shape) * (rng.random(shape) < 0.01)
    copies = np.clip(given.input + steps, 0, 255).astype(np.uint8)
    return float(log_odds(given.run(copies))[:, label].std())


def measure_images(
    model: Model,
    images: Sequence[LabelledImage],
    plan: Plan,
    records: Records,
    *,
    runtime: str | None,
    report: Report,
) -> None:
    """Measure what the records lack. Raises DataError for an image that cannot be read."""
    missing = [image for image in images if str(image.path) not in records.found]
    if not missing:
        return
    options = EngineOptions(ood_threshold=float("inf"))
    shuffled_models = Shuffled(model, runtime=runtime, count=default_workers(), seed=plan.seed)
    measurer = Measurer(plan, images, shuffled_models, records)
    with Engine(model, options, runtime=runtime, on_classified=measurer.measure) as engine:
        tasks = (Task(FileItem(image.path, str(image.path))) for image in missing)
        for count, outcome in enumerate(engine.run(tasks), 1):
            if outcome.row.status != OK:
                raise DataError(f"{outcome.row.path}: {outcome.row.reason}; remove it from the data")
            if count % REPORTED == 0:
                report(f"{len(records.found)} of {len(images)} images")

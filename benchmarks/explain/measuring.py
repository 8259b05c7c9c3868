"""Measures one image: every map of it, and what becomes of the answer when parts of it are removed.

The folder of `--out` has one image's measurements a line in `explain.jsonl`; a stopped run goes on from it.

The first line is {"explain": 1, "run": {...}}: what the measurements depend on. Each other line is one
image's record. A line counts once its newline is there; a torn one is cut off.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.atomic import make_folder, refusal
from xray_infer.benchmarks.explain.candidate_methods import find_method
from xray_infer.benchmarks.explain.curves import answer, removal_curves
from xray_infer.benchmarks.explain.sanity import PARTS, compare, shuffled
from xray_infer.benchmarks.explain.simple_maps import (
    Map,
    border_ring,
    centre_blob,
    lung_mask,
    random_map,
    share_inside,
)
from xray_infer.errors import DataError, OutputError
from xray_infer.host import default_workers
from xray_infer.images.preprocess import WHOLE
from xray_infer.model.runtimes import Model, ModelOutput, Session, find_model
from xray_infer.outputs.heatmaps.methods import Method
from xray_infer.outputs.heatmaps.occlusion import FILLS, RunModel
from xray_infer.run.engine import Engine, Task
from xray_infer.run.results import OK, Classified
from xray_infer.run.settings import EngineOptions
from xray_infer.run.sources.folder import FileItem
from xray_infer.study.datasets import LabelledImage
from xray_infer.terminal import Report

BLOB: Final = "centre blob"
RANDOM: Final = "random"
MIRRORED: Final = "mirrored"
RANDOM_MAPS: Final = 2  # an image; every image has others
ROUNDING_COPIES: Final = 16
ROUNDING_SHARE: Final = 0.01  # of the pixels
REPORTED: Final = 10  # images between two lines of progress


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured. The first `sanity_images` of the images have the sanity checks, too.

    `classes` are the model's.
    """

    methods: tuple[str, ...]
    seed: int
    sanity_images: int
    classes: tuple[str, ...]
    lung_masks: Path | None = None


class Shuffled:
    """Sessions of the model with its head's kernel shuffled, and with its backbone's, where a plan asks."""

    def __init__(self, model: Model, plan: Plan, *, runtime: str | None, count: int) -> None:
        parts = PARTS if plan.sanity_images else ()
        self._idle: dict[str, SimpleQueue[Session]] = {part: SimpleQueue() for part in parts}
        with TemporaryDirectory() as folder:
            for part, idle in self._idle.items():
                path = Path(folder, f"{part}{model.path.suffix}")
                path.write_bytes(shuffled(model, part, seed=plan.seed))
                for session in find_model(path).open_many(count, runtime=runtime):
                    idle.put(session)

    def classified(self, given: Classified) -> Iterator[tuple[str, Classified]]:
        """Yield each part and the image as that model classifies it."""
        for part, idle in self._idle.items():
            session = idle.get()
            try:
                run = _one_by_one(session)
                yield part, replace(given, cam=run(given.input[None]).cam[0], run=run)
            finally:
                idle.put(session)


def _one_by_one(session: Session) -> RunModel:
    """Return the session's `run` for any number of inputs, in batches of one as the engine's."""
    names = session.manifest.output_names

    def run(inputs: NDArray[np.uint8]) -> ModelOutput:
        parts = [session.run(one[None]) for one in inputs]
        return ModelOutput.join(names, [[getattr(part, name) for name in names] for part in parts])

    return run


class Measurer:
    """Measures images in the workers' threads, and keeps their records."""

    def __init__(
        self, plan: Plan, images: Sequence[LabelledImage], shuffled_models: Shuffled, records: MeasurementFile
    ) -> None:
        self._plan, self._shuffled, self._records = plan, shuffled_models, records
        self._images = {str(image.path): (number, image) for number, image in enumerate(images)}
        self._methods = {name: find_method(name) for name in plan.methods}

    def measure(self, given: Classified) -> None:
        """Measure one image; see `Classified`."""
        number, image = self._images[given.item.name]
        label = int(np.argmax(given.row.probabilities))
        rng = np.random.default_rng([self._plan.seed, number])
        masks = self._plan.lung_masks
        side = len(given.input)
        lungs = lung_mask(masks, image.path.name, side, given.row.area or WHOLE) if masks else None
        record = {
            "digest": image.digest,
            "name": image.path.name,
            "number": number,
            "label": self._plan.classes[image.label],
            "predicted": self._plan.classes[label],
            "group": image.group,
            "source": image.source,
            "side": side,
            "lung_area": None if lungs is None else float(lungs.mean()),
            **_without_maps(given, label, rng),
        }
        explained = {name: self._explain(method, given, label) for name, method in self._methods.items()}
        heats = {name: heat for name, (heat, _) in explained.items()}
        others = {
            BLOB: centre_blob(),
            **{f"{RANDOM} {index}": random_map(rng) for index in range(RANDOM_MAPS)},
        }
        maps = {
            name: self._measure_map(given, heat, label, lungs, rng)
            for name, heat in {**heats, **others}.items()
        }
        for name, (heat, took_ms) in explained.items():
            scale = max(float(heat.max()), float(np.finfo(np.float32).tiny))
            maps[name] |= {"ms": took_ms, "cells": np.round(heat / scale, 4).tolist()}
        sanity = self._sanity(given, label, heats) if number < self._plan.sanity_images else {}
        self._records.append({**record, "maps": maps, "sanity": sanity})

    def _measure_map(
        self,
        given: Classified,
        heat: Map,
        label: int,
        lungs: NDArray[np.bool_] | None,
        rng: np.random.Generator,
    ) -> dict[str, Any]:
        """Return what one map of the image is worth."""
        curves = removal_curves(given.run, given.input[..., 0], heat, label, rng=rng)
        return {
            "peak": float(heat.max()),
            "border": share_inside(heat, border_ring(len(given.input))),
            "lungs": None if lungs is None else share_inside(heat, lungs),
            "curves": {
                fill: {order: asdict(curve) for order, curve in some.items()} for fill, some in curves.items()
            },
        }

    def _explain(self, method: Method, given: Classified, label: int) -> tuple[Map, float]:
        """Return the class's map and the milliseconds that it took."""
        started = time.perf_counter()
        heat = method.explain(given)[..., label]
        return np.ascontiguousarray(heat), round(1000 * (time.perf_counter() - started), 3)

    def _sanity(
        self, given: Classified, label: int, heats: Mapping[str, Map]
    ) -> dict[str, dict[str, dict[str, float]]]:
        """Return how alike each method's map is to those of the shuffled models and the mirrored picture."""
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


def _without_maps(given: Classified, label: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return the class's log-odds, in nats, of the picture and of each fill alone; and their `rounding`.

    That is their standard deviation over copies of the picture in which one pixel in a hundred is one gray
    level off: nothing that the float model would answer to.
    """
    image = given.input[..., 0]
    shape = (ROUNDING_COPIES, *image.shape)
    steps = rng.choice(np.array([-1, 1]), shape) * (rng.random(shape) < ROUNDING_SHARE)
    copies = np.clip(image + steps, 0, 255).astype(np.uint8)
    (whole,) = answer(given.run, [image], label).log_odds
    return {
        "whole": whole,
        "empty": {name: answer(given.run, [fill(image)], label).log_odds[0] for name, fill in FILLS.items()},
        "rounding": float(np.std(answer(given.run, list(copies), label).log_odds)),
    }


def measure_images(
    model: Model,
    images: Sequence[LabelledImage],
    plan: Plan,
    records: MeasurementFile,
    *,
    runtime: str | None,
    report: Report,
) -> None:
    """Measure what the records lack. Raises DataError for an image that cannot be read."""
    missing = [image for image in images if image.digest not in records.found]
    if not missing:
        return
    options = EngineOptions(ood_threshold=float("inf"))
    shuffled_models = Shuffled(model, plan, runtime=runtime, count=default_workers())
    measurer = Measurer(plan, images, shuffled_models, records)
    with Engine(model, options, runtime=runtime, on_classified=measurer.measure) as engine:
        tasks = (Task(FileItem(image.path, str(image.path))) for image in missing)
        for count, outcome in enumerate(engine.run(tasks), 1):
            if outcome.row.status != OK:
                raise DataError(f"{outcome.row.path}: {outcome.row.reason}; remove it from the data")
            if count % REPORTED == 0:
                report(f"{len(records.found)} of {len(images)} images")


SCHEMA: Final = 1
FILE_NAME: Final = "explain.jsonl"


class MeasurementFile(AbstractContextManager["MeasurementFile", None]):
    """The records of one run, by their image's digest; a context manager.

    `append` may be called from any thread. Raises OutputError when the file cannot be written, or is of a run
    of another kind.
    """

    def __init__(self, folder: Path, run: Mapping[str, Any]) -> None:
        make_folder(folder)
        self.path = folder / FILE_NAME
        self.found: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        header = json.dumps({"explain": SCHEMA, "run": run}, separators=(",", ":"))
        try:
            kept = self._read(header) if self.path.exists() else 0
            self._file = self.path.open("ab")
            self._file.truncate(kept)
            if not kept:
                self._write(header)
        except OSError as error:
            raise refusal(self.path, "cannot be written", error) from error

    def _read(self, header: str) -> int:
        """Take in the records of an earlier run; return the bytes of its whole lines."""
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        first, *lines = whole.decode().splitlines() or [""]
        if first and first != header:
            raise OutputError(
                f"{self.path}: measured with another model, data or options; give another --out"
            )
        for line in lines:
            record = json.loads(line)
            self.found[record["digest"]] = record
        return len(whole)

    def append(self, record: Mapping[str, Any]) -> None:
        """Keep one image's record, in the file at once."""
        with self._lock:
            self._write(json.dumps(record, separators=(",", ":")))
            self.found[record["digest"]] = dict(record)

    def _write(self, line: str) -> None:
        try:
            self._file.write(line.encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise refusal(self.path, "cannot be written", error) from error

    def __exit__(self, *error: object) -> None:
        """Close it, however the block ends."""
        self.close()

    def close(self) -> None:
        """Close the file, and keep it."""
        self._file.close()

"""The rows of a benchmark: which files there are, in which runtimes, and what each is compared with."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from xray_infer.benchmarks.results_schema import ModelFile, RowKey
from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError, ModelError
from xray_infer.images.preprocess import SIDES, STUDY, Preprocessing
from xray_infer.model.embedding import READERS
from xray_infer.model.manifest import METHODS
from xray_infer.model.runtime_table import RUNTIMES, SUFFIXES
from xray_infer.model.runtimes import find_model
from xray_infer.study.class_choice import listed
from xray_infer.study.training_record import read_training_record

KERAS: Final = "keras"
FORMATS: Final = (KERAS, *SUFFIXES.values())
# What the speed of a method's other rows is compared with.
BASELINE: Final = ("onnx", "fp32", "onnxruntime")


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model file in a runtime."""

    key: RowKey
    path: Path
    model: ModelFile


def find_rows(places: Iterable[Path]) -> list[ModelRow]:
    """Find every .keras, .onnx and .tflite model among files and folders, methods and formats in order.

    An exported file takes part in its default runtime and in every other one that is installed. Nothing is
    loaded. Raises DataError when there is no file, two would be the same row or have other classes,
    ModelError for one that cannot be used.
    """
    rows = _at_one_temperature([row for place in places for path in _files(place) for row in _rows(path)])
    if not rows:
        raise DataError("no .keras, .onnx or .tflite models there; give --models a folder that has some")
    seen: dict[RowKey, Path] = {}
    for row in rows:
        other = seen.setdefault(row.key, row.path)
        if other != row.path:
            raise DataError(f"{row.path} and {other} are both {row.key.name}; give one of them")
        if row.model.class_names != rows[0].model.class_names:
            raise DataError(
                f"{row.path} has the classes {listed(row.model.class_names)}, {rows[0].path} has "
                f"{listed(rows[0].model.class_names)}; measure them one at a time"
            )
    order = {name: place for place, name in enumerate((KERAS, *RUNTIMES))}

    def place(row: ModelRow) -> tuple[int, int, str, int]:
        key = row.key
        return METHODS.index(key.method), FORMATS.index(key.format), key.recipe, order[key.runtime]

    return sorted({row.key: row for row in rows}.values(), key=place)


def _at_one_temperature(rows: Sequence[ModelRow]) -> list[ModelRow]:
    """Give trained models the temperature of the files exported from them, where these agree on one.

    It may be of left-out domains (`xray-export --evidence`), which no training record knows.
    """
    exported: dict[tuple[str, str], set[float]] = {}
    for row in rows:
        if row.key.format != KERAS:
            exported.setdefault((row.key.method, row.model.data_digest), set()).add(row.model.temperature)

    def changed(row: ModelRow) -> ModelRow:
        found = exported.get((row.key.method, row.model.data_digest), set())
        if row.key.format != KERAS or len(found) != 1:
            return row
        return replace(row, model=replace(row.model, temperature=next(iter(found))))

    return [changed(row) for row in rows]


def baseline_of(row: RowKey, rows: Sequence[RowKey]) -> RowKey:
    """Return the row that a row's speed is compared with: of its method, ONNX fp32 in ONNX Runtime.

    Without that file, the method's first exported row, then its first.
    """
    own = [one for one in rows if one.method == row.method]
    exact = [one for one in own if (one.format, one.recipe, one.runtime) == BASELINE]
    return next(iter([*exact, *(one for one in own if one.format != KERAS), *own]))


def reference_of(row: RowKey, rows: Sequence[RowKey]) -> RowKey | None:
    """Return the row whose answers a row should give: the Keras model of its method, None without one."""
    return next((one for one in rows if one.method == row.method and one.format == KERAS), None)


def _files(place: Path) -> Sequence[Path]:
    if not place.is_dir():
        return [place]
    trained = [place / f"{method}.keras" for method in METHODS]
    exported = [path for path in sorted(place.iterdir()) if path.suffix in SUFFIXES]
    return [*(path for path in trained if path.exists()), *exported]


def _rows(path: Path) -> Iterator[ModelRow]:
    if path.suffix == ".keras":
        yield _keras_row(path)
        return
    model = find_model(path)
    manifest = READERS[model.format](path)
    default, *others = model.runtimes()
    for runtime in (default, *(one for one in others if one.installed())):
        key = RowKey(manifest.method, model.format, manifest.recipe, runtime.name)
        yield ModelRow(
            key,
            path,
            ModelFile(
                row=key,
                file=path.name,
                sha256=model.digest,
                size_bytes=path.stat().st_size,
                temperature=manifest.temperature,
                data_digest=manifest.training.data_sha256 or "",
                preprocessing=manifest.preprocessing,
                class_names=manifest.class_names,
            ),
        )


def _keras_row(path: Path) -> ModelRow:
    if path.stem not in METHODS:
        raise ModelError(f"{path}: a trained model is named {' or '.join(f'{one}.keras' for one in METHODS)}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model file: {error.strerror}") from error
    classes: tuple[str, ...] = CLASS_NAMES
    temperature, data, version = 1.0, "", STUDY.version
    if (record := path.with_suffix(".json")).exists():
        training = read_training_record(record)
        temperature, data = training.temperature, training.facts.data_sha256
        version, classes = training.facts.preprocessing_version, training.facts.classes
    preprocessing = Preprocessing(version, _keras_side(path))
    key = RowKey(path.stem, KERAS, "fp32", KERAS)
    digest = hashlib.sha256(content).hexdigest()
    model = ModelFile(key, path.name, digest, len(content), temperature, data, preprocessing, classes)
    return ModelRow(key, path, model)


def _keras_side(path: Path) -> int:
    """Return the side of a trained model's input, by its description in the file, without Keras."""
    try:
        with zipfile.ZipFile(path) as archive:
            layers = json.loads(archive.read("config.json"))["config"]["layers"]
        shapes = [one["config"]["batch_shape"] for one in layers if one["class_name"] == "InputLayer"]
        side = int(shapes[0][1])
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, IndexError, TypeError) as error:
        raise ModelError(f"{path}: is no trained model of xray-train: its input is not described") from error
    if side not in SIDES:
        raise ModelError(f"{path}: its input is {side} pixels square, which no model of xray-train is")
    return side

"""An exported file's heat maps beside Grad-CAM by automatic differentiation of the Keras model.

`tape_maps` follows the paper (Selvaraju et al. 2017, equations 1 and 2) with `tf.GradientTape` and knows
nothing of the shortcut that the exported graphs take; see `xray_infer.outputs.heatmaps.methods`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.study_command import FILE, study
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.errors import DataError
from xray_infer.export.calibration import draw
from xray_infer.model.runtimes import Model, find_model
from xray_infer.outputs.heatmaps.methods import Maps, grad_cam
from xray_infer.study.datasets import LabelledImage, read_dataset, read_input
from xray_infer.study.parity import answer, sessions
from xray_infer.study.reference import SUFFIX, input_digest, load_reference
from xray_infer.terminal import Report, say

BATCH_SIZE: Final = 16
LEAST_PEAK: Final = 1e-3  # of the highest of an image's maps: below it a map is empty
LOW_CORRELATION: Final = 0.95


def tape_maps(model: Path, inputs: NDArray[np.uint8]) -> Maps:
    """Return Grad-CAM of a .keras classifier's logits, float32 [N, h, w, C] >= 0, by tf.GradientTape.

    `inputs` are uint8 [N, side, side, 1]. Needs TensorFlow as Keras's backend.
    """
    import keras
    import tensorflow as tf

    from xray_infer.export.edge_graph import load_classifier, take_apart

    classifier = load_classifier(model)
    features = take_apart(classifier, path=model).features.output
    softmax = classifier.layers[-1]
    logits = keras.layers.Dense(softmax.units)
    network = keras.Model(classifier.input, [features, logits(softmax.input)])
    logits.set_weights(softmax.get_weights())
    parts = []
    for start in range(0, len(inputs), BATCH_SIZE):
        with tf.GradientTape(persistent=True) as tape:
            activations, scores = network(inputs[start : start + BATCH_SIZE], training=False)
            of_class = [scores[:, index] for index in range(softmax.units)]
        maps = []
        for score in of_class:
            weights = tf.reduce_mean(tape.gradient(score, activations), axis=(1, 2), keepdims=True)
            maps.append(tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1)))
        parts.append(tf.stack(maps, axis=-1).numpy())
    found: Maps = np.concatenate(parts)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class MapParity:
    """How close maps are to those expected, each divided by its own maximum.

    Arrays are of shape [N, C], images by classes. `errors`: the largest absolute difference in a map.
    `correlations`: Pearson's over its cells. `hottest`: whether the same cell is the hottest. `peaks`: the
    expected map's maximum over the highest of its image's. `empty` maps, with next to nothing that speaks for
    their class, have no shape to compare: they count in nothing, and are nan in the others.
    """

    errors: NDArray[np.float64]
    correlations: NDArray[np.float64]
    hottest: NDArray[np.float64]
    peaks: NDArray[np.float64]
    empty: NDArray[np.bool_]

    def low(self) -> list[tuple[int, int]]:
        """Return image and class of the maps whose correlation is below 0.95, the lowest first."""
        found = np.argwhere(self.correlations < LOW_CORRELATION)
        order = np.argsort(self.correlations[tuple(found.T)])
        return [(int(image), int(label)) for image, label in found[order]]


def compare_maps(given: Maps, expected: Maps) -> MapParity:
    """Compare maps, float32 [N, h, w, C] >= 0."""
    peaks = expected.max(axis=(1, 2)).astype(np.float64)
    shares = peaks / np.maximum(peaks.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    empty = shares < LEAST_PEAK
    first, second = (_normalised(maps) for maps in (given, expected))
    figures = [
        np.abs(first - second).max(axis=-1),
        _correlations(first, second),
        (first.argmax(axis=-1) == second.argmax(axis=-1)).astype(np.float64),
    ]
    errors, correlations, hottest = (np.where(empty, np.nan, figure) for figure in figures)
    return MapParity(errors, correlations, hottest, shares, empty)


def _normalised(maps: Maps) -> NDArray[np.float64]:
    """Return maps over their maxima, [N, C, h * w]; a map without heat stays zero."""
    flat = maps.transpose(0, 3, 1, 2).reshape(len(maps), maps.shape[-1], -1).astype(np.float64)
    peak = flat.max(axis=-1, keepdims=True)
    normalised: NDArray[np.float64] = np.divide(flat, peak, out=np.zeros_like(flat), where=peak > 0)
    return normalised


def _correlations(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Pearson's correlation along the last axis; 0 where one of two maps is flat."""
    first, second = (maps - maps.mean(axis=-1, keepdims=True) for maps in (first, second))
    norm = np.sqrt((first**2).sum(axis=-1) * (second**2).sum(axis=-1))
    product = (first * second).sum(axis=-1)
    found: NDArray[np.float64] = np.divide(product, norm, out=np.zeros_like(norm), where=norm > 0)
    return found


def file_maps(model: Model, inputs: NDArray[np.uint8]) -> Iterator[tuple[str, Maps]]:
    """Yield each runtime that reads an exported file, and the file's Grad-CAM there, float32 [N, 7, 7, C]."""
    recipe = model.open().manifest.recipe
    for runtime, session in sessions(model, recipe):
        yield runtime, np.stack([grad_cam(cam) for cam in answer(session, inputs, model.path.name).cam])


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One file in one runtime, compared with its Keras model on the images of `names`."""

    file: str
    runtime: str
    names: Sequence[str]
    classes: Sequence[str]
    parity: MapParity


def parity_table(rows: Sequence[Compared]) -> str:
    """Return Markdown, one line for each file and runtime."""
    lines = [
        "| file | runtime | images | maps (empty) | largest difference | correlation, median (lowest) "
        "| below 0.95 | same hottest cell |",
        "|---" * 8 + "|",
    ]
    for row in rows:
        one = row.parity
        lines.append(
            f"| {row.file} | {row.runtime} | {len(one.empty)} | {one.empty.size} ({int(one.empty.sum())}) "
            f"| {np.nanmax(one.errors):.2g} "
            f"| {np.nanmedian(one.correlations):.5f} ({np.nanmin(one.correlations):.4f}) "
            f"| {len(one.low())} | {np.nanmean(one.hottest):.1%} |"
        )
    return "\n".join(lines)


def low_table(rows: Sequence[Compared]) -> str:
    """Return Markdown that names every map whose correlation is below 0.95; empty where there is none."""
    lines = [
        "| file | runtime | image | class | correlation | its highest point, of the highest class's |",
        "|---" * 6 + "|",
    ]
    for row in rows:
        for image, label in row.parity.low():
            lines.append(
                f"| {row.file} | {row.runtime} | {row.names[image]} | {row.classes[label]} "
                f"| {row.parity.correlations[image, label]:.3f} | {row.parity.peaks[image, label]:.3f} |"
            )
    return "\n".join(lines) if len(lines) > 2 else ""


def compare_files(
    models: Sequence[Model], images: Sequence[LabelledImage], *, keras_model: Path | None, report: Report
) -> Iterator[Compared]:
    """Compare each file in each runtime that reads it.

    What is expected is `tape_maps` of `keras_model`, or without one Grad-CAM of the Keras model's own `cam`
    in the reference answers beside the file (see `xray_infer.study.reference`), on those of the images that
    it knows. Raises DataError when there are no such answers or none of the images is among them, ParityError
    for a file that does not run.
    """
    manifest = models[0].manifest()  # of all: they are of one Keras model
    made, classes = manifest.preprocessing, manifest.class_names
    inputs = np.stack([read_input(image, made) for image in images])
    names = [image.path.name for image in images]
    expected: Maps | None = None
    if keras_model is not None:
        report(f"Grad-CAM of {keras_model.name} by tf.GradientTape, {len(images)} images")
        expected = tape_maps(keras_model, inputs)
    for model in models:
        rows: Sequence[int] = range(len(images))
        maps = expected
        if maps is None:
            rows, maps = _stored_maps(model, inputs)
        for runtime, given in file_maps(model, inputs[rows]):
            report(f"{model.path.name} in {runtime}")
            yield Compared(
                model.path.name, runtime, [names[row] for row in rows], classes, compare_maps(given, maps)
            )


def _stored_maps(model: Model, inputs: NDArray[np.uint8]) -> tuple[Sequence[int], Maps]:
    """Return which of the inputs the reference beside a file knows, and its Grad-CAM of these."""
    stored = load_reference(model.path.with_name(f"{model.open().manifest.method}{SUFFIX}"))
    place = {digest: index for index, digest in enumerate(stored.input_digests)}
    known = {row: place[digest] for row, one in enumerate(inputs) if (digest := input_digest(one)) in place}
    if not known:
        raise DataError(f"{model.path}: none of the images is among those that judged this file")
    return list(known), np.stack([grad_cam(stored.cam[index]) for index in known.values()])


@study("map_parity")
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--data", required=True, type=FILE, help="Data set of FILES.")
@click.option(
    "--keras", "keras_model", type=FILE, help="The .keras file.  [default: its answers beside FILES]"
)
@click.option("--images", type=click.IntRange(1), help="Take so many test images.  [default: all]")
def main(files: tuple[Path, ...], data: Path, keras_model: Path | None, images: int | None) -> None:
    """Compare the Grad-CAM of FILES, all exported from one Keras model, with that model's.

    With --keras, by tf.GradientTape on that model; without, by its answers, which xray-export wrote beside
    FILES.
    """
    models = [find_model(path) for path in files]
    classes = models[0].manifest().class_names
    chosen = draw(read_dataset(data, classes=classes), "test", count=images or sys.maxsize, seed=0).images
    rows = list(compare_files(models, chosen, keras_model=keras_model, report=say))
    click.echo("\n\n".join(part for part in (parity_table(rows), low_table(rows)) if part))
    click.echo(f"\nMaps over their maxima, all classes. {describe_machine()} {RESEARCH_NOTICE}")


if __name__ == "__main__":
    main()

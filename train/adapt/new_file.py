"""A copy of a model file with another head, and the answers that it is held against.

The reference is the head in float64 on the maps that the parent computes. The file must give it back in
every runtime that is installed before it appears (see `study.parity`); `xray-export verify` repeats that.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.atomic import staged
from xray_infer.host import default_workers
from xray_infer.images.preprocess import Preprocessing
from xray_infer.model.manifest import ModelManifest
from xray_infer.study.datasets import LabelledImage, read_input
from xray_infer.study.metrics import softmax
from xray_infer.study.parity import check_parity
from xray_infer.study.reference import SUFFIX, Reference, extreme_inputs
from xray_infer.terminal import Report
from xray_infer.train.adapt.head_file import HeadFile
from xray_infer.train.adapt.regression import Linear
from xray_infer.train.adapt.used_films import UsedFilms

JUDGING: Final = 24  # films that judge a file: its body has been judged, its head is two small constants


def write_new_file(
    out: Path, parent: HeadFile, head: Linear, manifest: ModelManifest, used: UsedFilms, *, report: Report
) -> ModelManifest:
    """Write the file, and its reference answers beside it; return its manifest with the certificate.

    Raises ParityError when the file answers otherwise, OutputError when it cannot be written.
    """
    packed = parent.with_head(head, manifest.temperature)
    report("holding the new file against its head, in every runtime that is here")
    reference = make_head_reference(parent, head, manifest, judging_films(used.images))
    with staged(out) as temporary:
        temporary.write_bytes(parent.embed(packed, manifest))
        certificate = check_parity(temporary, reference, recipe=manifest.recipe, name=out.name, forgiven=1)
        certified = replace(manifest, parity=certificate)
        temporary.write_bytes(parent.embed(packed, certified))
        reference.save(reference_path(out))
    return certified


def reference_path(path: Path) -> Path:
    """Return where the reference answers of an adapted file are: beside it, under its whole name.

    So `clinic.onnx` and `clinic.tflite` have their own.
    """
    return path.with_name(path.name + SUFFIX)


def judging_films(images: tuple[LabelledImage, ...]) -> tuple[LabelledImage, ...]:
    """Return some of the films, evenly picked from each class in turn."""
    ordered = sorted(images, key=lambda image: image.label)
    places = np.linspace(0, len(ordered), min(JUDGING, len(ordered)), endpoint=False).astype(int)
    return tuple(ordered[place] for place in places)


def make_head_reference(
    parent: HeadFile, head: Linear, manifest: ModelManifest, images: tuple[LabelledImage, ...]
) -> Reference:
    """Ask the parent for what the head reads, and answer in float64."""
    inputs = np.concatenate(
        [read_inputs(images, manifest.preprocessing), extreme_inputs(manifest.input_shape[0])]
    )
    maps = parent.open_maps()
    read = np.stack([maps(one) for one in inputs]).astype(np.float64)
    cam = read @ head.weights
    probabilities = softmax(cam.mean(axis=(1, 2)) + head.bias, manifest.temperature)
    labels = np.array([image.label for image in images], np.int64)
    return Reference(inputs, probabilities.astype(np.float32), cam.astype(np.float32), labels)


def read_inputs(images: tuple[LabelledImage, ...], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Return the model's inputs, uint8 [N, side, side, 1]. Raises DataError."""
    with ThreadPoolExecutor(default_workers()) as pool:
        return np.stack(list(pool.map(lambda image: read_input(image, preprocessing), images)))

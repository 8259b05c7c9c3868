"""One export: load, take apart, convert, judge, write. A file appears only when it has passed.

Converters and quantisers keep files of their own in the temporary folder; where that is full, one line says
so.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import xray_infer
from xray_infer.atomic import make_folder, staged
from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE
from xray_infer.errors import ModelError, OutputError, ParityError, XrayError
from xray_infer.export.alarm_export import add_alarm
from xray_infer.export.calibration import (
    CALIBRATION_SPLIT,
    CHOICE_SPLIT,
    GATE_SPLIT,
    ImageStream,
    check_same_data,
    draw,
    draw_from,
)
from xray_infer.export.converted import EMBED, ConvertedGraph
from xray_infer.export.edge_graph import load_classifier, make_reference, take_apart
from xray_infer.export.recipes import CALIBRATIONS, RECIPES
from xray_infer.export.rejection import FALSE_REJECTION, add_rejection, draw_splits
from xray_infer.export.trained_model import TrainedModel
from xray_infer.images.preprocess import VERSIONS, Preprocessing
from xray_infer.model.json_records import from_json
from xray_infer.model.manifest import CONFIDENCE_NAME, ModelManifest
from xray_infer.model.manifest_parts import Certificate, Quantization, Training
from xray_infer.model.runtimes import find_model
from xray_infer.study.class_choice import listed
from xray_infer.study.confidence import read_confidence, read_left_out_accuracy
from xray_infer.study.datasets import Dataset, read_dataset, split_images
from xray_infer.study.parity import check_parity
from xray_infer.study.reference import SUFFIX, Reference
from xray_infer.study.training_record import read_training_record
from xray_infer.terminal import Report

# What the system answers where the temporary folder cannot be written to.
REFUSED: Final = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM)
)
ROOM: Final = 8  # times the Keras model's size; int8 of a small network took four times its ONNX file
USES: Final = {CHOICE_SPLIT: "on which int8's choices are made", GATE_SPLIT: "which judge every file"}


@dataclass(frozen=True, slots=True)
class ExportConfig:
    """What to export and what to judge it by. `evidence` is the evidence.json that knows its confidence."""

    model: Path
    data: Path
    out: Path
    recipes: tuple[tuple[str, str], ...]
    calibration_data: Path | None = None
    calibration_images: int = 200
    choice_images: int = 400
    gate_images: int = 400
    calibrations: tuple[str, ...] = CALIBRATIONS
    mixed: bool = True
    false_rejection: float = FALSE_REJECTION
    evidence: Path | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file that passed the gate, with the figures of its certificate."""

    path: Path
    size_bytes: int
    quantization: Quantization | None
    parity: Certificate


def export(config: ExportConfig, *, tool_versions: dict[str, str], report: Report) -> Iterator[ExportedFile]:
    """Export a file by each recipe, one after the other; `report` gets lines on progress.

    Raises ModelError, DataError or OutputError before any file is made, and ParityError at the first
    file that fails; the files before it stay.
    """
    training = training_of(config.model)
    classes = classes_of(training)
    dataset = read_dataset(config.data, classes=classes)
    check_same_data(dataset, training, data=config.data, model=config.model)
    classifier = load_classifier(config.model)
    graph = take_apart(classifier, path=config.model, temperature=training.temperature)
    if len(graph.network.bias) != len(classes):
        raise ModelError(
            f"{config.model}: the model has {len(graph.network.bias)} outputs, its training record "
            f"{len(classes)} classes: {listed(classes)}"
        )
    preprocessing = preprocessing_of(training, graph.network.side, model=config.model)
    confidence, left_out, limits = None, None, {}
    if config.evidence is not None:
        left_out = read_left_out_accuracy(config.evidence, method=config.model.stem)
        confidence = read_confidence(
            config.evidence, method=config.model.stem, trained=training.record, preprocessing=preprocessing
        )
        graph = replace(graph, network=replace(graph.network, temperature=confidence.temperature))
        if confidence.limit is None:
            report("no limit of confidence makes labels right often enough: the file says every label")
        else:
            limits = {CONFIDENCE_NAME: confidence.limit}
    calibration, choice, gate = _draw_images(dataset, config, preprocessing)
    make_folder(config.out)
    report(f"reference: the Keras model on {len(gate)} test and {len(choice)} validation images")
    reference = make_reference(graph, gate)
    reference.save(config.out / f"{config.model.stem}{SUFFIX}")
    draft = ModelManifest(
        name=f"densenet121-{config.model.stem}",
        version=xray_infer.__version__,
        method=config.model.stem,
        format="",
        recipe="",
        temperature=graph.network.temperature,
        training=training,
        parity=None,
        tool_versions=tool_versions,
        intended_use=intended_use(classes),
        confidence=confidence,
        thresholds=limits,
        class_names=classes,
        input_shape=preprocessing.shape,
        preprocessing_version=preprocessing.version,
    )
    trained = TrainedModel(
        graph.network,
        calibration,
        make_reference(graph, choice),
        draft,
        calibrations=config.calibrations,
        mixed=config.mixed,
        report=report,
    )
    for model_format, recipe in config.recipes:
        path = config.out / f"{draft.method}-{recipe}.{model_format}"
        report(f"{path.name}: converting")
        with scratch_errors(path, model=config.model):
            converted = RECIPES[model_format, recipe](trained)
            images = draw_splits(dataset, preprocessing, recipe=recipe, seed=config.seed)
            scored, manifest = add_rejection(
                converted.graph,
                replace(draft, format=model_format, recipe=recipe),
                images,
                false_rejection=config.false_rejection,
                report=report,
            )
            manifest = add_alarm(scored, manifest, images.train.images, accuracy=left_out, report=report)
        report(f"{path.name}: checking parity")
        yield write_checked(path, replace(converted, graph=scored), manifest, reference)


def write_checked(
    path: Path, converted: ConvertedGraph, draft: ModelManifest, reference: Reference
) -> ExportedFile:
    """Write a converted graph with its manifest, after the gate. Raises ParityError, and leaves no file.

    The gate runs a file without a certificate; what appears is the same graph with it.
    """
    embed = EMBED[draft.format]
    manifest = replace(draft, quantization=converted.quantization)
    with staged(path) as temporary:
        temporary.write_bytes(embed(converted.graph, manifest))
        try:
            certificate = check_parity(temporary, reference, recipe=manifest.recipe, name=path.name)
        except ParityError as error:
            raise ParityError(f"{error}{_what_was_tried(converted)}") from error
        temporary.write_bytes(embed(converted.graph, replace(manifest, parity=certificate)))
        find_model(temporary).open()
    return ExportedFile(path, path.stat().st_size, converted.quantization, certificate)


def _what_was_tried(converted: ConvertedGraph) -> str:
    tried = (converted.quantization.tried if converted.quantization is not None else None) or ()
    attempts = (
        f"{one.calibration} with {len(one.in_float)} in float ({100 * one.agreement:.1f} %)" for one in tried
    )
    return f"; tried, with agreement on validation images: {', '.join(attempts)}" if tried else ""


def training_of(model: Path) -> Training:
    """Return what a Keras model's training record says, for the manifest of its files. Raises ModelError."""
    return from_json(Training, read_training_record(model.with_suffix(".json")).to_dict())


def classes_of(training: Training) -> tuple[str, ...]:
    """Return the classes that a training record names, the study's where it is of before."""
    return tuple(training.record.get("class_names", CLASS_NAMES))


def intended_use(classes: Sequence[str]) -> str:
    """Return what files of these classes are for.

    >>> intended_use(["covid", "pneumonia", "normal"])
    'Chest X-rays: covid, pneumonia or normal. Research use only. Not a medical device, not for diagnosis.'
    """
    return f"Chest X-rays: {', '.join(classes[:-1])} or {classes[-1]}. {RESEARCH_NOTICE}"


def preprocessing_of(training: Training, side: int, *, model: Path) -> Preprocessing:
    """Return what made the images that a Keras model was trained on. Raises ModelError for an unknown one."""
    version = training.record.get("preprocessing_version")
    if version not in VERSIONS:
        raise ModelError(
            f"{model.with_suffix('.json')}: preprocessing_version is {version!r}, "
            f"expected one of {', '.join(map(str, VERSIONS))}"
        )
    return Preprocessing(version, side)


def _draw_images(
    dataset: Dataset, config: ExportConfig, preprocessing: Preprocessing
) -> tuple[ImageStream, ImageStream, ImageStream]:
    """Draw the images that calibrate, choose and judge. Raises DataError."""
    for split, use in USES.items():
        split_images(dataset, split, use=use)
    take = partial(draw, dataset, seed=config.seed, preprocessing=preprocessing)
    count = config.calibration_images
    choice = take(CHOICE_SPLIT, count=config.choice_images)
    gate = take(GATE_SPLIT, count=config.gate_images)
    if config.calibration_data is None:
        return take(CALIBRATION_SPLIT, count=count), choice, gate
    calibration = draw_from(
        config.calibration_data,
        classes=dataset.classes,
        count=count,
        seed=config.seed,
        barred=(choice, gate),
        preprocessing=preprocessing,
    )
    return calibration, choice, gate


@contextmanager
def scratch_errors(path: Path, *, model: Path) -> Iterator[None]:
    """Raise OutputError when the file at `path` cannot be made of `model` for want of temporary space.

    A converter tells of a failed write by an OSError, by an exception of its own, or not at all: then it
    stumbles over its own file, cut short. So whatever it raises counts where the folder, which it has cleared
    by now, has less room than a conversion takes. Anything else is a bug and goes on.
    """
    try:
        yield
    except XrayError:
        raise
    except Exception as error:  # converters' exceptions have no common base
        reason = _temporary_folder_fault(error, wanted=ROOM * model.stat().st_size)
        if reason is None:
            raise
        raise OutputError(
            f"{path}: cannot be made: {reason}; free some space there, or name another folder in TMPDIR"
        ) from error


def _temporary_folder_fault(error: Exception, *, wanted: int) -> str | None:
    """Say in what way the temporary folder fails, or return None where it does not."""
    try:
        folder = tempfile.gettempdir()
        free = shutil.disk_usage(folder).free
    except OSError as missing:
        return f"temporary folder: {missing}"
    if isinstance(error, OSError) and error.errno in REFUSED:
        return f"temporary folder {folder}: {error.strerror}"
    if free < wanted:
        return f"temporary folder {folder}: {free / 1e6:.1f} MB free, {wanted / 1e6:.1f} MB wanted"
    return None

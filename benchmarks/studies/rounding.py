"""What each step before quantisation gives: the int8 graph beside the float32 one, on validation images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import click
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.studies.study_command import FILE, study
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.export import load_toolchain
from xray_infer.export.calibration import CALIBRATION_SPLIT, CHOICE_SPLIT, check_same_data, draw
from xray_infer.export.densenet import DenseNet
from xray_infer.export.edge_graph import load_classifier, take_apart
from xray_infer.export.exporter import classes_of, preprocessing_of, training_of
from xray_infer.export.int8_network import Int8Network, correct, equalise, for_int8, round_stem
from xray_infer.export.quantize_onnx import OnnxQuantizer
from xray_infer.export.ranges import CALIBRATORS, collect_ranges, collect_statistics
from xray_infer.export.to_onnx import to_onnx
from xray_infer.model.manifest import INPUT_NAME
from xray_infer.study.datasets import read_dataset
from xray_infer.terminal import Report, say

Images = Iterable[NDArray[np.uint8]]
CALIBRATIONS: Final = tuple(CALIBRATORS)


@dataclass(frozen=True, slots=True)
class Closeness:
    """Share of images with float32's first class; differences of probabilities, mean and largest."""

    step: str
    calibration: str
    agreement: float
    mean_dp: float
    max_dp: float


def steps(network: DenseNet, calibration: Images) -> Iterator[tuple[str, Int8Network, tuple[int, ...]]]:
    """Yield each step's name, network and units in float; each has all the steps before it but the last.

    `calibration`: uint8 [side, side, 1] each, iterated over once.
    """
    its = collect_statistics(network, calibration)
    exact = equalise(network, its)
    yield "channels that are concatenated equalised", Int8Network(exact, exact), ()
    yield "+ biases corrected", Int8Network(exact, equalise(correct(network, its), its)), ()
    stem = correct(round_stem(network, its), its)
    yield "+ the first convolution's weights rounded together", Int8Network(exact, equalise(stem, its)), ()
    whole = for_int8(network, its)
    yield "+ channels within layers balanced (int8-static)", whole, ()
    yield "the same, the first convolution in float", whole, (0,)


def compare_steps(
    network: DenseNet,
    calibration: Images,
    images: Images,
    *,
    calibrations: Sequence[str] = CALIBRATIONS,
    report: Report,
) -> list[Closeness]:
    """Quantise after each step, with ranges by each calibration, and measure on other images."""
    inputs = list(images)
    report(f"float32: {len(inputs)} images")
    expected = _answers(to_onnx(network).SerializeToString(), inputs)
    found = []
    for name, prepared, in_float in steps(network, calibration):
        for method in calibrations:
            report(f"{name}: {method}")
            ranges = collect_ranges(prepared.exact, calibration, method)
            graph = OnnxQuantizer(prepared).quantize(ranges, in_float=in_float)
            given = _answers(graph, inputs)
            same = given.argmax(axis=1) == expected.argmax(axis=1)
            dp = np.abs(given - expected)
            found.append(Closeness(name, method, float(same.mean()), float(dp.mean()), float(dp.max())))
    return found


def _answers(graph: bytes, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["probabilities"], {INPUT_NAME: one[None]})[0] for one in images])


def steps_table(found: Sequence[Closeness]) -> str:
    """Return Markdown, a row a step and calibration."""
    lines = ["| step | calibration | agreement with float32 | mean dp | max dp |", "|---" * 5 + "|"]
    lines += [
        f"| {one.step} | {one.calibration} | {one.agreement:.1%} | {one.mean_dp:.4f} | {one.max_dp:.3f} |"
        for one in found
    ]
    return "\n".join(lines)


@study("rounding")
@click.argument("model", type=FILE)
@click.option("--data", required=True, type=FILE, help="Data set that MODEL was trained on.")
@click.option("--images", type=click.IntRange(1), default=400, show_default=True, help="To measure on.")
@click.option("--calibration-images", type=click.IntRange(1), default=200, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Draws the images.")
def main(model: Path, data: Path, images: int, calibration_images: int, seed: int) -> None:
    """Measure what each step before int8 keeps: MODEL, a .keras file, on DATA's validation images."""
    load_toolchain()
    training = training_of(model)
    dataset = read_dataset(data, classes=classes_of(training))
    check_same_data(dataset, training, data=data, model=model)
    network = take_apart(load_classifier(model), path=model, temperature=training.temperature).network
    made = preprocessing_of(training, network.side, model=model)
    take = partial(draw, dataset, seed=seed, preprocessing=made)
    calibration = take(CALIBRATION_SPLIT, count=calibration_images)
    measured = take(CHOICE_SPLIT, count=images)
    click.echo(steps_table(compare_steps(network, calibration, measured, report=say)))
    click.echo(
        f"\n{len(measured)} validation images; ranges by {len(calibration)} training images. "
        f"{RESEARCH_NOTICE}"
    )


if __name__ == "__main__":
    main()

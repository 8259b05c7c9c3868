"""What each step before quantisation gives: the int8 graph beside the float32 one, on validation images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from xray_infer.export.densenet import DenseNet
from xray_infer.export.int8_network import Int8Network, correct, equalise, for_int8, round_stem
from xray_infer.export.quantize_onnx import OnnxQuantizer
from xray_infer.export.ranges import METHODS, collect_ranges, collect_statistics
from xray_infer.export.to_onnx import to_onnx
from xray_infer.model.manifest import INPUT_NAME
from xray_infer.terminal import Report

Images = Iterable[NDArray[np.uint8]]
CALIBRATIONS: Final = tuple(METHODS)


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

    `calibration`: uint8 [224, 224, 1] each, iterated over once.
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

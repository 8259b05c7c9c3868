"""Accuracy, agreement and speed of every method and format, as one table.

Speed is measured in rounds: in each, every contender has its turn (A B C A B C ...), and a ratio compares
two contenders within one round only. So a machine that slows down for a while slows all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xray_infer.benchmarks.contenders import Contender, TestSet
from xray_infer.terminal import Report
from xray_infer.train.data.yardsticks import Score, Yardstick
from xray_infer.train.metrics import Metrics, measure

WARM_UP: Final = 3


@dataclass(frozen=True, slots=True)
class Result:
    """One contender's figures.

    `agreement` (0..1) and `max_dp` compare with the Keras model of the same method, None without one.
    `latency_ms` holds a list of milliseconds a round, one image at a time; `images_per_s` one figure a round.
    """

    method: str
    format: str
    recipe: str
    runtime: str
    size_bytes: int
    metrics: Metrics
    agreement: float | None
    max_dp: float | None
    latency_ms: tuple[tuple[float, ...], ...]
    images_per_s: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, every raw sample kept."""
        return asdict(self)


def compare(
    contenders: Sequence[Contender],
    test: TestSet,
    *,
    rounds: int,
    images: int,
    report: Report,
) -> list[Result]:
    """Measure all contenders on the test set; speed on its first `images` images in each of `rounds`."""
    answers = []
    for one in contenders:
        report(f"accuracy: {one.method}, {one.format} {one.recipe} in {one.runtime}")
        answers.append(one.predict_many(test.images))
    reference = {one.method: p for one, p in zip(contenders, answers, strict=True) if one.format == "keras"}
    latency: list[list[tuple[float, ...]]] = [[] for _ in contenders]
    throughput: list[list[float]] = [[] for _ in contenders]
    batch = test.images[:images]
    for number in range(rounds):
        report(f"speed: round {number + 1} of {rounds}")
        for one, milliseconds, rates in zip(contenders, latency, throughput, strict=True):
            for image in batch[:WARM_UP]:
                one.predict_one(image)
            milliseconds.append(tuple(1000 * _seconds(one.predict_one, image) for image in batch))
            rates.append(len(batch) / _seconds(one.predict_many, batch))
    results = []
    for index, (one, probabilities) in enumerate(zip(contenders, answers, strict=True)):
        keras = reference.get(one.method)
        same = None if keras is None else float((keras.argmax(1) == probabilities.argmax(1)).mean())
        results.append(
            Result(
                method=one.method,
                format=one.format,
                recipe=one.recipe,
                runtime=one.runtime,
                size_bytes=one.path.stat().st_size,
                metrics=measure(test.labels, probabilities),
                agreement=same,
                max_dp=None if keras is None else float(np.abs(keras - probabilities).max()),
                latency_ms=tuple(latency[index]),
                images_per_s=tuple(throughput[index]),
            )
        )
    return results


def recipe_figures(results: Sequence[Result], method: str) -> list[dict[str, Any]]:
    """Return what `xray-export --list-recipes` says of one method's files, each in its default runtime."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for one in results:
        if one.method != method or one.format == "keras" or (one.format, one.recipe) in rows:
            continue
        rows[one.format, one.recipe] = {
            "format": one.format,
            "recipe": one.recipe,
            "runtime": one.runtime,
            "size_bytes": one.size_bytes,
            "agreement": one.agreement,
            "max_dp": one.max_dp,
            "ratio": _ratio(one, _base(one, results)) if one.images_per_s else None,
        }
    return list(rows.values())


def _base(one: Result, results: Sequence[Result]) -> Result:
    """Return what a result's speed is compared with."""
    same = (b for b in results if (b.method, b.format, b.recipe) == (one.method, "onnx", "fp32"))
    return next(same, results[0])


def _ratio(one: Result, base: Result) -> float:
    return float(np.median(np.array(one.images_per_s) / np.array(base.images_per_s)))


def _seconds(call: Callable[[NDArray[np.uint8]], object], images: NDArray[np.uint8]) -> float:
    started = time.perf_counter()
    call(images)
    return time.perf_counter() - started


def table(results: Sequence[Result], yardsticks: Sequence[Yardstick] = ()) -> str:
    """Return Markdown; a ratio is to ONNX fp32 of the same method in its default runtime, whose row comes
    before those of the others, without it to the first row.

    The last rows are those of the yardsticks: what guesses without lungs reach on the same images.
    """
    lines = [
        "| method | format | recipe | runtime | MB | accuracy (95 % interval) | macro-F1 "
        "| agrees with Keras | max dp | ms, one image (p10-p90) | images/s (min-max) | ratio |",
        "|---" * 12 + "|",
    ]
    for one in results:
        base = _base(one, results)
        agreement = "" if one.agreement is None else f"{one.agreement:.2%}"
        difference = "" if one.max_dp is None else f"{one.max_dp:.1e}"
        lines.append(
            f"| {one.method.replace('_', ' ')} | {one.format} | {one.recipe} | {one.runtime} "
            f"| {one.size_bytes / 1e6:.1f} "
            f"| {_accuracy(one.metrics)} | {one.metrics.macro_f1:.4f} "
            f"| {agreement} | {difference} {_speed_cells(one, base)}"
        )
    lines += [f"| {one.name} | | | | | {_accuracy(one.test)} | | | | | | |" for one in yardsticks]
    return "\n".join(lines)


def _accuracy(figures: Metrics | Score) -> str:
    low, high = figures.accuracy_interval
    return f"{figures.accuracy:.2%} ({low:.1%}-{high:.1%})"


def _speed_cells(one: Result, base: Result) -> str:
    if not one.images_per_s:
        return "| | | |"
    samples = np.concatenate(one.latency_ms)
    p10, p50, p90 = np.percentile(samples, [10, 50, 90])
    ratio = _ratio(one, base)
    rates = f"{np.median(one.images_per_s):.1f} ({min(one.images_per_s):.1f}-{max(one.images_per_s):.1f})"
    return f"| {p50:.0f} ({p10:.0f}-{p90:.0f}) | {rates} | {ratio:.2f} |"


def confusion_tables(results: Sequence[Result], class_names: Sequence[str]) -> str:
    """Return every result's confusion matrix on one line each, as Markdown."""
    order = "-".join(class_names)
    lines = [
        f"| method, format, recipe, runtime | confusion matrix (rows true, columns predicted, {order}) |",
        "|---|---|",
    ]
    for one in results:
        rows = " / ".join(" ".join(map(str, row)) for row in one.metrics.confusion)
        lines.append(
            f"| {one.method.replace('_', ' ')}, {one.format} {one.recipe} in {one.runtime} | {rows} |"
        )
    return "\n".join(lines)

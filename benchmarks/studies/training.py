"""The fast training path beside plain Keras, as whole processes on the same data, schedule and seeds."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xray_infer.benchmarks.commands import CommandRun, run_command, spread
from xray_infer.model.manifest import METHODS
from xray_infer.study.datasets import SPLITS, Dataset
from xray_infer.terminal import Report
from xray_infer.train.data.splits import write_manifest

FAST: Final = "xray-train"
PLAIN: Final = "plain Keras fit"
WITHOUT_XLA: Final = "plain Keras fit without XLA"


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One finished training of both methods, its time and the test accuracies."""

    command: CommandRun
    accuracies: Mapping[str, float]


def compare_training(
    dataset: Dataset, weights: str, *, rounds: int, xla_only: bool = False, report: Report
) -> dict[str, list[TrainingRun]]:
    """Train the study's schedule each way in turn, `rounds` times, the round's number as seed.

    A training takes up to half an hour, so the table so far is reported after each.
    """
    ways = (FAST, PLAIN) if xla_only else (FAST, PLAIN, WITHOUT_XLA)
    runs: dict[str, list[TrainingRun]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as scratch:
        manifest = Path(scratch, "manifest.csv")
        write_manifest(dataset, manifest)
        for seed in range(rounds):
            for name, results in runs.items():
                report(f"round {seed + 1} of {rounds}: {name}")
                out = Path(scratch, f"{name} {seed}".replace(" ", "-"))
                results.append(_run(name, manifest, weights, seed, out))
                report(training_table(runs))
    return runs


def _run(name: str, manifest: Path, weights: str, seed: int, out: Path) -> TrainingRun:
    if name == FAST:
        options = ["--out", str(out), "--weights", weights, "--seed", str(seed)]
        run = run_command([sys.executable, "-m", "xray_infer.train", str(manifest), *options])
        records = [json.loads((out / f"{method}.json").read_text()) for method in METHODS]
        return TrainingRun(run, {one["method"]: one["test"]["accuracy"] for one in records})
    options = ["--no-xla"] if name == WITHOUT_XLA else []
    script = [sys.executable, "-m", "benchmarks.studies.plain_training"]
    run = run_command([*script, str(manifest), weights, str(seed), str(out), *options])
    return TrainingRun(run, json.loads(out.read_text()))


def training_table(runs: Mapping[str, Sequence[TrainingRun]]) -> str:
    """Return Markdown of what has finished; the ratio is to the time of xray-train in the same round."""
    heads = " | ".join(f"{method.replace('_', ' ')}, test accuracy" for method in METHODS)
    lines = [
        f"| training | seconds, median (min-max) | times as long | peak memory, MB | {heads} |",
        "|---" * (4 + len(METHODS)) + "|",
    ]
    for name, results in runs.items():
        if not results:
            continue
        seconds = [one.command.seconds for one in results]
        ratios = [mine / fast.command.seconds for mine, fast in zip(seconds, runs[FAST], strict=False)]
        accuracies = [
            " ".join(f"{100 * one.accuracies[method]:.1f}" for one in results) + " %" for method in METHODS
        ]
        peak = statistics.median(one.command.peak_mb for one in results)
        lines.append(
            f"| {name} | {spread(seconds, 0)} | {spread(ratios, 1)} | {peak:.0f} | {' | '.join(accuracies)} |"
        )
    return "\n".join(lines)


def part_of(dataset: Dataset, count: int | None) -> Dataset:
    """Return every k-th image of each split, `count` in all, or all of them."""
    if count is None or count >= len(dataset.images):
        return dataset
    step = len(dataset.images) / count
    chosen = []
    for split in SPLITS:
        images = sorted(dataset.split(split), key=lambda image: image.digest)
        chosen += [images[int(index * step)] for index in range(int(len(images) / step))]
    return Dataset(tuple(chosen))

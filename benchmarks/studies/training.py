"""The fast training path beside plain Keras, as whole processes on the same data, schedule and seeds."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click

from benchmarks.studies.rounds import spread
from benchmarks.studies.study_command import FILE, rounds_option, study
from xray_infer.benchmarks.machine import describe_machine
from xray_infer.benchmarks.processes import FinishedProcess, run_command
from xray_infer.model.manifest import METHODS
from xray_infer.study.datasets import SPLITS, Dataset, read_dataset
from xray_infer.study.training_record import read_training_record
from xray_infer.terminal import Report, say
from xray_infer.train.data.splits import write_manifest

FAST: Final = "xray-train"
PLAIN: Final = "plain Keras fit"
WITHOUT_XLA: Final = "plain Keras fit without XLA"
PLAIN_FIT: Final = "import sys; from benchmarks.studies.training import plain_fit; plain_fit(*sys.argv[1:])"


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One finished training of both methods, its time and the test accuracies."""

    command: FinishedProcess
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
        records = [read_training_record(out / f"{method}.json") for method in METHODS]
        return TrainingRun(run, {one.method: one.test.accuracy for one in records if one.test})
    options = ["--no-xla"] if name == WITHOUT_XLA else []
    script = [sys.executable, "-c", PLAIN_FIT]
    run = run_command([*script, str(manifest), weights, str(seed), str(out), *options])
    return TrainingRun(run, json.loads(out.read_text()))


def plain_fit(manifest: str, weights: str, seed: str, out: str, jit: str = "auto") -> None:
    """Train both methods as a Keras user writes it, and write their test accuracies to the JSON file `out`.

    All images are decoded into memory once; then `model.fit` with the base frozen, and again with the top
    layers unfrozen, every image through the whole network in every epoch, the best epoch kept each time.
    """
    import keras
    import numpy as np

    from xray_infer.images.preprocess import STUDY
    from xray_infer.study.datasets import read_input
    from xray_infer.train.network import build_classifier, freeze
    from xray_infer.train.schedule import SCHEDULES

    schedule = SCHEDULES["study"]
    dataset = read_dataset(Path(manifest))
    inputs = {
        split: np.stack([read_input(image, STUDY) for image in dataset.split(split)]) for split in SPLITS
    }
    labels = {split: np.array([image.label for image in dataset.split(split)]) for split in SPLITS}
    keras.utils.set_random_seed(int(seed))
    model = build_classifier(weights, classes=len(dataset.classes), seed=int(seed))
    accuracies: dict[str, float] = {}
    for method in METHODS:
        stage = schedule.stage(method)
        freeze(model, unfrozen=stage.unfrozen)
        model.compile(
            optimizer=keras.optimizers.Adam(stage.learning_rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            jit_compile=False if jit == "--no-xla" else "auto",
        )
        with tempfile.TemporaryDirectory() as folder:
            best = Path(folder, "best.keras")
            model.fit(
                inputs["train"],
                labels["train"],
                batch_size=schedule.batch_size,
                epochs=stage.epochs,
                validation_data=(inputs["val"], labels["val"]),
                callbacks=[keras.callbacks.ModelCheckpoint(best, save_best_only=True)],
                verbose=0,
            )
            model = keras.saving.load_model(best)
        probabilities = model.predict(inputs["test"], verbose=0)
        accuracies[method] = float(np.mean(probabilities.argmax(axis=1) == labels["test"]))
    Path(out).write_text(json.dumps(accuracies))


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
    return replace(dataset, images=tuple(chosen))


@study("training")
@click.argument("data", type=FILE)
@click.option("--weights", default="imagenet", show_default=True, help="Backbone, as for xray-train.")
@click.option("--images", type=click.IntRange(30), help="Take so many images of DATA.  [default: all]")
@rounds_option(1, help="Of all ways in turn.")
@click.option("--xla-only", is_flag=True, help="Leave out plain Keras without XLA.")
def main(data: Path, weights: str, images: int | None, rounds: int, xla_only: bool) -> None:
    """Time xray-train beside plain Keras on DATA, which has a split: the study's schedule, both methods."""
    dataset = part_of(read_dataset(data), images)
    runs = compare_training(dataset, weights, rounds=rounds, xla_only=xla_only, report=say)
    click.echo(training_table(runs))
    sizes = " / ".join(str(len(dataset.split(split))) for split in ("train", "val", "test"))
    click.echo(f"\n{sizes} images, {rounds} interleaved rounds. {describe_machine()}")


if __name__ == "__main__":
    main()

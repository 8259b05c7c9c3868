"""The evidence beside an accuracy: seeds, a split that leaks, controls for shortcuts, and yardsticks.

Output folder:
    group-seed-K/    the data's own split, which divides no group; one run of both methods a seed
    random-seed-K/   images dealt one by one, anew for each seed, as many published results do
    border/, centre/ the data's own split, with all but a region of each image black
    cache/           decoded images and features, shared by the runs
    evidence.json, evidence.md

Every run is a training run of its own (see `fit`); a killed command goes on where it was. Figures are of the
test split: of each run's own, so those of random splits are of other images than those of the group split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

from xray_infer.atomic import make_folder, write_json, write_text
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.model.manifest import METHODS
from xray_infer.study.datasets import SPLITS, Dataset, read_dataset
from xray_infer.study.training_record import TrainingRecord, read_training_record
from xray_infer.terminal import Report
from xray_infer.train.data.splits import random_split
from xray_infer.train.data.yardsticks import Yardstick, yardsticks
from xray_infer.train.fit import train_dataset
from xray_infer.train.schedule import TrainConfig

Records = Mapping[str, TrainingRecord]  # of one run, by method


@dataclass(frozen=True, slots=True)
class Runs:
    """What the methods reached: one record for each method, by the name of the run."""

    records: Mapping[str, Records]

    def accuracies(self, kind: str, method: str) -> list[float]:
        """Return the test accuracies of a method in all runs whose name begins with `kind`."""
        return [
            test.accuracy
            for name, methods in self.records.items()
            if name.startswith(kind) and (test := methods[method].test) is not None
        ]


def gather(data: Path, out: Path, config: TrainConfig, *, seeds: int, report: Report) -> str:
    """Train all runs, write evidence.json and evidence.md, and return the latter's text.

    Raises DataError when `data` has no split, and what a training run raises.
    """
    given = read_dataset(data)
    dataset = Dataset(tuple(image for split in SPLITS for image in given.split(split)), data)
    make_folder(out)
    runs: dict[str, Records] = {}
    for name, some, change in _plan(dataset, config, seeds):
        report(f"run {name}")
        train_dataset(some, out / name, change, cache=out / "cache", report=report)
        runs[name] = {method: read_training_record(out / name / f"{method}.json") for method in METHODS}
    measured = yardsticks(dataset, seed=config.seed, report=report)
    page = _page(Runs(runs), measured, dataset, seeds)
    records = {
        name: {method: record.to_dict() for method, record in methods.items()}
        for name, methods in runs.items()
    }
    write_json(out / "evidence.json", {"runs": records, "yardsticks": [one.to_dict() for one in measured]})
    write_text(out / "evidence.md", page)
    return page


def _plan(dataset: Dataset, config: TrainConfig, seeds: int) -> Iterable[tuple[str, Dataset, TrainConfig]]:
    """Yield name, data and configuration of each run. All share the augmented views, not their order."""
    for seed in range(seeds):
        yield f"group-seed-{seed}", dataset, replace(config, seed=seed, view_seed=config.seed)
    for region in ("border", "centre"):
        yield region, dataset, replace(config, region=region, view_seed=config.seed)
    for seed in range(seeds):
        changed = replace(config, seed=seed, view_seed=config.seed)
        yield f"random-seed-{seed}", random_split(dataset, seed=seed), changed


def _page(runs: Runs, measured: Sequence[Yardstick], dataset: Dataset, seeds: int) -> str:
    test = len(dataset.split("test"))
    lines = [
        "# Evidence",
        "",
        f"{RESEARCH_NOTICE} Test accuracy; n = {test} on the data's own split.",
        "",
        f"## {seeds} seeds, two splits",
        "",
        "Mean and standard deviation over the seeds (smallest to largest).",
        "",
        "| method | group split | random split (leaks) | difference |",
        "|---|---|---|---|",
    ]
    for method in METHODS:
        group, loose = (runs.accuracies(kind, method) for kind in ("group-", "random-"))
        gap = 100 * (fmean(loose) - fmean(group))
        lines.append(f"| {_title(method)} | {_spread(group)} | {_spread(loose)} | {gap:+.1f} points |")
    lines += [
        "",
        *_gains(runs),
        "## Controls and yardsticks, group split",
        "",
        "What is reached without the lungs can be reached by shortcuts.",
        "",
        "| what sees the image | test accuracy |",
        "|---|---|",
    ]
    for region, what in (("group-seed-0", "the whole"), ("centre", "its centre"), ("border", "its border")):
        for method in METHODS:
            lines.append(f"| {_title(method)}, {what} | {100 * runs.accuracies(region, method)[0]:.1f} % |")
    lines += [f"| {one.name} | {100 * one.test.accuracy:.1f} % |" for one in measured]
    return "\n".join([*lines, ""])


def _gains(runs: Runs) -> Iterable[str]:
    """Say what fine-tuning gains over feature extraction, run by run."""
    for kind in ("group", "random"):
        pairs = zip(*(runs.accuracies(f"{kind}-", method) for method in METHODS), strict=True)
        gains = [100 * (tuned - extracted) for extracted, tuned in pairs]
        deviation = f" ± {stdev(gains):.1f}" if len(gains) > 1 else ""
        yield (
            f"Fine tuning minus feature extraction, same seed, {kind} split: {fmean(gains):+.1f}{deviation} "
            f"points; better in {sum(gain > 0 for gain in gains)} of {len(gains)}."
        )
        yield ""


def _spread(values: Sequence[float]) -> str:
    deviation = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * fmean(values):.1f}{deviation} % ({100 * min(values):.1f} to {100 * max(values):.1f})"


def _title(method: str) -> str:
    return method.replace("_", " ")

"""The evidence about an accuracy: left-out domains, seeds, a split that leaks, controls, yardsticks.

Output folder, by the part that is asked for:
    domains/         one training for each domain that is left out, see `domain_folds`
    group-seed-K/    the data's own split, which divides no group; one run of both methods a seed
    random-seed-K/   images dealt one by one, anew for each seed, as many published results do
    border/, centre/ the data's own split, with all but a region of each image black
    cache/           decoded images and features, shared by the runs
    evidence.json, evidence.md

Every run is a training run of its own (see `fit`); a killed command goes on where it was. Accuracies are of
the test split: of each run's own, so those of random splits are of other images than those of the group
split. evidence.json and evidence.md hold what the last command asked for, however much is there.

evidence.json:
    class_names             the classes, in the order of the outputs; the study's where it says nothing
    data_sha256             digest of the images with a split, as in a training record
    preprocessing           how an image becomes an input: version and side
    runs.NAME.METHOD        training record of each run of `seeds` and `controls`
    yardsticks              as in report.json
    leave_one_domain_out    the fields of study.domains.LeaveOneDomainOut, or absent
    folds.DOMAIN.METHOD     training record of each fold; its `test` is of the domain left out
    confidence.METHOD       fitted to all folds at once, for `xray-export`: see study.confidence
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

from xray_infer.atomic import make_folder, write_json, write_text
from xray_infer.classes import RESEARCH_NOTICE
from xray_infer.model.json_records import to_json
from xray_infer.model.manifest import METHODS
from xray_infer.study.datasets import SPLITS, Dataset, read_dataset
from xray_infer.study.document import Block, Heading, Paragraph, to_markdown
from xray_infer.study.domain_tables import WITHIN, confidence_blocks, left_out_blocks, within_blocks
from xray_infer.study.training_record import TrainingRecord, read_training_record
from xray_infer.terminal import Report
from xray_infer.train.data.splits import random_split
from xray_infer.train.data.yardsticks import Yardstick, yardsticks
from xray_infer.train.domain_folds import DomainFolds, run_folds, why_no_folds
from xray_infer.train.fit import train_dataset
from xray_infer.train.schedule import TrainConfig

Records = Mapping[str, TrainingRecord]  # of one run, by method

DOMAINS: Final = "domains"
SEEDS: Final = "seeds"
CONTROLS: Final = "controls"
PARTS: Final = (DOMAINS, SEEDS, CONTROLS)


@dataclass(frozen=True, slots=True)
class EvidencePlan:
    """What to gather: some of PARTS, the number of seeds, and which domains to leave out (none: each)."""

    parts: tuple[str, ...] = PARTS
    seeds: int = 5
    domains: tuple[str, ...] = ()

    @property
    def folds_are_wanted(self) -> bool:
        """Whether leave-one-domain-out was asked for by name, so that data without domains is an error."""
        return bool(self.domains) or self.parts == (DOMAINS,)


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

    def within_domains(self, kind: str, method: str) -> list[float]:
        """Return the mean AUROC within domains on validation images, of those runs that have one."""
        found = (
            methods[method].validation_within_domains
            for name, methods in self.records.items()
            if name.startswith(kind)
        )
        return [one.mean.value for one in found if one is not None and one.mean is not None]


def gather(
    data: Path,
    out: Path,
    config: TrainConfig,
    plan: EvidencePlan,
    *,
    cache: Path | None = None,
    report: Report,
) -> str:
    """Train all runs, write evidence.json and evidence.md, and return the latter's text.

    All share the augmented views of the images, and a `cache`, which is in `out` by default. Raises DataError
    when `data` has no split, or no domains that could be left out as the plan says, and what a training run
    raises.
    """
    given = read_dataset(data, choice=config.choice, report=report)
    dataset = replace(given, images=tuple(image for split in SPLITS for image in given.split(split)))
    make_folder(out)
    cache = cache or out / "cache"
    config = replace(config, view_seed=config.seed if config.view_seed is None else config.view_seed)
    folds, reason = None, None
    if DOMAINS in plan.parts:
        reason = why_no_folds(dataset)
        if reason is None or plan.folds_are_wanted:
            folds = run_folds(dataset, out, config, domains=plan.domains, cache=cache, report=report)
        else:
            report(f"leave-one-domain-out cannot be done: {reason}")
    runs: dict[str, Records] = {}
    for name, some, change in _plan(dataset, config, plan):
        report(f"run {name}")
        train_dataset(some, out / name, change, cache=cache, report=report)
        paths = {method: out / name / f"{method}.json" for method in config.methods}
        runs[name] = {method: read_training_record(path) for method, path in paths.items()}
    measured = yardsticks(dataset, seed=config.seed, report=report) if CONTROLS in plan.parts else ()
    lines = [
        "# Evidence",
        "",
        f"{RESEARCH_NOTICE} Accuracies are of the test split, n = {len(dataset.split('test'))}, unless "
        "something else is said.",
        "",
        to_markdown([*_left_out(folds, reason), *_within(runs)]),
    ]
    if SEEDS in plan.parts:
        lines += _seeds(Runs(runs), plan.seeds, config.methods)
    if CONTROLS in plan.parts:
        lines += _controls(Runs(runs), measured, config.methods)
    page = "\n".join([*lines, ""])
    evidence: dict[str, Any] = {
        "class_names": dataset.classes,
        "data_sha256": dataset.digest,
        "preprocessing": asdict(config.preprocessing),
        "runs": _to_json(runs),
        "yardsticks": [one.to_dict() for one in measured],
    }
    if folds is not None:
        evidence |= {"leave_one_domain_out": to_json(folds.figures), "folds": _to_json(folds.records)}
        evidence["confidence"] = {method: to_json(one) for method, one in folds.confidence.items()}
    write_json(out / "evidence.json", evidence)
    write_text(out / "evidence.md", page)
    return page


def _to_json(runs: Mapping[str, Records]) -> dict[str, dict[str, Any]]:
    return {
        name: {method: record.to_dict() for method, record in methods.items()}
        for name, methods in runs.items()
    }


def _plan(
    dataset: Dataset, config: TrainConfig, plan: EvidencePlan
) -> Iterable[tuple[str, Dataset, TrainConfig]]:
    """Yield name, data and configuration of each run."""
    seeds = range(plan.seeds) if SEEDS in plan.parts else range(1 if CONTROLS in plan.parts else 0)
    for seed in seeds:
        yield f"group-seed-{seed}", dataset, replace(config, seed=seed)
    if CONTROLS in plan.parts:
        for region in ("border", "centre"):
            yield region, dataset, replace(config, region=region)
    if SEEDS in plan.parts:
        for seed in seeds:
            yield f"random-seed-{seed}", random_split(dataset, seed=seed), replace(config, seed=seed)


def _left_out(folds: DomainFolds | None, reason: str | None) -> list[Block]:
    if folds is not None:
        return [
            Heading(2, "Each domain left out"),
            *left_out_blocks(folds.figures),
            *confidence_blocks(folds.confidence),
        ]
    if reason is not None:
        return [Heading(2, "Each domain left out"), Paragraph(f"This cannot be done: {reason}.")]
    return []


def _within(runs: Mapping[str, Records]) -> list[Block]:
    """Return the pairs of the first seed on the group split, and the means of all seeds."""
    first = runs.get("group-seed-0", {})
    blocks: list[Block] = []
    for split, name in (("validation", "validation_within_domains"), ("test", "test_within_domains")):
        found = {
            _title(method): within
            for method, record in first.items()
            if (within := getattr(record, name)) is not None
        }
        if found:
            blocks += within_blocks(f"AUROC within domains, {split} split, seed 0", found)
    return [Heading(2, "Within domains"), Paragraph(WITHIN), *blocks] if blocks else []


def _seeds(runs: Runs, seeds: int, methods: Sequence[str]) -> list[str]:
    lines = [
        f"## {seeds} seeds, two splits",
        "",
        "Mean and standard deviation over the seeds (smallest to largest).",
        "",
        "| method | group split | random split (leaks) | difference |",
        "|---|---|---|---|",
    ]
    for method in methods:
        group, loose = (runs.accuracies(kind, method) for kind in ("group-", "random-"))
        gap = 100 * (fmean(loose) - fmean(group))
        lines.append(f"| {_title(method)} | {_spread(group)} | {_spread(loose)} | {gap:+.1f} points |")
    areas = {method: runs.within_domains("group-", method) for method in methods}
    if all(areas.values()):
        lines += ["", "| method | mean AUROC within domains, validation, group split |", "|---|---|"]
        lines += [
            f"| {_title(method)} | {fmean(values):.3f} ({min(values):.3f} to {max(values):.3f}) |"
            for method, values in areas.items()
        ]
    return [*lines, "", *(_gains(runs) if len(methods) > 1 else ())]


def _controls(runs: Runs, measured: Sequence[Yardstick], methods: Sequence[str]) -> list[str]:
    lines = [
        "## Controls and yardsticks, group split",
        "",
        "What is reached without the lungs can be reached by shortcuts.",
        "",
        "| what sees the image | test accuracy |",
        "|---|---|",
    ]
    for region, what in (("group-seed-0", "the whole"), ("centre", "its centre"), ("border", "its border")):
        for method in methods:
            lines.append(f"| {_title(method)}, {what} | {100 * runs.accuracies(region, method)[0]:.1f} % |")
    return lines + [f"| {one.name} | {100 * one.test.accuracy:.1f} % |" for one in measured]


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

"""Which runs make the evidence, and that its tables hold what the runs reached."""

import json
from pathlib import Path

import numpy as np
import pytest
from approved import approved
from specimens import quick_config
from training_records import example_metrics, example_record

from xray_infer.classes import CLASS_NAMES
from xray_infer.model.manifest import METHODS
from xray_infer.study.domains import within_domains
from xray_infer.study.training_record import write_training_record

SAYS = approved("xray-train")

pytest.importorskip("keras")
pytestmark = pytest.mark.tensorflow


def test_evidence_runs_seeds_splits_and_regions(split_tree, tmp_path, monkeypatch):
    """The training itself is replaced: each run reaches an accuracy made of its configuration."""
    from xray_infer.train import evidence
    from xray_infer.train.schedule import TrainConfig

    done = []

    def train_dataset(dataset, out, config, *, cache, report):
        done.append((out.name, dataset.digest, config))
        assert cache == tmp_path / "evidence" / "cache"
        out.mkdir()
        accuracy = {"all": 0.8, "centre": 0.7, "border": 0.4}[config.region] + config.seed / 100
        accuracy += 0.1 * out.name.startswith("random")
        for method in METHODS:
            worse = 0.05 if method == "feature_extraction" else 0
            record = example_record(method=method, test=example_metrics(accuracy - worse))
            write_training_record(out / f"{method}.json", record)

    monkeypatch.setattr(evidence, "train_dataset", train_dataset)
    lines: list[str] = []
    page = evidence.gather(
        split_tree,
        tmp_path / "evidence",
        TrainConfig(weights="none"),
        evidence.EvidencePlan(seeds=3),
        report=lines.append,
    )
    assert lines[0] == SAYS["leave-one-domain-out-cannot"]
    assert SAYS["this-cannot-be-done"] in page
    assert [name for name, *_ in done] == [
        "group-seed-0", "group-seed-1", "group-seed-2", "border", "centre",
        "random-seed-0", "random-seed-1", "random-seed-2",
    ]  # fmt: skip
    assert len({digest for name, digest, _ in done if not name.startswith("random")}) == 1
    assert len({digest for name, digest, _ in done if name.startswith("random")}) == 3  # dealt anew
    assert {config.view_seed for *_, config in done} == {0}  # one set of features
    assert (
        "| fine tuning | 81.0 ± 1.0 % (80.0 to 82.0) | 91.0 ± 1.0 % (90.0 to 92.0) | +10.0 points |" in page
    )
    assert "| feature extraction | 76.0 ± 1.0 % (75.0 to 77.0) |" in page
    assert SAYS["same-seed-group-split"] in page
    assert "| fine tuning, its border | 40.0 % |" in page
    assert "| feature extraction, its centre | 65.0 % |" in page
    assert "| commonest class | 33.3 % |" in page
    assert (tmp_path / "evidence" / "evidence.md").read_text() == page
    stored = json.loads((tmp_path / "evidence" / "evidence.json").read_text())
    assert stored["runs"]["centre"]["fine_tuning"]["test"]["accuracy"] == 0.7
    assert stored["yardsticks"][0]["name"] == "commonest class"
    assert stored["class_names"] == list(CLASS_NAMES)
    assert stored.keys() == {"class_names", "data_sha256", "preprocessing", "runs", "yardsticks"}


def test_parts_and_one_method_alone(split_tree, tmp_path, monkeypatch):
    """The controls need one run on the whole images beside them, and no seeds."""
    from xray_infer.train import evidence
    from xray_infer.train.schedule import TrainConfig

    done = []
    lacking = example_record().validation_within_domains
    within = within_domains(
        np.arange(20) % 2, np.eye(3)[np.arange(20) % 2], CLASS_NAMES, ["a"] * 20, [""] * 20
    )
    assert lacking is None

    def train_dataset(dataset, out, config, *, cache, report):
        done.append((out.name, config.seed, cache))
        out.mkdir()
        record = example_record(validation_within_domains=within, test_within_domains=within)
        write_training_record(out / "fine_tuning.json", record)

    monkeypatch.setattr(evidence, "train_dataset", train_dataset)
    config = TrainConfig(weights="none", methods=METHODS[1:], seed=7, view_seed=0)
    for parts, names in (
        (("controls",), [("group-seed-0", 0), ("border", 7), ("centre", 7)]),
        (("seeds",), [("group-seed-0", 0), ("group-seed-1", 1), ("random-seed-0", 0), ("random-seed-1", 1)]),
    ):
        done.clear()
        plan = evidence.EvidencePlan(parts=parts, seeds=2)
        out = tmp_path / parts[0]
        page = evidence.gather(
            split_tree, out, config, plan, cache=tmp_path / "shared", report=lambda line: None
        )
        assert done == [(name, seed, tmp_path / "shared") for name, seed in names]
        assert ("## Controls" in page, "seeds, two splits" in page) == (
            parts == ("controls",),
            parts == ("seeds",),
        )
        assert "Fine tuning minus" not in page  # there is one method
        assert page.index("## Within domains") < page.index("| fine tuning")
        assert page.count("| a | covid, pneumonia | 10 + 10 | 1.000 (1.000 to 1.000) |") == 2
    assert "| fine tuning | 1.000 (1.000 to 1.000) |" in page


def test_runs_on_other_splits_of_the_same_images_share_the_views(split_tree, tmp_path, monkeypatch):
    """The images in one order, dealt anew: the second run finds every feature there."""
    from tiny_classifier import build_tiny_classifier

    from xray_infer.study.datasets import read_dataset
    from xray_infer.train import trainer
    from xray_infer.train.data.splits import random_split
    from xray_infer.train.fit import train_dataset

    monkeypatch.setattr(trainer, "build_classifier", build_tiny_classifier)
    lines: list[str] = []
    config = quick_config(view_seed=0, methods=METHODS[:1])
    for seed in (1, 2):
        dealt = random_split(read_dataset(split_tree), seed=seed)
        out = tmp_path / str(seed)
        train_dataset(dealt, out, config, cache=tmp_path / "cache", report=lines.append)
        assert sum("views of images in" in line for line in lines) == 1
    splits = [(tmp_path / str(seed) / "split.csv").read_text() for seed in (1, 2)]
    assert splits[0] != splits[1]


def test_training_is_timed_in_turns(split_tree, monkeypatch):
    from benchmarks.studies import training
    from xray_infer.benchmarks.processes import FinishedProcess
    from xray_infer.study.datasets import read_dataset

    order = []

    def run_command(command):
        seed = int(command[command.index("--seed") + 1] if "--seed" in command else command[5])
        name = "fast" if "--seed" in command else " ".join(command[7:]) or "plain"
        order.append((name, seed))
        accuracies = {"feature_extraction": 0.5, "fine_tuning": 0.75}
        if name == "fast":
            out = Path(command[command.index("--out") + 1])
            out.mkdir()
            for method, accuracy in accuracies.items():
                record = example_record(method=method, test=example_metrics(accuracy))
                write_training_record(out / f"{method}.json", record)
        else:
            Path(command[6]).write_text(json.dumps(accuracies))
        return FinishedProcess(0.0, 10.0 if name == "fast" else 50.0 + seed * 20, 100)

    monkeypatch.setattr(training, "run_command", run_command)
    dataset = training.part_of(read_dataset(split_tree), 20)
    assert [len(dataset.split(split)) for split in ("train", "val", "test")] == [16, 2, 2]
    said: list[str] = []
    runs = training.compare_training(dataset, "none", rounds=2, report=said.append)
    assert order == [(name, seed) for seed in (0, 1) for name in ("fast", "plain", "--no-xla")]
    page = training.training_table(runs)
    assert "| plain Keras fit | 60 (50-70) | 6.0 (5.0-7.0) | 100 | 50.0 50.0 % | 75.0 75.0 % |" in page
    assert "| xray-train | 10 (10-10) | 1.0 (1.0-1.0) |" in page
    assert said[-1] == page
    assert "| plain Keras fit | 50 (50-50) | 5.0 (5.0-5.0) |" in said[7]

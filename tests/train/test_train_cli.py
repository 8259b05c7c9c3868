"""The command line of `xray-train fit`: what its options change, and what it says of mistakes."""

import pytest
from approved import approved
from click.testing import CliRunner
from training_records import DAMAGES, example_record

from xray_infer.images.preprocess import STUDY, Preprocessing
from xray_infer.model.manifest import METHODS
from xray_infer.study.training_record import write_training_record

SAYS = approved("xray-train")

pytest.importorskip("keras")
pytestmark = pytest.mark.tensorflow


def test_errors_are_one_line(tmp_path, module_tree):
    from xray_infer.train.cli import main

    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text("{}")
    for arguments, message in (
        ([module_tree, "--out", tmp_path / "r", "--weights", "gone.keras"], "gone.keras: no such file"),
        ([tmp_path / "gone", "--out", tmp_path / "r", "--weights", "none"], "gone: No such file"),
        ([module_tree, "--out", tmp_path / "old", "--weights", "none"], "holds a run; add --resume"),
        (["pretrain", tmp_path / "gone.zip", "--out", tmp_path / "r"], None),
    ):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        if message:
            assert message in result.stderr


@pytest.mark.parametrize(("reason", "damage"), DAMAGES.items(), ids=DAMAGES)
def test_a_damaged_training_record_is_one_line_of_the_report(tmp_path, split_tree, reason, damage):
    """A finished run whose report is asked for again: its record is read, and nothing is trained."""
    from xray_infer.study.datasets import read_dataset
    from xray_infer.train.cli import main
    from xray_infer.train.schedule import TrainConfig, write_identity

    dataset = read_dataset(split_tree)
    identity = TrainConfig(weights="none").identity()
    write_identity(tmp_path, identity | {"data_sha256": dataset.digest, "backbone_sha256": None})
    path = tmp_path / "feature_extraction.json"
    write_training_record(path, example_record(method="feature_extraction"))
    damage(path)
    options = ["--out", str(tmp_path), "--weights", "none", "--method", "feature-extraction", "--resume"]
    result = CliRunner().invoke(main, [str(split_tree), *options])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.startswith(f"xray-train: {path}: {reason}")
    assert result.stderr.endswith(SAYS["train-this-method-again-xray"])
    assert result.stderr.count("\n") == 1


def test_options_change_the_schedule_that_is_named(tmp_path, monkeypatch):
    from xray_infer.train import fit
    from xray_infer.train.cli import main
    from xray_infer.train.schedule import SCHEDULES

    seen = []
    monkeypatch.setattr(fit, "train", lambda data, out, config, **rest: seen.append((config, rest)) or "page")

    def config_of(*options):
        result = CliRunner().invoke(main, ["data", "--out", str(tmp_path), "--weights", "none", *options])
        assert (result.exit_code, result.stdout) == (0, "page\n"), result.stderr
        return seen[-1][0]

    assert config_of().schedule == SCHEDULES["study"]
    study = SCHEDULES["study"]
    assert (study.feature_extraction.epochs, study.fine_tuning.epochs, study.fine_tuning.unfrozen) == (
        4,
        4,
        100,
    )
    assert config_of("--schedule", "best").schedule == SCHEDULES["best"]
    changed = config_of(
        *("--schedule", "best", "--epochs", "3", "5", "--rates", "0.1", "0.2", "--unfreeze", "7"),
        *("--mixup", "0", "--views", "2", "--batch-size", "4"),
    ).schedule
    assert (changed.feature_extraction.epochs, changed.fine_tuning.epochs) == (3, 5)
    assert (changed.feature_extraction.learning_rate, changed.fine_tuning.learning_rate) == (0.1, 0.2)
    assert (changed.fine_tuning.unfrozen, changed.fine_tuning.mixup) == (7, 0)
    assert (changed.views, changed.batch_size) == (2, 4)
    assert changed.augmentation == SCHEDULES["best"].augmentation
    assert config_of().preprocessing == STUDY
    assert config_of("--crop", "lungs", "--side", "96").preprocessing == Preprocessing(2, 96)
    one = config_of("--method", "feature-extraction", "--region", "border", "--seed", "3", "--plain")
    assert (one.methods, one.region, one.seed, one.plain) == (METHODS[:1], "border", 3, True)


def test_evidence_is_gathered_with_the_inputs_that_are_asked_for(tmp_path, monkeypatch):
    from xray_infer.train import evidence
    from xray_infer.train.cli import main

    seen = []
    monkeypatch.setattr(
        evidence, "gather", lambda data, out, config, *rest, **more: seen.append(config) or ""
    )
    options = ["--out", str(tmp_path), "--weights", "none", "--crop", "lungs", "--side", "128"]
    result = CliRunner().invoke(main, ["evidence", "data", *options])
    assert result.exit_code == 0, result.stderr
    assert seen[0].preprocessing == Preprocessing(2, 128)


def test_a_side_that_cannot_be_halved_five_times_is_refused(tmp_path):
    from xray_infer.train.cli import main

    result = CliRunner().invoke(main, ["fit", "data", "--out", str(tmp_path), "--side", "100"])
    assert result.exit_code == 2
    assert SAYS["is-no-multiple-of"] in result.stderr


def test_runs_are_told_apart_by_what_the_network_is_given():
    from xray_infer.train.schedule import TrainConfig

    facts = TrainConfig(preprocessing=Preprocessing(2, 160)).identity()
    assert (facts["preprocessing.version"], facts["preprocessing.side"]) == (2, 160)

"""METHOD.json: written as ever, read with every field checked, old records too."""

import json
import math

import pytest
from approved import approved
from training_records import DAMAGES, example_record

from xray_infer.errors import ModelError
from xray_infer.model.choice import shipped_model
from xray_infer.model.embedding import READERS
from xray_infer.model.manifest import METHODS
from xray_infer.study.training_record import read_training_record, write_training_record

SAYS = approved("xray-train")

# The order of fields in METHOD.json.
FIELDS = [
    "method", "data_sha256", "counts", "seed", "backbone_sha256", "preprocessing_version", "versions",
    "class_names", "schedule", "region", "path", "history", "wall_seconds_since_start_or_resume",
    "temperature", "validation", "test",
]  # fmt: skip


def test_a_record_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "fine_tuning.json"
    record = example_record(history=({"loss": 0.1 + 0.2, "val_loss": 3.0},))
    write_training_record(path, record)
    assert list(json.loads(path.read_text())) == FIELDS
    assert path.read_text() == json.dumps(record.to_dict(), indent=1) + "\n"
    assert read_training_record(path) == record


def test_a_record_without_the_test_split_does_not_speak_of_it(tmp_path):
    path = tmp_path / "fine_tuning.json"
    write_training_record(path, example_record(test=None))
    assert "test" not in json.loads(path.read_text())
    assert read_training_record(path).test is None


def test_a_loss_that_diverged_is_read(tmp_path):
    path = tmp_path / "fine_tuning.json"
    write_training_record(path, example_record(history=({"loss": math.nan, "val_loss": math.inf},)))
    (epoch,) = read_training_record(path).history
    assert math.isnan(epoch["loss"])
    assert epoch["val_loss"] == math.inf


@pytest.mark.parametrize("method", METHODS)
def test_the_records_of_the_shipped_networks_are_read_and_kept_whole(tmp_path, method):
    model = shipped_model("onnx", method)
    stated = dict(READERS["onnx"](model.path).training.record)
    path = tmp_path / f"{method}.json"
    path.write_text(json.dumps(stated))
    record = read_training_record(path)
    schedule = stated["schedule"]
    assert (record.method, record.facts.seed) == (method, stated["seed"])
    assert record.schedule.batch_size == schedule["batch_size"] > 0
    assert set(record.other) <= {"thresholds"}  # what version 0.1.0 wrote beside the others
    assert json.loads(json.dumps(record.to_dict())) == stated


def test_a_field_that_an_earlier_version_wrote_is_kept(tmp_path):
    """Records of version 0.1.0 have one more: limits of a score."""
    path = tmp_path / "fine_tuning.json"
    stated = example_record().to_dict() | {"thresholds": {"ood_score_p99": 3.97}}
    path.write_text(json.dumps(stated))
    record = read_training_record(path)
    assert record.other == {"thresholds": {"ood_score_p99": 3.97}}
    assert json.loads(json.dumps(record.to_dict())) == json.loads(json.dumps(stated))


@pytest.mark.parametrize(("reason", "damage"), DAMAGES.items(), ids=DAMAGES)
def test_a_damaged_record_is_one_line(tmp_path, reason, damage):
    path = tmp_path / "fine_tuning.json"
    write_training_record(path, example_record())
    damage(path)
    with pytest.raises(ModelError) as caught:
        read_training_record(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: {reason}")
    assert line.endswith(SAYS["train-this-method-again"])
    assert "\n" not in line


def test_names_from_the_file_cannot_disturb_the_line(tmp_path):
    path = tmp_path / "fine_tuning.json"
    fields = example_record().to_dict() | {"counts": {"\x1b[31m\n\ud800" + "x" * 10_000: 3}}
    path.write_text(json.dumps(fields))
    with pytest.raises(ModelError) as caught:
        read_training_record(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500

"""Temperature and limit from domains that were left out."""

import json

import numpy as np
import pytest

from xray_infer.errors import DataError
from xray_infer.images.preprocess import Preprocessing
from xray_infer.model.json_records import to_json
from xray_infer.study.confidence import LEAST_SAID, RIGHT, fit_confidence, read_confidence
from xray_infer.study.domains import DomainAnswers
from xray_infer.study.temperature import fit_temperature


def answers(name, *, images, right, sharpness, seed=0):
    """Answers of which a share is right; those that are right are surer in the mean."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, images)
    hit = rng.random(images) < right
    called = np.where(hit, labels, (labels + 1) % 3)
    height = sharpness * (0.2 + rng.random(images) * np.where(hit, 1.0, 0.5))
    return DomainAnswers(name, labels, np.eye(3)[called] * height[:, None], [""] * images, 1.0)


def test_each_domain_weighs_alike_however_many_images_it_has():
    many, few = (
        answers("a", images=4000, right=0.5, sharpness=8),
        answers("b", images=200, right=0.9, sharpness=8),
    )
    found = fit_confidence([many, few])
    assert found.accuracy_of_all == pytest.approx(0.7, abs=0.04)
    assert (found.images, found.domains) == (4200, ("a", "b"))
    alone = fit_temperature(many.logits, many.labels)
    assert found.temperature < alone  # the surer domain counts half


def test_the_limit_is_the_lowest_at_which_labels_are_right_often_enough():
    one = answers("a", images=5000, right=0.7, sharpness=10)
    found = fit_confidence([one])
    assert 0 < found.limit < 1
    assert found.accuracy >= RIGHT
    assert LEAST_SAID <= found.coverage < 1
    scaled = one.logits / found.temperature
    probabilities = np.exp(scaled) / np.exp(scaled).sum(axis=1, keepdims=True)
    said = probabilities.max(axis=1) >= found.limit - 0.01
    assert (probabilities.argmax(axis=1) == one.labels)[said].mean() < RIGHT
    assert found.calibration_error < 0.12


def test_a_method_that_is_right_often_enough_says_every_label():
    found = fit_confidence([answers("a", images=500, right=0.95, sharpness=8)])
    assert found.limit == 0
    assert found.coverage == pytest.approx(1)
    assert found.accuracy == pytest.approx(found.accuracy_of_all)


def test_where_no_limit_helps_there_is_none():
    rng = np.random.default_rng(0)
    one = DomainAnswers("a", rng.integers(0, 3, 900), rng.normal(size=(900, 3)), [""] * 900, 1.0)
    found = fit_confidence([one])
    assert found.limit is None
    assert found.coverage == pytest.approx(1)
    with pytest.raises(ValueError, match="no domain"):
        fit_confidence([])
    lucky = DomainAnswers("b", np.array([0]), np.array([[9.0, 0, 0]]), [""], 1.0)
    assert fit_confidence([one, lucky]).limit is None  # one image is no domain
    assert fit_confidence([one, lucky]).temperature > 3


def test_what_evidence_says_is_read_again_and_faults_are_one_line(tmp_path):
    path = tmp_path / "evidence.json"
    found = fit_confidence([answers("a", images=90, right=0.7, sharpness=9)])
    trained = {"data_sha256": "d" * 64, "backbone_sha256": None, "region": "all", "schedule": {"epochs": 4}}
    stored = {
        "data_sha256": "d" * 64,
        "preprocessing": {"version": 2, "side": 128},
        "folds": {"a": {"fine_tuning": {**trained, "data_sha256": "e" * 64}}},
        "confidence": {"fine_tuning": to_json(found)},
    }
    path.write_text(json.dumps(stored))

    def read(**changes):
        given = {"method": "fine_tuning", "trained": trained, "preprocessing": Preprocessing(2, 128)}
        return read_confidence(path, **{**given, **changes})

    assert read() == found
    for changes, message in (
        ({"method": "feature_extraction"}, "no domain was left out for feature_extraction"),
        ({"trained": {**trained, "data_sha256": "f" * 64}}, "differ from the model in data$"),
        ({"trained": {**trained, "backbone_sha256": "b" * 64}}, "differ from the model in backbone_sha256$"),
        ({"trained": {**trained, "schedule": {"epochs": 5}}}, "differ from the model in schedule$"),
        ({"preprocessing": Preprocessing(2, 96)}, "differ from the model in inputs$"),
    ):
        with pytest.raises(DataError, match=message):
            read(**changes)
    for text, message in (
        ("{", "damaged"),
        (json.dumps({**stored, "confidence": {"fine_tuning": {"limit": 1}}}), "damaged"),
        (json.dumps({**stored, "folds": {"a": {}}}), "damaged: no fold holds the record of fine_tuning"),
        (
            json.dumps({**stored, "confidence": {"fine_tuning": {**to_json(found), "temperature": 0}}}),
            "damaged: confidence.fine_tuning has a temperature or a limit that cannot be",
        ),
        (
            json.dumps({**stored, "confidence": {"fine_tuning": {**to_json(found), "limit": 1.5}}}),
            "damaged: confidence.fine_tuning has a temperature or a limit that cannot be",
        ),
        (json.dumps({"data_sha256": "d" * 64}), "no domain was left out"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            read()
    path.unlink()
    with pytest.raises(DataError, match="cannot read the evidence"):
        read()

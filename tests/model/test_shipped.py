"""The models that ship: what they are, and that they still answer as they did when they were made."""

import hashlib
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from places import REPOSITORY, SAMPLES

from benchmarks.studies.ood_images import drawn
from xray_infer.classes import CLASS_NAMES
from xray_infer.cli import main
from xray_infer.export.verify import verify
from xray_infer.images.decode import decode
from xray_infer.model.choice import MODELS_FOLDER, shipped_model
from xray_infer.model.manifest import METHODS, OUTPUT_NAMES
from xray_infer.model.runtime_table import SUFFIXES
from xray_infer.run.engine import classify
from xray_infer.run.results import NO_LUNGS, REJECTED
from xray_infer.run.settings import AnswerSettings, EngineOptions, row_maker
from xray_infer.run.sources.folder import local_source
from xray_infer.study.confidence import read_confidence
from xray_infer.study.datasets import read_dataset

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
GATE_IMAGES = 400  # what xray-export takes of the test images, at most

FORMATS = tuple(SUFFIXES.values())


def needs(model_format: str) -> None:
    if model_format == "tflite":
        pytest.importorskip("ai_edge_litert", reason="the extra [tflite] is not installed")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model_format", FORMATS)
def test_the_shipped_models_keep_the_contract(model_format, method):
    needs(model_format)
    session = shipped_model(model_format, method).open()
    manifest = session.manifest
    assert (manifest.format, manifest.method, manifest.recipe) == (model_format, method, "int8-static")
    counts = {split: sum(each.values()) for split, each in manifest.training.record["counts"].items()}
    assert manifest.training.test.images == counts["test"] >= 300
    certificate = manifest.parity
    assert certificate.images == min(counts["test"], GATE_IMAGES)
    for one in (certificate.result, *certificate.other_runtimes.values()):
        assert one.agreement >= 0.98
        assert one.accuracy_kept >= 0.99
    assert len(certificate.other_runtimes) == 1  # OpenVINO; LiteRT's built-in kernels
    assert manifest.quantization.chosen in manifest.quantization.tried
    assert manifest.output_names == (*OUTPUT_NAMES, "ood_score")
    rejection = manifest.rejection
    assert (rejection.training_images, rejection.false_rejection) == (counts["train"], 0.01)
    assert rejection.expected <= 0.01
    for one in rejection.rejected.values():
        for split in ("val", "test"):
            assert one[split].images == counts[split]
            assert one[split].rejected <= 0.015 * counts[split]
    made = manifest.preprocessing
    films = [decode(path.read_bytes(), side=made.decode_side) for path in sorted(SAMPLES.glob("phantom_*"))]
    output = session.run(np.stack([made(film).pixels for film in films]))
    cells = made.side // 32
    assert output.probabilities.shape == (6, len(CLASS_NAMES))
    assert output.cam.shape == (6, cells, cells, len(CLASS_NAMES))
    assert output.probabilities.dtype == output.cam.dtype == output.ood_score.dtype == np.float32
    assert output.ood_score.shape == (6,)
    assert (output.ood_score < manifest.ood_threshold).all()  # drawn after radiographs, and good enough
    assert output.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    # The mean of the map is the logit but for the head's bias, which is the same for every image.
    logits = np.log(output.probabilities) * manifest.temperature
    means = output.cam.mean(axis=(1, 2))
    rest = (logits - logits.mean(axis=1, keepdims=True)) - (means - means.mean(axis=1, keepdims=True))
    assert np.ptp(rest, axis=0).max() < 0.05


@pytest.mark.parametrize("model_format", FORMATS)
def test_the_certificate_of_the_default_model_holds_here(model_format, data_of):
    needs(model_format)
    model = shipped_model(model_format)
    manifest = model.open().manifest
    found = verify(model.path, data_of(manifest), images=60)
    assert found.found.result.agreement >= 0.98
    assert found.found.images == 60
    assert found.stated == manifest.parity


def _leaves(rng):
    """Discs of every size and tone over one another: "dead leaves", a model of photographs' statistics."""
    picture = np.zeros((400, 400), np.uint8)
    for _ in range(600):
        x, y = (int(value) for value in rng.integers(0, 400, 2))
        cv2.circle(picture, (x, y), int(8 / rng.uniform(0.02, 1)), int(rng.integers(0, 256)), -1)
    return picture


STRANGE = {
    **drawn.DRAWN,
    "black": lambda rng: np.zeros((300, 400), np.uint8),
    "white": lambda rng: np.full((300, 400), 255, np.uint8),
    "like a photograph": _leaves,
}


def _rejected(session, pictures):
    """Whether the model rejects each of the gray pictures: for its score, or for want of lungs."""
    made = [session.manifest.preprocessing(picture) for picture in pictures]
    output = session.run(np.stack([one.pixels for one in made]))
    maker = row_maker(session.manifest, "", session.runtime, AnswerSettings())
    answers = zip(output.probabilities, output.ood_score, made, strict=True)
    return [maker.judged("", chances, score, one.area).status == REJECTED for chances, score, one in answers]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model_format", FORMATS)
def test_what_is_no_radiograph_is_rejected(model_format, method):
    needs(model_format)
    session = shipped_model(model_format, method).open()
    for kind, draw in STRANGE.items():
        rng = np.random.default_rng(7)
        assert sum(_rejected(session, [draw(rng) for _ in range(5)])) >= 4, kind


@pytest.mark.parametrize("model_format", FORMATS)
def test_real_radiographs_are_not_rejected(model_format, data_of):
    """Of every fifth test image; on their side most of them are."""
    needs(model_format)
    session = shipped_model(model_format).open()
    manifest = session.manifest
    images = read_dataset(data_of(manifest)).split("test")[::5]
    side = manifest.preprocessing.decode_side
    pictures = [decode(image.path.read_bytes(), side=side) for image in images]
    assert np.mean(_rejected(session, pictures)) <= 0.05
    assert np.mean(_rejected(session, [np.rot90(one) for one in pictures[::2]])) >= 0.8


def test_the_list_of_models_is_what_their_manifests_say():
    found = json.loads(CliRunner().invoke(main, ["--list-models", "--json"]).stdout)
    assert [(one["name"], one["format"]) for one in found] == [
        (method, model_format) for method in METHODS for model_format in FORMATS
    ]
    assert [one["default"] for one in found] == [True, True, False, False]
    text = CliRunner().invoke(main, ["--list-models"]).stdout
    assert "Research use only" in text
    for one in found:
        path = MODELS_FOLDER / f"{one['name']}-int8-static.{one['format']}"
        assert one["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert one["size_bytes"] == path.stat().st_size
        assert f"{100 * one['test_accuracy']:.1f} % of {one['test_images']}" in text
        assert f"{100 * one['left_out_accuracy']:.1f} % in {len(one['left_out_domains'])} domains" in text
        assert len(one["left_out_domains"]) >= 2


def test_a_shipped_model_is_chosen_by_its_name(tmp_path):
    sample = sorted(SAMPLES.glob("phantom_*"))[0]
    answers = {
        name: CliRunner().invoke(main, [str(sample), "--model", name]).stdout
        for name in (*METHODS, str(shipped_model("onnx", "feature_extraction").path))
    }
    extracted, tuned, by_path = answers.values()
    assert tuned != extracted == by_path


def test_listing_and_classifying_exclude_each_other():
    for arguments in ([], ["--list-models", "samples"], ["samples", "--json"]):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert "--list-models" in result.stderr


@pytest.mark.parametrize("model_format", FORMATS)
def test_golden_answers(model_format):
    """Another processor may round int8 otherwise; a changed model or preprocessing is far outside."""
    needs(model_format)
    model, options = shipped_model(model_format), EngineOptions(workers=1, ood_threshold=math.inf)
    rows = list(classify(list(local_source(SAMPLES)), model, options))
    assert [row.path for row in rows] == list(GOLDEN[model_format])
    for row in rows:
        assert row.probabilities == pytest.approx(GOLDEN[model_format][row.path], abs=0.05), row.path


def test_the_shipped_files_are_small_enough_for_a_wheel():
    assert sum(path.stat().st_size for path in MODELS_FOLDER.iterdir()) < 40 * 2**20


def test_both_formats_read_every_original_and_agree(shared_data):
    needs("tflite")
    items = list(local_source(shared_data / "originals"))
    every = EngineOptions(ood_threshold=math.inf)
    answers = {one: list(classify(items, shipped_model(one), every)) for one in FORMATS}
    for model_format, rows in answers.items():
        assert [row.status for row in rows] == ["ok"] * 88
        limit = shipped_model(model_format).open().manifest.ood_threshold
        rejected = [row.path for row in rows if row.lungs == NO_LUNGS or row.ood_score > limit]
        assert rejected == []
    same = [a.raw_label == b.raw_label for a, b in zip(*answers.values(), strict=True)]
    assert np.mean(same) >= 0.9


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model_format", FORMATS)
def test_what_ships_is_of_the_committed_network_and_evidence(model_format, method):
    """The evidence names the data, the backbone and the schedule; of other networks it would be refused."""
    manifest = shipped_model(model_format, method).open().manifest
    record = json.loads((REPOSITORY / "models" / f"{method}.json").read_text(encoding="utf-8"))
    assert manifest.training.record == record
    evidence = REPOSITORY / "benchmarks" / "results" / "left-out" / "evidence.json"
    found = read_confidence(evidence, method=method, trained=record, preprocessing=manifest.preprocessing)
    assert manifest.confidence == found
    assert manifest.temperature == found.temperature

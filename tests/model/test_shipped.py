"""The models that ship: what they are, and that they still answer as they did when they were made."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from places import SAMPLES

from benchmarks.studies.ood_images import drawn
from xray_infer.classes import CLASS_NAMES
from xray_infer.cli import main
from xray_infer.export.verify import verify
from xray_infer.images.decode import decode
from xray_infer.model.choice import MODELS_FOLDER, shipped_model
from xray_infer.model.manifest import METHODS
from xray_infer.model.runtime_table import SUFFIXES
from xray_infer.run.engine import classify
from xray_infer.run.settings import EngineOptions
from xray_infer.run.sources.folder import local_source
from xray_infer.study.datasets import read_dataset, read_input

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())


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
    assert manifest.training.test.images == 337
    certificate = manifest.parity
    assert certificate.images == 337
    for one in (certificate.result, *certificate.other_runtimes.values()):
        assert one.agreement >= 0.98
        assert one.accuracy_kept >= 0.99
    assert len(certificate.other_runtimes) == 1  # OpenVINO; LiteRT's built-in kernels
    assert manifest.quantization.chosen in manifest.quantization.tried
    assert manifest.output_names == ("probabilities", "cam", "ood_score")
    rejection = manifest.rejection
    assert (rejection.training_images, rejection.false_rejection) == (2609, 0.01)
    assert rejection.expected <= 0.01
    for one in rejection.rejected.values():
        assert (one["val"].images, one["test"].images) == (335, 337)
        assert one["val"].rejected <= 5
        assert one["test"].rejected <= 5
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
def test_the_certificate_of_the_default_model_holds_here(model_format, shared_data):
    needs(model_format)
    found = verify(shipped_model(model_format).path, shared_data / "cxr3", images=60)
    assert found.found.result.agreement >= 0.98
    assert (found.found.images, found.stated.images) == (60, 337)


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


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model_format", FORMATS)
def test_what_is_no_radiograph_scores_above_the_threshold(model_format, method):
    needs(model_format)
    session = shipped_model(model_format, method).open()
    limit, made = session.manifest.ood_threshold, session.manifest.preprocessing
    for kind, draw in STRANGE.items():
        rng = np.random.default_rng(7)
        found = session.run(np.stack([made(draw(rng)).pixels for _ in range(5)])).ood_score
        assert np.sum(found > limit) >= 4, kind


@pytest.mark.parametrize("model_format", FORMATS)
def test_real_radiographs_score_below_the_threshold(model_format, shared_data):
    """Of every fifth test image; on their side most of them are above it."""
    needs(model_format)
    session = shipped_model(model_format).open()
    limit = session.manifest.ood_threshold
    images = read_dataset(shared_data / "cxr3").split("test")[::5]
    inputs = [read_input(image, session.manifest.preprocessing) for image in images]
    found = session.run(np.stack(inputs)).ood_score
    assert np.mean(found > limit) <= 0.05
    sideways = session.run(np.stack([np.rot90(one) for one in inputs[::2]])).ood_score
    assert np.mean(sideways > limit) >= 0.8


def test_the_list_of_models_is_what_their_manifests_say():
    found = json.loads(CliRunner().invoke(main, ["--list-models", "--json"]).stdout)
    assert [(one["name"], one["format"]) for one in found] == [
        (method, model_format) for method in reversed(METHODS) for model_format in FORMATS
    ]
    assert [one["default"] for one in found] == [True, True, False, False]
    text = CliRunner().invoke(main, ["--list-models"]).stdout
    assert "Research use only" in text
    for one in found:
        path = MODELS_FOLDER / f"{one['name']}-int8-static.{one['format']}"
        assert one["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert one["size_bytes"] == path.stat().st_size
        assert f"{100 * one['test_accuracy']:.1f} % of 337" in text


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
    rows = list(classify(list(local_source(SAMPLES)), shipped_model(model_format), EngineOptions(workers=1)))
    assert [row.path for row in rows] == list(GOLDEN[model_format])
    for row in rows:
        assert row.probabilities == pytest.approx(GOLDEN[model_format][row.path], abs=0.05), row.path


def test_the_shipped_files_are_small_enough_for_a_wheel():
    assert sum(path.stat().st_size for path in MODELS_FOLDER.iterdir()) < 40 * 2**20


def test_both_formats_read_every_original_and_agree(shared_data):
    needs("tflite")
    items = list(local_source(shared_data / "originals"))
    answers = {one: list(classify(items, shipped_model(one))) for one in FORMATS}
    for rows in answers.values():
        assert [row.status for row in rows] == ["ok"] * 88
    same = [a.label == b.label for a, b in zip(*answers.values(), strict=True)]
    assert np.mean(same) >= 0.9

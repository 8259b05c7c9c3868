"""The Python interface gives what the command gives."""

import csv
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from specimens import example_manifest, jpeg

from xray_infer import Classifier, Prediction
from xray_infer.classes import CLASS_NAMES, UNCERTAIN
from xray_infer.cli import main
from xray_infer.errors import ModelError
from xray_infer.images.limits import DEFAULT_LIMITS
from xray_infer.model.choice import DEFAULT_METHOD
from xray_infer.run.results import Rules
from xray_infer.run.settings import EngineOptions
from xray_infer.run.sources.several import open_sources

SAYS = approved("xray-infer")


@pytest.fixture
def classifier(tiny_onnx):
    with Classifier(tiny_onnx) as opened:
        yield opened


def test_a_path_bytes_and_pixels_give_the_same(classifier, folder):
    path = folder / "film0.png"
    of_path = classifier.predict(path)
    assert isinstance(of_path, Prediction)
    assert (of_path.status, of_path.reason, of_path.row.path) == ("ok", "", str(path))
    assert list(of_path.probabilities) == list(CLASS_NAMES)
    assert sum(of_path.probabilities.values()) == pytest.approx(1)
    assert of_path.label == of_path.raw_label == max(of_path.probabilities, key=of_path.probabilities.get)
    assert of_path.confidence == max(of_path.probabilities.values())
    assert of_path.cam.shape == (7, 7, 3)
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    for same in (str(path), path.read_bytes(), pixels):
        found = classifier.predict(same)
        assert found.probabilities == of_path.probabilities
        assert np.array_equal(found.cam, of_path.cam)


def test_an_item_of_a_source_is_taken_under_its_own_name(classifier, folder):
    items = list(open_sources([str(folder)], limits=DEFAULT_LIMITS))
    found = list(classifier.predict_many(items))
    assert [one.row.path for one in found] == [item.name for item in items]
    assert found[0].probabilities == classifier.predict(folder / "film0.png").probabilities


def test_none_lets_what_is_in_flight_out_first(classifier, folder):
    taken = []

    def images():
        for number in range(3):
            yield folder / f"film{number}.png"
        yield None
        taken.append("after the pause")

    predictions = classifier.predict_many(images())
    found = [next(predictions).row.path for _ in range(3)]
    assert not taken
    assert found == [str(folder / f"film{number}.png") for number in range(3)]
    assert list(predictions) == []
    assert taken


def test_the_rules_that_hold_are_told(tiny_onnx):
    with Classifier(
        tiny_onnx, options=EngineOptions(workers=1, ood_threshold=2.5, min_confidence=0.3)
    ) as one:
        assert one.rules == Rules(2.5, 0.3)


def test_heat_maps_before_they_are_drawn(classifier, folder):
    found = classifier.predict(folder / "film0.png")
    together = found.heatmaps()
    assert [one.class_name for one in together] == list(CLASS_NAMES)
    assert len({one.scale for one in together}) == 1
    assert together[0].scale == max(one.peak for one in together)
    (alone,) = found.heatmaps("predicted")
    assert alone.class_name == found.raw_label
    assert alone.scale == alone.peak
    with pytest.raises(ValueError, match="no such class: flu"):
        found.heatmaps("flu")
    with pytest.raises(ValueError, match="shows one class"):
        found.heatmap(folder / "film0.png", "all")
    with pytest.raises(ValueError, match=SAYS["there-is-no-heat-map"]):
        classifier.predict(b"").heatmaps()


def test_the_command_gives_the_same_rows(classifier, folder, tiny_onnx, tmp_path):
    (folder / "bad.png").write_bytes(b"")
    out = tmp_path / "r.csv"
    CliRunner().invoke(main, [str(folder), "--model", str(tiny_onnx), "--out", str(out)])
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    predictions = list(classifier.predict_many(folder / row["path"] for row in rows))
    for row, found in zip(rows, predictions, strict=True):
        values = found.row.values()
        assert (row["status"], row["label"], row["reason"]) == (found.status, found.label, found.reason)
        for name, value in found.probabilities.items():
            assert row[f"prob_{name}"] == f"{value:.6f}"
        assert values["model_sha256"] == row["model_sha256"]


def test_what_cannot_be_read_is_a_prediction_with_a_reason(classifier, tmp_path, xray):
    found = classifier.predict(tmp_path / "none.png")
    assert (found.status, found.label, dict(found.probabilities), found.confidence) == ("error", "", {}, None)
    assert found.reason == SAYS["cannot-be-opened-no"]
    assert found.cam is None
    assert classifier.predict(jpeg(xray)[:500]).reason.startswith("truncated JPEG")


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_other_arrays_are_a_value_error(classifier, bad):
    with pytest.raises(ValueError, match="expected gray pixels"):
        classifier.predict(bad)


def test_many_come_in_order_and_only_as_needed(classifier, xray):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield np.roll(xray, len(taken), axis=0)

    predictions = classifier.predict_many(endless())
    first = [next(predictions).row.path for _ in range(5)]
    predictions.close()
    assert first == [f"image {number}" for number in range(5)]
    assert len(taken) <= 5 + 4 * classifier._engine.workers
    assert classifier.predict(xray).status == "ok"  # a stopped iteration costs the next call nothing


def test_several_threads_may_use_one(classifier, folder, xray):
    expected = classifier.predict(xray).probabilities
    found = []

    def work():
        found.extend(classifier.predict(xray).probabilities for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 80


def test_options_are_those_of_the_command(tiny_onnx, folder):
    with Classifier(tiny_onnx, options=EngineOptions(workers=1, min_confidence=1.0)) as strict:
        found = strict.predict(folder / "film0.png")
    assert found.label == UNCERTAIN
    assert found.raw_label in CLASS_NAMES
    assert found.reason.startswith("confidence 0.")


def test_the_shipped_model_is_the_default():
    with Classifier(options=EngineOptions(workers=1)) as default:
        assert default.manifest.method == DEFAULT_METHOD
    with Classifier("feature_extraction", "onnxruntime", options=EngineOptions(workers=1)) as other:
        assert other.manifest.method == "feature_extraction"


def test_what_contradicts_itself_is_refused(tiny_onnx, tmp_path):
    with pytest.raises(ModelError, match="contradict each other"):
        Classifier(tiny_onnx, "litert")
    with pytest.raises(ModelError, match=SAYS["cannot-read-the-model"]):
        Classifier(tmp_path / "none.onnx")
    assert example_manifest().format == "onnx"


def test_a_score_above_the_files_own_limit_is_rejected(make_tiny_onnx, folder, monkeypatch):
    """The threshold travels in the file; an option overrides it."""
    from dataclasses import replace

    from xray_infer.model.manifest import ModelManifest
    from xray_infer.model.runtimes.ort import OrtSession

    model = make_tiny_onnx(example_manifest())
    really_run = OrtSession.run

    def run_with_score(session, images):
        output = really_run(session, images)
        return replace(output, ood_score=np.full(len(images), 2.5, np.float32))

    monkeypatch.setattr(OrtSession, "run", run_with_score)
    monkeypatch.setattr(ModelManifest, "ood_threshold", 2.0)
    for threshold, status in ((None, "rejected"), (3.0, "ok"), (float("inf"), "ok"), (0.0, "rejected")):
        with Classifier(model, options=EngineOptions(workers=1, ood_threshold=threshold)) as one:
            found = one.predict(folder / "film0.png")
        assert (found.status, found.ood_score) == (status, 2.5)
        assert bool(found.probabilities) == bool(found.label) == (found.cam is not None) == (status == "ok")


def test_the_package_itself_stays_light():
    code = "import sys, xray_infer as x; print('cv2' in sys.modules, x.Classifier and 'cv2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
    with pytest.raises(AttributeError, match="no attribute 'Classifer'"):
        sys.modules["xray_infer"].Classifer  # noqa: B018

"""Training for real, on a few pictures: both methods, interrupted and resumed."""

import json
import shutil

import numpy as np
import pytest
from approved import approved
from places import SAMPLES
from specimens import quick_config

from xray_infer.errors import DataError
from xray_infer.model.manifest import METHODS

SAYS = approved("xray-train")

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory, module_tree):
    """One run of both methods that is stopped after the first epoch and started again."""
    from xray_infer.train.fit import train

    out = tmp_path_factory.mktemp("train") / "run"
    config = quick_config()
    lines: list[str] = []

    def stop_after_first_epoch(line: str) -> None:
        lines.append(line)
        if "epoch 1/2 done" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(module_tree, out, config, report=stop_after_first_epoch)
    assert not (out / "feature_extraction.json").exists()
    assert sum("views of images in" in line for line in lines) == 2  # at both boundaries
    page = train(module_tree, out, config, report=lines.append)
    assert SAYS["feature-extraction-going-on"] in lines
    assert sum("views of images in" in line for line in lines) == 2  # and never again
    return out, config, lines, page


@pytest.fixture(scope="module")
def models(run_folder):
    """What the run wrote, for tests that leave it as it is."""
    out, *_ = run_folder
    return {method: keras.saving.load_model(out / f"{method}.keras", compile=False) for method in METHODS}


def test_a_run_writes_what_it_says(run_folder):
    from xray_infer.study.datasets import read_dataset
    from xray_infer.train.predictions import read_predictions

    out, _, lines, page = run_folder
    of_each = [".json", ".keras", ".log.csv", ".predictions.csv"]
    files = [f"{method}{suffix}" for method in METHODS for suffix in of_each]
    files += [
        "plots",
        "report.html",
        "report.json",
        "report.md",
        "run.json",
        "split.csv",
        "tensorboard",
        "yardsticks.json",
    ]
    assert sorted(path.name for path in out.iterdir()) == sorted(files)
    assert (out / "report.md").read_text() == page
    assert any("min left" in line for line in lines)
    report = json.loads((out / "report.json").read_text())
    for method, epochs in zip(METHODS, (2, 1), strict=True):
        record = json.loads((out / f"{method}.json").read_text())
        assert record["method"] == method
        assert len(record["history"]) == epochs
        assert record["data_sha256"] == read_dataset(out / "split.csv").digest
        assert record["temperature"] > 0
        assert np.sum(record["test"]["confusion"]) == record["test"]["images"] == 3
        rows = (out / f"{method}.log.csv").read_text().splitlines()
        assert rows[0] == "epoch,accuracy,loss,val_accuracy,val_loss,learning_rate"
        assert len(rows) == epochs + 1
        test = read_predictions(out / f"{method}.predictions.csv")["test"]
        assert float(np.mean(test.hits)) == record["test"]["accuracy"]
        assert list((out / "tensorboard" / method).glob("events.*"))
    assert report["comparison"] is not None


def test_feature_extraction_trains_the_head_only_and_fine_tuning_the_top(run_folder, models):
    from xray_infer.train.network import backbone_layers, build_classifier

    out, config, *_ = run_folder
    keras.utils.set_random_seed(config.seed)  # as the run did, so that it began with these weights
    start = build_classifier("none", classes=3, seed=config.seed)
    extraction, tuned = (models[method] for method in METHODS)

    def changed(before, after):
        return {
            layer.name
            for layer, other in zip(before.layers, after.layers, strict=True)
            if not all(map(np.array_equal, layer.get_weights(), other.get_weights()))
        } - {"random_flip", "random_rotation"}

    top = {layer.name for layer in backbone_layers(start)[-100:]}
    convolutions = {name for name in top if name.endswith("_conv")}
    assert len(backbone_layers(start)) == 426
    assert json.loads((out / "fine_tuning.json").read_text())["path"] == SAYS["features-at-conv-block"]
    assert changed(start, extraction) == {"probabilities"}
    assert changed(extraction, tuned) == {*convolutions, "probabilities"}


def test_the_written_logits_are_those_of_the_saved_model(run_folder, models):
    from xray_infer.study.datasets import read_dataset, read_input
    from xray_infer.study.metrics import softmax
    from xray_infer.train.predictions import read_predictions

    out, config, *_ = run_folder
    images = read_dataset(out / "split.csv").split("test")
    inputs = np.stack([read_input(image, config.preprocessing) for image in images])
    for method in METHODS:
        test = read_predictions(out / f"{method}.predictions.csv")["test"]
        assert [path.name for path in test.files] == [image.path.name for image in images]
        # Not by `predict`, which takes seconds to make a graph.
        answers = np.asarray(models[method](inputs, training=False))
        assert softmax(test.logits) == pytest.approx(answers, abs=1e-4)


@pytest.fixture
def small_network(monkeypatch):
    """A network of two convolutions in place of DenseNet121, whose graph takes TensorFlow 15 s a method."""
    from tiny_classifier import build_tiny_classifier

    from xray_infer.train import trainer

    monkeypatch.setattr(trainer, "build_classifier", build_tiny_classifier)


@pytest.mark.usefixtures("small_network")
def test_a_run_is_given_the_lungs_at_the_side_that_is_asked_for(tmp_path, module_tree):
    from xray_infer.images.preprocess import Preprocessing
    from xray_infer.study.datasets import read_dataset, read_input
    from xray_infer.study.metrics import softmax
    from xray_infer.train.fit import train
    from xray_infer.train.predictions import read_predictions

    made, out = Preprocessing(2, 64), tmp_path / "run"
    films = sorted(SAMPLES.glob("phantom_*.png"))  # lungs are found in these, and not in the tree's pictures
    for folder, film in zip(sorted(module_tree.iterdir()), films, strict=False):
        shutil.copytree(folder, tmp_path / "tree" / folder.name)
        shutil.copy(film, tmp_path / "tree" / folder.name)
    config = quick_config(preprocessing=made, methods=METHODS[:1])
    train(tmp_path / "tree", out, config, report=lambda line: None)
    record = json.loads((out / "feature_extraction.json").read_text())
    assert record["preprocessing_version"] == 2
    model = keras.saving.load_model(out / "feature_extraction.keras", compile=False)
    assert model.input_shape == (None, 64, 64, 1)
    images = read_dataset(out / "split.csv").images
    assert {image.path.name for image in images} >= {film.name for film in films[:3]}
    held_out = [image for image in images if image.split != "train"]
    written = read_predictions(out / "feature_extraction.predictions.csv", splits=("val", "test"))
    for split, found in written.items():
        given = np.stack([read_input(image, made) for image in held_out if image.split == split])
        assert softmax(found.logits) == pytest.approx(model.predict(given, verbose=0), abs=1e-4)
    with pytest.raises(DataError, match=r"differs in preprocessing\.side"):
        train(tmp_path / "tree", out, quick_config(preprocessing=Preprocessing(2, 96)), report=print)


@pytest.mark.usefixtures("small_network")
def test_the_fast_path_learns_what_the_plain_path_learns(tmp_path, module_tree, monkeypatch):
    """Without augmentation both see the same images, and their losses differ by rounding alone."""
    from dataclasses import replace

    from tiny_classifier import UNFROZEN

    from xray_infer.train import network
    from xray_infer.train.fit import train

    monkeypatch.setitem(network.AUGMENTATIONS, "study", lambda seed: [])
    losses = []
    for plain in (False, True):
        schedule = quick_config().schedule.with_stages(learning_rate=(1e-2, 1e-4), unfrozen=(0, UNFROZEN))
        schedule = replace(schedule, views=1)
        config = quick_config(plain=plain, schedule=schedule, validation_only=True)  # no report
        train(module_tree, tmp_path / str(plain), config, report=lambda line: None)
        records = [json.loads((tmp_path / str(plain) / f"{method}.json").read_text()) for method in METHODS]
        losses.append([row[key] for one in records for row in one["history"] for key in ("loss", "val_loss")])
        assert records[0]["path"] == ("plain" if plain else "features at pooled")
        assert records[1]["path"] == ("plain" if plain else "features at conv1_relu")
    assert losses[0] == pytest.approx(losses[1], rel=0.01)


def test_the_classifier_is_flat_and_normalises_as_documented(run_folder, models):
    from xray_infer.images.preprocess import IMAGENET_MEAN, IMAGENET_STD

    _, config, *_ = run_folder
    model = models["fine_tuning"]
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    inner = keras.Model(model.input, model.get_layer("imagenet").output)
    side = config.preprocessing.side
    image = np.arange(side * side, dtype=np.uint32).reshape(1, side, side, 1).astype(np.uint8)
    normalised = np.asarray(inner(image, training=False))
    expected = (image / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    assert np.abs(normalised - expected).max() < 1e-5


def test_a_finished_run_is_not_trained_again(run_folder, module_tree):
    from xray_infer.train.fit import train

    out, config, _, page = run_folder
    before = (out / "fine_tuning.keras").stat().st_mtime_ns
    lines: list[str] = []
    assert train(out / "split.csv", out, config, report=lines.append) == page
    assert lines == []  # nothing is decoded again either
    assert (out / "fine_tuning.keras").stat().st_mtime_ns == before


def test_damaged_yardsticks_are_measured_again(run_folder):
    from xray_infer.study.datasets import read_images
    from xray_infer.train.fit import _yardsticks, train

    out, config, _, page = run_folder
    path, dataset = out / "yardsticks.json", read_images(out / "split.csv")
    whole, measured = path.read_text(), _yardsticks(dataset, out, config.seed, print)
    for damaged in ("{", "[{}]", "7"):
        path.write_text(damaged)
        assert _yardsticks(dataset, out, config.seed, lambda line: None) == measured
        assert path.read_text() == whole
    path.write_text("{")  # through the whole run once: its page takes seconds
    assert train(out / "split.csv", out, config, report=lambda line: None) == page
    assert path.read_text() == whole


def test_a_folder_of_another_configuration_is_refused(run_folder):
    from dataclasses import replace

    from xray_infer.train.fit import train

    out, config, *_ = run_folder
    other = replace(config.schedule, fine_tuning=replace(config.schedule.fine_tuning, unfrozen=50))
    with pytest.raises(DataError, match=SAYS["differs-in-schedule-fine"]):
        train(out / "split.csv", out, replace(config, schedule=other), report=lambda line: None)


@pytest.mark.usefixtures("small_network")
def test_one_method_for_choosing_a_schedule(tmp_path, module_tree):
    """Feature extraction alone, its head standardised, the test split left alone."""
    from dataclasses import replace

    from xray_infer.train.fit import train

    schedule = quick_config().schedule
    stage = replace(schedule.feature_extraction, standardised=True, augmented=False)
    schedule = replace(schedule, feature_extraction=stage, originals=True)
    config = quick_config(schedule=schedule, methods=METHODS[:1], validation_only=True)
    page = train(module_tree, tmp_path / "run", config, report=lambda line: None)
    assert page.startswith("feature_extraction: validation accuracy")
    record = json.loads((tmp_path / "run" / "feature_extraction.json").read_text())
    assert "test" not in record
    assert record["validation"]["images"] == 3
    assert not (tmp_path / "run" / "fine_tuning.keras").exists()
    # Folded back, the head gives what it gave in training: the kept epoch's loss is the saved model's.
    best = min(row["val_loss"] for row in record["history"])
    from xray_infer.study.metrics import negative_log_likelihood
    from xray_infer.train.predictions import read_predictions

    saved = read_predictions(tmp_path / "run" / "feature_extraction.predictions.csv")["val"]
    assert negative_log_likelihood(saved.labels, saved.logits, 1.0) == pytest.approx(best, rel=1e-3)
    # Chosen, it is tested, and not trained again.
    before = (tmp_path / "run" / "feature_extraction.keras").stat().st_mtime_ns
    config, data = replace(config, validation_only=False), tmp_path / "run" / "split.csv"
    train(data, tmp_path / "run", config, report=lambda line: None)
    tested = json.loads((tmp_path / "run" / "feature_extraction.json").read_text())
    assert tested.pop("test")["images"] == 3
    assert tested == record
    assert (tmp_path / "run" / "feature_extraction.keras").stat().st_mtime_ns == before
    assert (tmp_path / "run" / "report.html").exists()


def test_a_schedule_that_needs_the_fast_path_is_refused_without_it(tmp_path, module_tree):
    from dataclasses import replace

    from xray_infer.train.fit import train
    from xray_infer.train.schedule import SCHEDULES

    best = SCHEDULES["best"]
    for change, message in (
        ({"plain": True, "schedule": best}, "a standardised head needs the fast path; leave out --plain"),
        ({"schedule": replace(best, originals=False)}, "the schedule keeps no originals"),
    ):
        with pytest.raises(DataError, match=message):
            train(module_tree, tmp_path / "run", quick_config(**change), report=lambda line: None)
        shutil.rmtree(tmp_path / "run")

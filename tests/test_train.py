"""Training for real, on a few pictures: both methods, interrupted and resumed."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from xray_infer.errors import DataError, ModelError

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.tensorflow

METHODS = ("feature_extraction", "fine_tuning")


QUICK = {"batch_size": 8, "views": 2}


def quick_config(**changes):
    """The study's schedule with two epochs and one, on random weights."""
    from dataclasses import replace

    from xray_infer.train.config import TrainConfig
    from xray_infer.train.schedule import SCHEDULES

    schedule = replace(SCHEDULES["study"].with_stages(epochs=(2, 1)), **QUICK)
    return replace(TrainConfig(weights="none", schedule=schedule), **changes)


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
    assert "feature_extraction: going on after epoch 1 of 2" in lines
    assert sum("views of images in" in line for line in lines) == 2  # and never again
    return out, config, lines, page


def test_a_run_writes_what_it_says(run_folder):
    from xray_infer.datasets import read_dataset
    from xray_infer.train.predictions import read_predictions

    out, _, lines, page = run_folder
    of_each = [".json", ".keras", ".log.csv", ".ood.npz", ".predictions.csv"]
    files = [f"{method}{suffix}" for method in METHODS for suffix in of_each]
    files += ["plots", "report.html", "report.json", "report.md", "run.json", "split.csv", "tensorboard"]
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
        assert record["thresholds"]["ood_score_p99"] >= record["thresholds"]["ood_score_p95"] > 0
        assert np.sum(record["test"]["confusion"]) == record["test"]["images"] == 3
        rows = (out / f"{method}.log.csv").read_text().splitlines()
        assert rows[0] == "epoch,accuracy,loss,val_accuracy,val_loss,learning_rate"
        assert len(rows) == epochs + 1
        test = read_predictions(out / f"{method}.predictions.csv")["test"]
        assert float(np.mean(test.hits)) == record["test"]["accuracy"]
        assert list((out / "tensorboard" / method).glob("events.*"))
    assert report["comparison"] is not None


def test_feature_extraction_trains_the_head_only_and_fine_tuning_the_top(run_folder):
    from xray_infer.train.network import backbone_layers, build_classifier

    out, config, *_ = run_folder
    keras.utils.set_random_seed(config.seed)  # as the run did, so that it began with these weights
    start = build_classifier("none", seed=config.seed)
    extraction = keras.saving.load_model(out / "feature_extraction.keras", compile=False)
    tuned = keras.saving.load_model(out / "fine_tuning.keras", compile=False)

    def changed(before, after):
        return {
            layer.name
            for layer, other in zip(before.layers, after.layers, strict=True)
            if not all(map(np.array_equal, layer.get_weights(), other.get_weights()))
        } - {"random_flip", "random_rotation"}

    top = {layer.name for layer in backbone_layers(start)[-100:]}
    convolutions = {name for name in top if name.endswith("_conv")}
    assert len(backbone_layers(start)) == 426
    assert changed(start, extraction) == {"probabilities"}
    assert changed(extraction, tuned) == {*convolutions, "probabilities"}


def test_the_written_logits_are_those_of_the_saved_model(run_folder):
    from xray_infer.datasets import read_dataset, read_input
    from xray_infer.train.metrics import softmax
    from xray_infer.train.predictions import read_predictions

    out, *_ = run_folder
    images = read_dataset(out / "split.csv").split("test")
    inputs = np.stack([read_input(image) for image in images])
    for method in METHODS:
        test = read_predictions(out / f"{method}.predictions.csv")["test"]
        assert [path.name for path in test.files] == [image.path.name for image in images]
        model = keras.saving.load_model(out / f"{method}.keras", compile=False)
        assert softmax(test.logits) == pytest.approx(model.predict(inputs, verbose=0), abs=1e-4)


def test_the_fast_path_learns_what_the_plain_path_learns(tmp_path, module_tree, run_folder, monkeypatch):
    """Without augmentation both see the same images, and their losses differ by rounding alone."""
    from dataclasses import replace

    from xray_infer.train import network
    from xray_infer.train.fit import train

    monkeypatch.setitem(network.AUGMENTATIONS, "study", lambda seed: [])
    losses = []
    for plain in (False, True):
        schedule = replace(quick_config().schedule.with_stages(learning_rate=(1e-2, 1e-4)), views=1)
        config = quick_config(plain=plain, schedule=schedule)
        train(module_tree, tmp_path / str(plain), config, report=lambda line: None)
        records = [json.loads((tmp_path / str(plain) / f"{method}.json").read_text()) for method in METHODS]
        losses.append([row[key] for one in records for row in one["history"] for key in ("loss", "val_loss")])
        assert records[0]["path"] == ("plain" if plain else "features at pooled")
        assert records[1]["path"] == ("plain" if plain else "features at conv5_block2_concat")
    assert losses[0] == pytest.approx(losses[1], rel=0.01)


def test_the_classifier_is_flat_and_normalises_as_documented(run_folder):
    from xray_infer.preprocess import IMAGENET_MEAN, IMAGENET_STD

    out, *_ = run_folder
    model = keras.saving.load_model(out / "fine_tuning.keras", compile=False)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    inner = keras.Model(model.input, model.get_layer("imagenet").output)
    image = np.arange(224 * 224, dtype=np.uint32).reshape(1, 224, 224, 1).astype(np.uint8)
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


def test_a_folder_of_another_configuration_is_refused(run_folder):
    from dataclasses import replace

    from xray_infer.train.fit import train

    out, config, *_ = run_folder
    other = replace(config.schedule, fine_tuning=replace(config.schedule.fine_tuning, unfrozen=50))
    with pytest.raises(DataError, match=r"differs in schedule\.fine_tuning\.unfrozen; give a new --out"):
        train(out / "split.csv", out, replace(config, schedule=other), report=lambda line: None)


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
    from xray_infer.train.metrics import negative_log_likelihood
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
    one = config_of("--method", "feature-extraction", "--region", "border", "--seed", "3", "--plain")
    assert (one.methods, one.region, one.seed, one.plain) == (METHODS[:1], "border", 3, True)


BACKEND_RUN = """
import sys
from pathlib import Path
import test_train
from xray_infer.train.fit import train
train(Path(sys.argv[1]), Path(sys.argv[2]), test_train.quick_config(), report=lambda line: None)
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_train_and_their_files_are_interchangeable(backend, tmp_path, module_tree):
    """The tool's own run on each backend that is installed; TensorFlow then computes what it wrote."""
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    from xray_infer.datasets import read_dataset, read_input
    from xray_infer.train.metrics import softmax
    from xray_infer.train.predictions import read_predictions

    folder = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-c", BACKEND_RUN, str(module_tree), str(tmp_path / "run")],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": folder},
        check=True,
    )
    images = read_dataset(tmp_path / "run" / "split.csv").split("test")
    inputs = np.stack([read_input(image) for image in images])
    for method in METHODS:
        assert json.loads((tmp_path / "run" / f"{method}.json").read_text())["versions"]["backend"] == backend
        model = keras.saving.load_model(tmp_path / "run" / f"{method}.keras", compile=False)
        written = read_predictions(tmp_path / "run" / f"{method}.predictions.csv")["test"]
        assert softmax(written.logits) == pytest.approx(model.predict(inputs, verbose=0), abs=1e-3)


def test_weights_of_another_network_are_refused(tmp_path):
    from xray_infer.train.network import build_classifier

    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(ModelError, match="not a DenseNet121 backbone"):
        build_classifier(tmp_path / "other.keras", seed=0)


def test_imagenet_weights_reach_the_classifier(monkeypatch):
    """Without a network: a random DenseNet121 stands for the download."""
    from xray_infer.train.network import backbone_layers, build_classifier

    real, downloaded = keras.applications.DenseNet121, []

    def densenet(*, weights, **options):
        model = real(weights=None, **options)
        if weights == "imagenet":
            downloaded.append(model)
        return model

    monkeypatch.setattr(keras.applications, "DenseNet121", densenet)
    classifier = build_classifier("imagenet", seed=0)
    (source,) = downloaded
    for layer, trained in zip(backbone_layers(classifier), backbone_layers(source), strict=True):
        assert all(map(np.array_equal, layer.get_weights(), trained.get_weights()))


def small_network():
    layers = keras.layers
    image = keras.Input((None, None, 3))
    values = layers.ZeroPadding2D(((3, 2), (1, 0)))(image)
    values = layers.Conv2D(8, 7, strides=2, use_bias=False)(values)
    values = layers.Activation("relu")(layers.BatchNormalization(epsilon=1.001e-5)(values))
    values = layers.MaxPooling2D(3, strides=2)(values)
    branch = layers.Conv2D(4, 3, padding="same")(values)
    values = layers.AveragePooling2D(2, strides=2)(layers.Concatenate()([values, branch]))
    return keras.Model(image, values)


def test_the_torch_twin_computes_what_keras_computes():
    torch = pytest.importorskip("torch", reason="the extra [pretrain] is not installed")
    from xray_infer.train.backbone.torch_twin import TorchTwin

    rng = np.random.default_rng(0)
    model = small_network()
    model.set_weights([rng.uniform(0.5, 1, weight.shape) for weight in model.get_weights()])
    twin = TorchTwin(model).eval()
    images = rng.normal(size=(2, 40, 52, 3)).astype(np.float32)
    ours = twin(torch.from_numpy(images).permute(0, 3, 1, 2)).detach().permute(0, 2, 3, 1).numpy()
    theirs = np.asarray(model(images, training=False))
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max()
    copy = small_network()
    copy_twin = TorchTwin(copy)
    copy_twin.load_state_dict(dict(zip(copy_twin.state_dict(), twin.state_dict().values(), strict=True)))
    copy_twin.write_weights(copy)
    for ours, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


def test_pretraining_resumes_and_refuses_another_configuration(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="the extra [pretrain] is not installed")
    from dataclasses import replace

    from xray_infer.train.backbone import pretrain as module
    from xray_infer.train.backbone.pretrain import PretrainConfig, pretrain

    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tmp_path / "photographs.zip", "w") as archive:
        for split, count in (("train", 8), ("val", 2)):
            for name in ("bear", "boat"):
                for number in range(count):
                    pixels = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
                    data = cv2.imencode(".webp", pixels)[1].tobytes()
                    archive.writestr(f"{split}/{name}/{number:05d}.webp", data)
    config = PretrainConfig(epochs=2, small_epochs=1, small_side=32, side=64, batch_size=8)
    out = tmp_path / "run"

    class Killed(Exception):
        pass

    real = module._train_epoch

    def die_in_second_epoch(training, photographs, epoch, report):
        if epoch == 1:
            raise Killed
        return real(training, photographs, epoch, report)

    monkeypatch.setattr(module, "_train_epoch", die_in_second_epoch)
    with pytest.raises(Killed):
        pretrain(tmp_path / "photographs.zip", out, config)
    monkeypatch.setattr(module, "_train_epoch", real)
    lines: list[str] = []
    backbone = pretrain(tmp_path / "photographs.zip", out, config, report=lines.append)
    assert "going on after epoch 1 of 2" in lines
    record = json.loads((out / "pretrain.json").read_text())
    assert [row["epoch"] for row in record["history"]] == [0, 1]
    assert keras.saving.load_model(backbone, compile=False).output.shape[-1] == 1024
    with pytest.raises(DataError, match="another configuration"):
        pretrain(tmp_path / "photographs.zip", out, replace(config, seed=1))

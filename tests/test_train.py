"""Training for real, on a few pictures: both methods, interrupted and resumed."""

import json
import zipfile

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from xray_infer.errors import DataError, ModelError

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory, module_tree):
    """One run of both methods that is stopped after the first epoch and started again."""
    from xray_infer.train.fit import TrainConfig, train

    out = tmp_path_factory.mktemp("train") / "run"
    config = TrainConfig(weights="none", feature_extraction_epochs=2, fine_tuning_epochs=1, batch_size=8)
    lines: list[str] = []

    def stop_after_first_epoch(line: str) -> None:
        lines.append(line)
        if "epoch 1/2 done" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(module_tree, out, config, report=stop_after_first_epoch)
    assert not (out / "feature_extraction.json").exists()
    page = train(module_tree, out, config, report=lines.append)
    assert "feature_extraction: going on after epoch 1 of 2" in lines
    return out, config, lines, page


def test_a_run_writes_what_it_says(run_folder):
    out, _, lines, page = run_folder
    assert sorted(path.name for path in out.iterdir()) == [
        "feature_extraction.json",
        "feature_extraction.keras",
        "feature_extraction.png",
        "fine_tuning.json",
        "fine_tuning.keras",
        "fine_tuning.png",
        "report.md",
        "run.json",
    ]
    assert (out / "report.md").read_text() == page
    assert any("min left" in line for line in lines)
    for method, epochs in (("feature_extraction", 2), ("fine_tuning", 1)):
        record = json.loads((out / f"{method}.json").read_text())
        assert record["method"] == method
        assert len(record["history"]) == epochs
        assert np.sum(record["test"]["confusion"]) == record["test"]["images"] == 3
        assert cv2.imread(str(out / f"{method}.png")) is not None


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
    assert train(module_tree, out, config, report=lines.append) == page
    assert lines == []  # nothing is decoded again either
    assert (out / "fine_tuning.keras").stat().st_mtime_ns == before


def test_a_folder_of_another_configuration_is_refused(run_folder, module_tree):
    from dataclasses import replace

    from xray_infer.train.fit import train

    out, config, *_ = run_folder
    with pytest.raises(DataError, match="differs in unfrozen; give a new --out"):
        train(module_tree, out, replace(config, unfrozen=50), report=lambda line: None)


def test_errors_are_one_line(tmp_path, module_tree):
    from xray_infer.train.cli import main

    for arguments, message in (
        ([module_tree, "--out", tmp_path / "r", "--weights", "gone.keras"], "gone.keras: no such file"),
        ([tmp_path / "gone", "--out", tmp_path / "r", "--weights", "none"], "gone: No such file"),
        (["pretrain", tmp_path / "gone.zip", "--out", tmp_path / "r"], None),
    ):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        if message:
            assert message in result.stderr


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
    from xray_infer.train.torch_twin import TorchTwin

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

    from xray_infer.train import pretrain as module
    from xray_infer.train.pretrain import PretrainConfig, pretrain

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

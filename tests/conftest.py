"""Images and a tiny model, made here: no network, no downloads, nothing from outside the repository."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from click.testing import Result
from parallel import longest_first, make_scheduler
from places import REPOSITORY
from sharded import infer, plant
from specimens import example_manifest, jpeg, png
from unexpected_skips import register_in_ci

from xray_infer.classes import CLASS_NAMES
from xray_infer.images.limits import Limits
from xray_infer.model.embedding import MANIFEST_KEY
from xray_infer.model.manifest import ModelManifest
from xray_infer.run.sources.folder import FileItem
from xray_infer.study.datasets import read_images
from xray_infer.train.data.splits import random_split, write_manifest

if TYPE_CHECKING:
    pass

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # windows without a screen

SHARED = REPOSITORY.parent / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    register_in_ci(config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    longest_first(config, items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return make_scheduler(config, log)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real X-rays beside the repository, where there is one."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data beside the repository")
    return SHARED


@pytest.fixture(scope="session")
def data_of(shared_data: Path) -> Callable[[ModelManifest], Path]:
    """Find the data set, among those, that a model file was trained on."""
    by_digest = {read_images(path.parent).digest: path.parent for path in shared_data.glob("*/manifest.csv")}

    def find(manifest: ModelManifest) -> Path:
        digest = manifest.training.data_sha256 or "no data"
        assert digest in by_digest, f"{SHARED} lacks the data set {digest[:12]} of the model"
        return by_digest[digest]

    return find


@pytest.fixture
def xray() -> np.ndarray:
    """A smooth gray picture with both extremes, uint8 [300, 260]."""
    rng = np.random.default_rng(7)
    rough = rng.integers(0, 256, (12, 10)).astype(np.uint8)
    return cv2.resize(rough, (260, 300), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def folder(tmp_path: Path, xray: np.ndarray) -> Path:
    """Six good images in two folders, with a hidden file and a text file among them."""
    root = tmp_path / "films"
    (root / "ward b").mkdir(parents=True)
    for index in range(3):
        (root / f"film{index}.png").write_bytes(png(np.roll(xray, 40 * index, axis=0)))
        (root / "ward b" / f"film{index}.jpg").write_bytes(jpeg(np.roll(xray, 40 * index, axis=1)))
    (root / "notes.txt").write_text("none")
    (root / ".hidden.png").write_bytes(b"")
    return root


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """The lines that are drawn below heat maps, each with its right end and the row that it stands on."""
    from xray_infer.outputs.heatmaps.caption import Style

    lines: list[tuple[str, int, int]] = []
    really = Style.write

    def write(style: Style, canvas: np.ndarray, text: str, left: int, base: int) -> None:
        lines.append((text, left + style.measure(text), base))
        really(style, canvas, text, left, base)

    monkeypatch.setattr(Style, "write", write)
    return lines


@pytest.fixture
def heeds_interrupts() -> Iterator[None]:
    """Let SIGINT be heard: a shell starts commands in the background, these tests too, with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch, heeds_interrupts: None) -> Callable[..., list[str]]:
    """Make the command meet a signal after so many items have been read."""

    def arm(count: int, number: int = signal.SIGINT) -> list[str]:
        read: list[str] = []
        really_read, armed = FileItem.read, [True]

        def read_and_stop(item: FileItem, limits: Limits) -> bytes:
            read.append(item.name)
            if len(read) == count and armed:
                armed.clear()
                os.kill(os.getpid(), number)
            return really_read(item, limits)

        monkeypatch.setattr(FileItem, "read", read_and_stop)
        return read

    return arm


def _plant_tree(root: Path) -> Path:
    rng = np.random.default_rng(5)
    for name in CLASS_NAMES:
        (root / name).mkdir(parents=True)
        for number in range(10):
            rough = rng.integers(0, 256, (9, 9)).astype(np.uint8)
            pixels = cv2.resize(rough, (120, 110), interpolation=cv2.INTER_CUBIC)
            (root / name / f"{number}.png").write_bytes(png(pixels))
    return root


@pytest.fixture
def labelled_tree(tmp_path: Path) -> Path:
    """Ten different pictures in each class's folder; a test may change them."""
    return _plant_tree(tmp_path / "tree")


@pytest.fixture
def split_tree(labelled_tree: Path) -> Path:
    """The same with a manifest that gives it a split."""
    write_manifest(random_split(read_images(labelled_tree), seed=0), labelled_tree / "manifest.csv")
    return labelled_tree


@pytest.fixture(scope="module")
def module_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, for tests that leave it as it is."""
    return _plant_tree(tmp_path_factory.mktemp("data") / "tree")


@pytest.fixture(scope="session")
def make_tiny_onnx(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make an ONNX file of the contract: 32 x 32 block means, one 1x1 convolution, softmax of its mean.

    Its input has the side that the manifest says, its outputs the classes.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def make(manifest: ModelManifest | str | None = None) -> Path:
        told = manifest if isinstance(manifest, ModelManifest) else example_manifest()
        count = len(told.class_names)
        weights = np.resize(np.array([2.0, -1.0, 0.5, 1.0, -2.0], np.float32), count) / 64
        nodes = [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
            helper.make_node("AveragePool", ["nchw"], ["means"], kernel_shape=[32, 32], strides=[32, 32]),
            helper.make_node("Conv", ["means", "weights"], ["maps"]),
            helper.make_node("Transpose", ["maps"], ["cam"], perm=[0, 2, 3, 1]),
            helper.make_node("ReduceMean", ["cam", "axes"], ["logits"], keepdims=0),
            helper.make_node("Softmax", ["logits"], ["probabilities"]),
            helper.make_node("GlobalAveragePool", ["means"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["features"]),
        ]
        shape = told.input_shape
        cells = [shape[0] // 32, shape[1] // 32, count]
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", *shape])],
            [
                helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", count]),
                helper.make_tensor_value_info("cam", TensorProto.FLOAT, ["batch", *cells]),
                helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 1]),
            ],
            [
                numpy_helper.from_array(weights.reshape(-1, 1, 1, 1), "weights"),
                numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        if manifest is not None:
            text = manifest if isinstance(manifest, str) else manifest.to_json()
            helper.set_model_props(model, {MANIFEST_KEY: text})
        path = tmp_path_factory.mktemp("model") / "tiny.onnx"
        onnx.save(model, path)
        return path

    return make


@pytest.fixture(scope="session")
def tiny_onnx(make_tiny_onnx: Callable[..., Path]) -> Path:
    """A valid tiny model file."""
    return make_tiny_onnx(example_manifest())


@pytest.fixture
def float_onnx(tmp_path: Path) -> Path:
    """A file whose figures are easily worked out: convolution, Relu, pooling, Gemm."""
    from model_files import float_onnx

    return float_onnx(tmp_path / "float.onnx")


@pytest.fixture(scope="session")
def tiny_keras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small fitted Keras network with its training record; its data are in the folder `data` beside it."""
    from tiny_densenet import make_model

    return make_model(tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="session")
def tiny_graph(tiny_keras: Path) -> Any:
    """The network taken apart."""
    from tiny_densenet import TEMPERATURE

    from xray_infer.export.edge_graph import load_classifier, take_apart

    return take_apart(load_classifier(tiny_keras), path=tiny_keras, temperature=TEMPERATURE)


@pytest.fixture(scope="session")
def tiny_reference(tiny_keras: Path, tiny_graph: Any) -> Any:
    """The network's answers on its test images and the made-up inputs."""
    from xray_infer.export.calibration import draw
    from xray_infer.export.edge_graph import make_reference
    from xray_infer.study.datasets import read_dataset

    return make_reference(
        tiny_graph, draw(read_dataset(tiny_keras.parent / "data"), "test", count=400, seed=0)
    )


@pytest.fixture(scope="session")
def tiny_exports(tiny_keras: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """Every recipe of every format, by the command itself: (folder, result)."""
    from click.testing import CliRunner

    from xray_infer.export.cli import main

    out = tmp_path_factory.mktemp("exports") / "new"
    arguments = [
        "--quantize",
        "all",
        "--data",
        tiny_keras.parent / "data",
        "--out",
        out,
        "--calibration-images",
        12,
    ]
    result = CliRunner().invoke(main, [str(argument) for argument in (tiny_keras, *arguments)])
    assert result.exit_code == 0, result.output
    return out, result


@pytest.fixture(scope="session")
def five_classes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of five classes of any names, exported in both formats; see `any_classes`."""
    from any_classes import FIVE, make_model

    return make_model(tmp_path_factory.mktemp("five"), FIVE)


@pytest.fixture(scope="session")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of two classes, one of which was merged of three."""
    from any_classes import MERGED, TWO, make_model

    return make_model(tmp_path_factory.mktemp("two"), TWO, "--classes", MERGED)


@pytest.fixture
def films(tmp_path: Path, xray: np.ndarray) -> Path:
    return plant(tmp_path / "films", xray)


@pytest.fixture
def whole(films: Path, tiny_onnx: Path, tmp_path: Path) -> bytes:
    """The rows of one file."""
    assert infer(films, "--model", tiny_onnx, "--out", tmp_path / "whole.csv").exit_code == 1
    return (tmp_path / "whole.csv").read_bytes()


@pytest.fixture
def shard(films: Path, tiny_onnx: Path, tmp_path: Path) -> Callable[..., Result]:
    """Run the command into shards of about four images; more options may be given."""

    def run(*options: object) -> Result:
        return infer(films, "--model", tiny_onnx, "--out", f"{tmp_path}/s/", "--shard-size", 4, *options)

    return run


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read."""
    names: list[str] = []
    really = FileItem.read

    def read_and_note(item: FileItem, limits: Limits) -> bytes:
        names.append(item.name)
        return really(item, limits)

    monkeypatch.setattr(FileItem, "read", read_and_note)
    return names

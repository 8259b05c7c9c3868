"""The score of unfamiliar images: its statistics, its threshold, and the graphs that compute it."""

import dataclasses
import shutil

import numpy as np
import pytest
from approved import approved

pytest.importorskip("tensorflow")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")
pytest.importorskip("ai_edge_quantizer")

from click.testing import CliRunner
from model_files import without_score
from tiny_densenet import METHOD

from xray_infer.errors import ModelError
from xray_infer.export.calibration import draw
from xray_infer.export.cli import main
from xray_infer.export.converted import EMBED
from xray_infer.export.familiarity import fit_familiarity, pooling_windows
from xray_infer.export.recipes import RECIPES
from xray_infer.export.rejection import FALSE_REJECTION, open_scorer, scores
from xray_infer.model.json_records import from_json
from xray_infer.model.manifest import OUTPUT_NAMES, SCORE_NAME
from xray_infer.model.manifest_parts import RejectedCount, Training
from xray_infer.model.runtimes import find_model
from xray_infer.study.conformal import set_limit
from xray_infer.study.datasets import read_dataset
from xray_infer.study.parity import sessions

SAYS = approved("xray-export")

pytestmark = pytest.mark.tensorflow

FILES = sorted(f"{METHOD}-{recipe}.{model_format}" for model_format, recipe in RECIPES)
INT8 = [f"{METHOD}-int8-static.{model_format}" for model_format in EMBED]


def test_unfamiliar_features_score_higher():
    rng = np.random.default_rng(2)
    # Most of the variation along few directions, as in a network's features.
    mixing = rng.normal(size=(10, 200))

    def features(count):
        return 5 + rng.normal(size=(count, 10)) @ mixing + 0.3 * rng.normal(size=(count, 200))

    train = features(1000)
    familiarity = fit_familiarity(train, components=64)
    assert familiarity.basis.T @ familiarity.basis == pytest.approx(np.eye(64), abs=1e-4)
    assert np.mean(familiarity.score(train)) == pytest.approx(1, abs=0.01)
    known = familiarity.score(features(5000))
    limit = set_limit(known, false_rejection=0.01)
    assert np.mean(familiarity.score(features(5000)) > limit.value) == pytest.approx(0.01, abs=0.005)
    # One along the known directions but far out, one across them.
    far = 5 + 10 * rng.normal(size=(200, 10)) @ mixing
    across = features(200) + 2 * rng.normal(size=(200, 200))
    for strange in (far, across):
        assert np.mean(familiarity.score(strange) > limit.value) > 0.95


def test_the_score_is_the_distance_that_the_module_states():
    """Written out: components one by one, and the rest as a vector of its own."""
    rng = np.random.default_rng(3)
    features = rng.normal(size=(300, 20)) * np.linspace(3, 0.2, 20)
    familiarity = fit_familiarity(features, components=6)
    centred = features - features.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    along = centred @ axes[:6].T
    rest = centred - along @ axes[:6]
    expected = (
        (along**2 / along.var(axis=0)).sum(axis=1) / 6
        + (rest**2).sum(axis=1) / np.mean((rest**2).sum(axis=1))
    ) / 2
    assert familiarity.score(features) == pytest.approx(expected, rel=1e-3)


def test_features_that_never_vary_do_no_harm():
    features = np.ones((50, 8))
    features[:, 0] = np.random.default_rng(0).normal(size=50)
    found = fit_familiarity(features).score(features)
    assert np.isfinite(found).all()
    assert (fit_familiarity(np.ones((50, 8))).score(np.ones((2, 8))) == 0).all()


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3])
@pytest.mark.parametrize("count", [100, 335, 1000])
def test_the_threshold_keeps_the_rate_on_new_images(rate, count):
    """Over many draws, new images exceed it in k / (N + 1) of cases, which is at most the rate."""
    rng = np.random.default_rng(4)
    missed = []
    for _ in range(2000):
        limit = set_limit(rng.normal(size=count), false_rejection=rate)
        missed.append(np.mean(rng.normal(size=50) > limit.value))
    assert limit.expected <= rate
    assert np.mean(missed) == pytest.approx(limit.expected, rel=0.15, abs=5e-4)


def test_too_few_images_give_their_highest_score():
    limit = set_limit(np.array([3.0, 1.0, 2.0]), false_rejection=0.01)
    assert (limit.value, limit.expected) == (3.0, 0.25)


@pytest.mark.parametrize("height", range(2, 12))
@pytest.mark.parametrize("width", range(3, 16))
def test_windows_cover_the_picture_and_its_middle_columns_twice(height, width):
    its = pooling_windows(height, width)
    covered = np.zeros((height, width), int)
    for top in (0, its.down):
        for left in (0, its.across):
            window = covered[top : top + its.rows, left : left + its.columns]
            assert window.shape == (its.rows, its.columns)
            window += 1
    assert (
        covered[0] == [2 if (width - 1) // 2 <= column <= width // 2 else 1 for column in range(width)]
    ).all()
    assert (covered[:, 0] == [2 if height % 2 and row == height // 2 else 1 for row in range(height)]).all()
    # And not one window more.
    assert its.down + its.rows == height
    assert its.across + its.columns == width


@pytest.mark.parametrize(("height", "width"), [(1, 14), (14, 2)])
def test_a_picture_of_too_few_pixels_has_no_halves(height, width):
    with pytest.raises(ModelError, match=f"{height} x {width} pixels: too few"):
        pooling_windows(height, width)


def _validation(tiny_keras):
    return draw(read_dataset(tiny_keras.parent / "data"), "val", count=400, seed=0)


@pytest.mark.parametrize("name", FILES)
def test_a_file_computes_the_score_of_its_features(tiny_exports, tiny_keras, name):
    """Fitted anew from the features that the file itself gives, on the images that its manifest tells of."""
    path = tiny_exports[0] / name
    session = find_model(path).open()
    manifest, dataset = session.manifest, read_dataset(tiny_keras.parent / "data")
    assert manifest.output_names == (*OUTPUT_NAMES, SCORE_NAME)
    scorer = open_scorer(path.read_bytes(), manifest.format)
    run = scorer.open_features()
    train = draw(dataset, "train", count=400, seed=0)
    assert train.digest == manifest.rejection.training_sha256
    familiarity = fit_familiarity(np.stack([run(image) for image in train]))
    validation = _validation(tiny_keras)
    expected = familiarity.score(np.stack([run(image) for image in validation]))
    found = session.run(np.stack(list(validation))).ood_score
    assert (found.dtype, found.shape) == (np.float32, (len(validation),))
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)
    limit = set_limit(found, false_rejection=FALSE_REJECTION)
    assert manifest.ood_threshold == pytest.approx(limit.value, rel=1e-6)
    assert manifest.rejection.expected == limit.expected
    assert manifest.rejection.features == len(run(next(iter(validation))))


def test_features_are_the_means_of_a_transitions_halves(tiny_exports, tiny_graph, tiny_keras):
    """Held against Keras: normalised and averaged, before the convolution of the first of two transitions."""
    import keras

    inner = [
        layer for layer in tiny_graph.classifier.layers if isinstance(layer, keras.layers.AveragePooling2D)
    ]
    convolution = inner[0].input._keras_history.operation
    activated = keras.Model(tiny_graph.classifier.input, convolution.input)
    images = np.stack(list(_validation(tiny_keras)))[:4]
    planes = np.asarray(activated(images, training=False))
    assert planes.shape[1] % 2 == 0
    averaged = planes.reshape(len(planes), planes.shape[1] // 2, 2, planes.shape[2] // 2, 2, -1).mean(
        axis=(2, 4)
    )
    assert averaged.shape[1:3] == (14, 14)
    columns = np.array([1] * 6 + [2, 2] + [1] * 6) / 16
    upper, lower = (
        averaged[:, rows].mean(axis=1).swapaxes(1, 2) @ columns for rows in (slice(7), slice(7, 14))
    )
    for model_format, axis in (("onnx", 2), ("tflite", 1)):  # channels first, channels last
        path = tiny_exports[0] / f"{METHOD}-fp32.{model_format}"
        run = open_scorer(path.read_bytes(), model_format).open_features()
        expected = np.stack([upper, lower], axis=axis).reshape(len(images), -1)
        assert np.stack([run(image) for image in images]) == pytest.approx(expected, abs=1e-4)


@pytest.fixture(scope="module")
def plain_files(tiny_exports, tmp_path_factory):
    """The int8 files as they were before there was a score."""
    folder = tmp_path_factory.mktemp("plain")
    for name in INT8:
        path = tiny_exports[0] / name
        manifest = find_model(path).open().manifest
        manifest = dataclasses.replace(manifest, output_names=OUTPUT_NAMES, thresholds={}, rejection=None)
        graph = without_score(path)
        (folder / name).write_bytes(EMBED[manifest.format](graph, manifest))
    return folder


def _reject(*arguments):
    return CliRunner().invoke(main, ["reject", *map(str, arguments)])


@pytest.mark.parametrize("name", INT8)
def test_the_command_changes_no_answer_in_any_runtime(
    plain_files, tiny_keras, tiny_reference, tmp_path, name
):
    data = tiny_keras.parent / "data"
    result = _reject(plain_files / name, "--data", data, "--out", tmp_path / name, "--false-rejection", 0.2)
    assert result.exit_code == 0, result.output
    recipe = "int8-static"
    pairs = zip(*(sessions(find_model(one / name), recipe) for one in (plain_files, tmp_path)), strict=True)
    seen = 0
    for (runtime, before), (_, after) in pairs:
        first, second = before.run(tiny_reference.inputs), after.run(tiny_reference.inputs)
        assert np.array_equal(first.probabilities, second.probabilities), runtime
        assert np.array_equal(first.cam, second.cam), runtime
        assert first.ood_score is None
        assert np.isfinite(second.ood_score).all()
        assert runtime in result.stdout
        seen += 1
    assert seen == len(after.manifest.rejection.rejected) >= (2 if name.endswith("tflite") else 1)
    manifest, found = after.manifest, find_model(tmp_path / name).open()
    assert manifest.rejection.false_rejection == 0.2
    validation = scores(found, _validation(tiny_keras))
    assert np.mean(validation > manifest.ood_threshold) <= 0.2
    record = next(iter(manifest.rejection.rejected.values()))
    assert record["val"] == RejectedCount(9, int(np.sum(validation > manifest.ood_threshold)))
    before_manifest = before.manifest
    for field in dataclasses.fields(manifest):
        if field.name not in ("output_names", "thresholds", "rejection"):
            assert getattr(manifest, field.name) == getattr(before_manifest, field.name)


@pytest.mark.parametrize("name", INT8)
def test_the_same_file_and_data_give_the_same_bytes(plain_files, tiny_exports, tiny_keras, tmp_path, name):
    """And those that the export itself gives."""
    data = tiny_keras.parent / "data"
    for out in ("one", "two"):
        (tmp_path / out).mkdir()
        assert _reject(plain_files / name, "--data", data, "--out", tmp_path / out / name).exit_code == 0
    first = (tmp_path / "one" / name).read_bytes()
    assert first == (tmp_path / "two" / name).read_bytes()
    exported = find_model(tiny_exports[0] / name).open()
    images = np.stack(list(_validation(tiny_keras)))
    again = find_model(tmp_path / "one" / name).open()
    assert np.array_equal(again.run(images).ood_score, exported.run(images).ood_score)


def test_a_file_is_changed_in_place_and_verified(plain_files, tiny_exports, tiny_keras, tmp_path):
    path, data = tmp_path / INT8[0], tiny_keras.parent / "data"
    shutil.copy(plain_files / INT8[0], path)
    assert _reject(path, "--data", data).exit_code == 0
    shutil.copy(tiny_exports[0] / f"{METHOD}.reference.npz", tmp_path)
    result = CliRunner().invoke(main, ["verify", str(path), "--data", str(data)])
    assert result.exit_code == 0, result.output
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_what_cannot_be_done_is_one_line(plain_files, tiny_exports, tiny_keras, split_tree, tmp_path):
    data = tiny_keras.parent / "data"
    unsplit = tmp_path / "unsplit"
    shutil.copytree(data, unsplit)
    manifest = unsplit / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",val,", ",train,"))
    for file, folder, message in (
        (tiny_exports[0] / INT8[0], data, "has the output ood_score already"),
        (plain_files / INT8[0], split_tree, "not the data that"),
        (plain_files / INT8[0], unsplit, "not the data that"),
        (plain_files / "none.onnx", data, "cannot read the model file"),
    ):
        before = file.read_bytes() if file.exists() else b""
        result = _reject(file, "--data", folder)
        assert result.exit_code == 2
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
        assert (file.read_bytes() if file.exists() else b"") == before


def test_data_without_validation_images_is_refused(plain_files, tiny_keras, tmp_path):
    """Also where the file was trained on just these."""
    data = tmp_path / "data"
    shutil.copytree(tiny_keras.parent / "data", data)
    manifest = data / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",val,", ",train,"))
    path = tmp_path / INT8[0]
    stated = find_model(plain_files / INT8[0]).open().manifest
    record = {**stated.training.record, "data_sha256": read_dataset(data).digest}
    training = from_json(Training, record)
    stated = dataclasses.replace(stated, training=training)
    path.write_bytes(EMBED["onnx"]((plain_files / INT8[0]).read_bytes(), stated))
    result = _reject(path, "--data", data)
    assert result.exit_code == 2
    assert result.stderr == (SAYS["xray-export-no-images"].format(data=data))


def test_a_graph_without_transitions_is_refused(tiny_onnx):
    with pytest.raises(ModelError, match="no two transitions"):
        open_scorer(tiny_onnx.read_bytes(), "onnx")

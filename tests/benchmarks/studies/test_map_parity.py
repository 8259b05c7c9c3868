"""Exported heat maps beside Grad-CAM by tf.GradientTape, and the command that prints how close they are."""

import numpy as np
import pytest
from approved import approved

pytest.importorskip("tensorflow")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")
pytest.importorskip("ai_edge_quantizer")

from click.testing import CliRunner
from tiny_densenet import METHOD

from benchmarks.studies.map_parity import compare_maps, file_maps, low_table, main, tape_maps
from xray_infer.classes import CLASS_NAMES
from xray_infer.export.calibration import balanced_sample
from xray_infer.export.recipes import RECIPES
from xray_infer.images.preprocess import STUDY
from xray_infer.model.runtimes import find_model
from xray_infer.study.datasets import read_dataset, read_input

SAYS = approved("xray-bench")

pytestmark = pytest.mark.tensorflow

FILES = sorted(f"{METHOD}-{recipe}.{model_format}" for model_format, recipe in RECIPES)
# Median correlation of maps. The tiny network was calibrated on three patterns: its integers clip X-rays. The
# shipped ones are held to more below.
LEAST_MEDIAN = {"fp32": 0.9999999, "fp16": 0.9999, "int8-dynamic": 0.98}
OF_CLIPPED = 0.9


@pytest.fixture(scope="module")
def inputs(shared_data):
    """Nine real X-rays, three of each class."""
    dataset = read_dataset(shared_data / "cxr3")
    return np.stack(
        [read_input(one, STUDY) for one in balanced_sample(dataset.split("test"), count=9, seed=0)]
    )


@pytest.fixture(scope="module")
def expected(tiny_keras, inputs):
    return tape_maps(tiny_keras, inputs)


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_maps_of_automatic_differentiation(tiny_exports, inputs, expected, name):
    recipe = name.removeprefix(f"{METHOD}-").rpartition(".")[0]
    for runtime, given in file_maps(find_model(tiny_exports[0] / name), inputs):
        parity = compare_maps(given, expected)
        assert parity.empty.shape == (9, len(CLASS_NAMES))
        assert not parity.empty.all()
        if recipe == "fp32":
            assert np.nanmax(parity.errors) < 1e-4, runtime
        assert np.nanmedian(parity.correlations) > LEAST_MEDIAN.get(recipe, OF_CLIPPED), runtime


def test_what_ships_gives_the_maps_of_its_keras_model(data_of):
    """The Keras model's own answers are beside the files; see the test above for what they stand for."""
    from xray_infer.model.choice import list_shipped

    shipped = list_shipped()
    files = [str(one.model.path) for one in shipped]
    assert len(files) == 4
    (data,) = {data_of(one.manifest) for one in shipped}
    result = CliRunner().invoke(main, [*files, "--data", str(data), "--images", "9"])
    assert result.exit_code == 0, result.stderr
    rows = [line.split(" | ") for line in result.stdout.splitlines() if line.count(" | ") == 7][1:]
    assert len(rows) >= 6  # every file in every runtime that reads it
    for row in rows:
        images, median = row[2], float(row[5].split()[0])
        assert images == "9"
        assert median > 0.98, row


def test_the_command_compares_with_the_tape_too(tiny_exports, tiny_keras):
    file = tiny_exports[0] / f"{METHOD}-fp32.onnx"
    data = tiny_keras.parent / "data"
    result = CliRunner().invoke(main, [str(file), "--data", str(data), "--keras", str(tiny_keras)])
    assert result.exit_code == 0, result.stderr
    row = next(line for line in result.stdout.splitlines() if line.startswith(f"| {file.name}"))
    assert float(row.split(" | ")[4]) < 1e-4
    assert "Research use only" in result.stdout


def test_data_of_another_model_is_one_line(tiny_exports, split_tree):
    file = tiny_exports[0] / f"{METHOD}-fp32.onnx"
    result = CliRunner().invoke(main, [str(file), "--data", str(split_tree)])
    assert result.exit_code == 2
    assert SAYS["none-of-the-images"] in result.stderr
    assert len(result.stderr.splitlines()) == 1


def _maps(*planes):
    return np.stack([np.stack([np.asarray(plane, np.float32)] * 3, axis=-1) for plane in planes])


def test_figures_of_known_maps():
    ramp, turned = [[0, 1], [2, 4]], [[4, 2], [1, 0]]
    parity = compare_maps(_maps([[0, 2], [4, 8]], turned), _maps(ramp, ramp))
    assert parity.errors[:, 0] == pytest.approx([0, 1])  # only the shape counts, not the scale
    assert parity.correlations[0, 0] == pytest.approx(1)
    assert parity.correlations[1, 0] == pytest.approx(np.corrcoef([0, 1, 2, 4], [4, 2, 1, 0])[0, 1])
    assert parity.hottest[:, 0].tolist() == [1, 0]
    assert parity.low() == [(1, 0), (1, 1), (1, 2)]


def test_empty_maps_count_in_nothing_and_lost_ones_do():
    expected = _maps([[0, 1], [2, 4]])
    expected[..., 1] = 0
    expected[..., 2] *= 1e-4
    given = expected.copy()
    given[..., 0] = 0  # all heat is lost
    parity = compare_maps(given, expected)
    assert parity.empty.tolist() == [[False, True, True]]
    assert parity.errors[0, 0] == 1
    assert parity.correlations[0, 0] == 0
    assert np.isnan(parity.correlations[0, 1:]).all()
    assert parity.low() == [(0, 0)]


def test_low_maps_are_named_and_no_table_is_made_of_none():
    from benchmarks.studies.map_parity import Compared

    same, other = _maps([[0, 1], [2, 4]]), _maps([[4, 2], [1, 0]])
    assert low_table([Compared("f", "r", ["a.png"], CLASS_NAMES, compare_maps(same, same))]) == ""
    table = low_table([Compared("f.onnx", "r", ["a.png"], CLASS_NAMES, compare_maps(other, same))])
    assert "| f.onnx | r | a.png | covid | -0" in table

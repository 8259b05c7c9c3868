"""The measures of xray-bench explain against hand-computed cases."""

import numpy as np
import pytest
from patch_model import PATCH, PatchModel
from specimens import png

pytest.importorskip("onnx")

import onnx

from xray_infer.benchmarks.explain.curves import (
    ALL_STEPS,
    METRICS,
    NOISE,
    Curve,
    Metric,
    Steps,
    area,
    faithfulness,
    impute,
    probability,
    rank,
    removal_curves,
    removed_pixels,
    solve,
)
from xray_infer.benchmarks.explain.explain_figures import Mean, mean_of
from xray_infer.benchmarks.explain.explain_tables import BETTER, SAME, WORSE, verdict
from xray_infer.benchmarks.explain.sanity import (
    PARTS,
    SIMILARITIES,
    compare,
    pearson,
    shuffled,
    spearman,
    ssim,
)
from xray_infer.benchmarks.explain.simple_maps import (
    border_ring,
    centre_blob,
    lung_mask,
    random_map,
    share_inside,
)
from xray_infer.errors import DataError
from xray_infer.images.preprocess import Area
from xray_infer.model.choice import shipped_model
from xray_infer.model.embedding import READERS
from xray_infer.model.runtimes import find_model


def _direct(values, removed):
    """ROAD's equations, one after the other, solved as a dense system."""
    height, width = values.shape
    numbers = {tuple(place): number for number, place in enumerate(np.argwhere(removed))}
    matrix, right = np.eye(len(numbers)), np.zeros(len(numbers))
    for (row, column), number in numbers.items():
        near = [
            ((row + down, column + across), 1 / 6 if 0 in (down, across) else 1 / 12)
            for down in (-1, 0, 1)
            for across in (-1, 0, 1)
            if (down or across) and 0 <= row + down < height and 0 <= column + across < width
        ]
        total = sum(weight for _, weight in near)
        for place, weight in near:
            if place in numbers:
                matrix[number, numbers[place]] -= weight / total
            else:
                right[number] += weight / total * values[place]
    solved = values.copy()
    solved[removed] = np.linalg.solve(matrix, right)
    return solved


@pytest.mark.parametrize("shape", [(12, 10), (32, 32), (17, 24)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_imputation_equals_a_direct_solution(shape, share):
    rng = np.random.default_rng(3)
    values = rng.integers(0, 256, shape).astype(np.float32)
    removed = rng.random(shape) < share
    removed[4:8, 3:9] = True  # a hole, too
    found = solve(values, removed)
    assert found == pytest.approx(_direct(values.astype(np.float64), removed), abs=0.05)
    assert np.array_equal(found[~removed], values[~removed])


def test_imputed_pixels_carry_seeded_noise_and_the_others_stay():
    image = np.full((64, 64), 100, np.uint8)
    removed = np.zeros((64, 64), bool)
    removed[8:56, 8:56] = True
    first, again, other = (impute(image, removed, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (first[~removed] == 100).all()
    assert first[removed].mean() == pytest.approx(100, abs=0.5)
    assert first[removed].std() == pytest.approx(NOISE, abs=0.3)
    nothing = impute(image, np.zeros((64, 64), bool), np.random.default_rng(0))
    assert np.array_equal(nothing, image)


def test_squares_go_in_the_order_of_the_heat():
    heat = np.zeros((28, 28), np.float32)
    heat[3, 4], heat[20, 5] = 2, 1
    order = rank(heat, np.random.default_rng(0), side=224)
    assert order[:2].tolist() == [3 * 28 + 4, 20 * 28 + 5]
    assert sorted(order) == list(range(784))
    removed = removed_pixels(order, 2 / 784)
    assert removed.sum() == 2 * 64
    assert removed[24:32, 32:40].all()
    assert removed[160:168, 40:48].all()
    assert removed_pixels(order, 0.25).mean() == pytest.approx(0.25)


def test_equal_heat_is_ordered_by_smooth_noise():
    flat = np.zeros((7, 7), np.float32)
    first, again, other = (rank(flat, np.random.default_rng(seed), side=224) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    removed = removed_pixels(first, 0.2)
    edges = np.abs(np.diff(removed.astype(int))).sum() / removed.sum()
    salt = removed_pixels(np.random.default_rng(0).permutation(784), 0.2)
    assert edges < 0.6 * np.abs(np.diff(salt.astype(int))).sum() / salt.sum()


def test_the_area_under_known_curves():
    steps = Steps("gray", "morf")
    assert area(steps, [0.4] * len(steps.shares), whole=0.4, empty=0.4) == pytest.approx(0.4)
    falling = [1 - share for share in steps.shares]
    assert area(steps, falling, whole=1, empty=0) == pytest.approx(0.5)
    # A step at the first point: half a trapezoid of 0.05 is all that is left.
    assert area(steps, [0] * len(steps.shares), whole=1, empty=0) == pytest.approx(0.025)
    for one in ALL_STEPS:
        assert list(one.shares) == sorted(one.shares)
        assert 0 < one.shares[0] < one.shares[-1] < 1


def test_figures_of_known_curves():
    low, high = (Curve((value,) * 10, (True,) * 10) for value in (-20.0, 20.0))
    curves = {fill: {"morf": low, "lerf": high} for fill in ("gray", "blur", "road")}
    found = faithfulness(curves, whole=20.0, empty={"gray": -20.0, "blur": 0.0})
    assert set(found) == set(METRICS)
    assert found["deletion gray"] == pytest.approx(0.025, abs=1e-6)
    assert found["deletion blur"] == pytest.approx(0.025 + 0.1 * 0.25, abs=1e-6)
    assert found["insertion gray"] == pytest.approx(1 - 0.025, abs=1e-6)
    assert found["ROAD morf"] == pytest.approx(0, abs=1e-6)
    assert found["ROAD lerf"] == pytest.approx(1, abs=1e-6)
    assert probability([0.0, np.log(3)]) == pytest.approx([0.5, 0.75])


def test_a_perfect_map_beats_a_random_one_and_a_wrong_one_loses():
    image = np.full((224, 224), 32, np.uint8)
    image[PATCH] = 96
    perfect = np.zeros((14, 14), np.float32)
    perfect[6:8, 10:12] = 1
    rng = np.random.default_rng(0)
    maps = {"perfect": perfect, "random": random_map(rng), "wrong": 1 - perfect, "blob": centre_blob()}
    found = {}
    for name, heat in maps.items():
        curves = removal_curves(PatchModel(), image, heat, 0, rng=np.random.default_rng(1))
        again = removal_curves(PatchModel(), image, heat, 0, rng=np.random.default_rng(1))
        assert curves == again
        found[name] = faithfulness(curves, whole=4.7, empty={"gray": 0.8, "blur": 1.5})
    for key, metric in METRICS.items():
        sign = 1 if metric.higher_is_better else -1
        assert sign * found["perfect"][key] >= max(sign * one[key] for one in found.values()), key
        assert sign * found["perfect"][key] > sign * found["random"][key], key
        assert sign * found["wrong"][key] <= sign * found["blob"][key], key


def test_similarities_of_known_maps():
    rng = np.random.default_rng(0)
    first, second = (rng.random((14, 14), dtype=np.float32) for _ in range(2))
    first[:4] = 0  # many equal values
    stats = pytest.importorskip("scipy.stats")
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first.ravel(), second.ravel())[0])
    assert pearson(first, second) == pytest.approx(np.corrcoef(first.ravel(), second.ravel())[0, 1])
    assert spearman(first, np.exp(3 * first)) == pytest.approx(1)  # ranks alone count
    assert spearman(first, np.zeros_like(first)) == 0
    assert ssim(first, 5 * first) == pytest.approx(1)
    assert abs(ssim(first, second)) < 0.3
    assert compare(first, first) == dict.fromkeys(SIMILARITIES, 1.0)
    assert compare(random_map(rng), centre_blob()).keys() == SIMILARITIES.keys()


def test_where_the_heat_is(tmp_path):
    ring = border_ring(224)
    assert share_inside(np.ones((7, 7), np.float32), ring) == pytest.approx(1 - (160 / 224) ** 2)
    assert share_inside(centre_blob(), ring) < 0.25
    assert share_inside(np.zeros((7, 7), np.float32), ring) is None
    half = np.zeros((100, 80), np.uint8)
    half[:, :40] = 255
    (tmp_path / "a.png").write_bytes(png(half))
    mask = lung_mask(tmp_path, "a.jpg", 224)
    assert mask.mean() == pytest.approx(0.5)
    part = lung_mask(tmp_path, "a.jpg", 96, Area(left=0.25, top=0.5, right=0.75))
    assert (part.shape, part.mean()) == ((96, 96), 0.5)
    assert lung_mask(tmp_path, "a.jpg", 96, Area(right=0.5)).all()
    left = np.zeros((14, 14), np.float32)
    left[:, 2] = 1
    assert share_inside(left, mask) == pytest.approx(1)
    (tmp_path / "b.png").write_bytes(png(np.zeros((9, 9), np.uint8)))
    for name, message in (("b.jpg", "the lung mask is empty"), ("c.jpg", "no lung mask that can be read")):
        with pytest.raises(DataError, match=message):
            lung_mask(tmp_path, name, 224)


def test_means_resample_groups_and_leave_out_what_is_not_known():
    found = mean_of(np.array([0.25] * 8), [""] * 8)
    assert (found.value, found.low, found.high) == (0.25, 0.25, 0.25)
    values = np.array([0.0] * 10 + [1.0] * 10 + [np.nan])
    alone = mean_of(values, [""] * 21)
    grouped = mean_of(values, ["a"] * 5 + ["b"] * 5 + ["c"] * 5 + ["d"] * 5 + ["e"])
    assert alone.value == grouped.value == 0.5
    assert 0.2 < alone.low < 0.4 < 0.6 < alone.high < 0.8
    assert (grouped.low, grouped.high) == (0, 1)  # four groups: all of one kind is one resample in sixteen
    nothing = mean_of(np.array([np.nan]), ["a"])
    assert np.isnan(nothing.value)


@pytest.mark.parametrize(
    ("difference", "higher", "expected"),
    [
        (Mean(0.1, 0.01, 0.2), True, BETTER),
        (Mean(0.1, 0.01, 0.2), False, WORSE),
        (Mean(-0.1, -0.2, -0.01), False, BETTER),
        (Mean(-0.1, -0.2, 0.01), False, SAME),
        (Mean(0.0, 0.0, 0.0), True, SAME),
    ],
)
def test_a_verdict_needs_an_interval_without_zero(difference, higher, expected):
    assert verdict(difference, Metric("any", higher)) == expected


@pytest.mark.parametrize("model_format", ["onnx", "tflite"])
def test_shuffling_moves_the_kernels_of_its_part_and_nothing_else(model_format, tmp_path):
    model = shipped_model(model_format)
    if model_format == "tflite":
        pytest.importorskip("ai_edge_litert")
    read = {"onnx": _onnx_constants, "tflite": _tflite_constants}[model_format]
    shape = READERS[model_format](model.path).input_shape
    before, changed = read(model.path.read_bytes()), {}
    for part in PARTS:
        edited = shuffled(model, part, seed=0)
        assert edited == shuffled(model, part, seed=0)
        assert edited != shuffled(model, part, seed=1)
        after = read(edited)
        assert after.keys() == before.keys()
        changed[part] = {name for name in before if not np.array_equal(before[name], after[name])}
        for name in changed[part]:
            assert np.array_equal(np.sort(before[name].ravel()), np.sort(after[name].ravel()))
        path = tmp_path / f"{part}.{model_format}"
        path.write_bytes(edited)
        rng = np.random.default_rng(0)
        image = rng.integers(0, 256, (1, *shape), dtype=np.uint8)
        old, new = (find_model(one).open().run(image).cam for one in (model.path, path))
        assert np.corrcoef(old.ravel(), new.ravel())[0, 1] < 0.9
    assert len(changed["head"]) == 1
    assert len(changed["backbone"]) == 120  # DenseNet121's convolutions
    assert not changed["head"] & changed["backbone"]


def _onnx_constants(graph):
    model = onnx.load_from_string(graph)
    return {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}


def _tflite_constants(graph):
    from ai_edge_litert import schema_py_generated as schema

    from xray_infer.export.score_tflite import TYPES
    from xray_infer.train.adapt.tflite_packing import unpack

    types = {**{kind: name for name, kind in TYPES.items()}, schema.TensorType.INT8: np.int8}
    model = unpack(graph)
    return {
        tensor.name.decode(): np.asarray(model.buffers[tensor.buffer].data).view(types[tensor.type])
        for tensor in model.subgraphs[0].tensors
        if model.buffers[tensor.buffer].data is not None
    }

"""The network as data: what the rewriting keeps, what int8 is prepared with, and what is refused."""

import dataclasses

import numpy as np
import pytest
from approved import approved

pytest.importorskip("tensorflow")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")
pytest.importorskip("ai_edge_quantizer")

import keras
import onnx
import onnxruntime
from tiny_densenet import network as build

from xray_infer.errors import ModelError
from xray_infer.export.calibration import draw
from xray_infer.export.densenet import WHITE
from xray_infer.export.edge_graph import take_apart
from xray_infer.export.int8_network import flat, for_int8, round_together, round_weights
from xray_infer.export.quantize_onnx import OnnxQuantizer
from xray_infer.export.ranges import UNIT, LayerRanges, collect_ranges, collect_statistics, outputs_of
from xray_infer.export.to_onnx import to_onnx
from xray_infer.study.datasets import read_dataset

SAYS = approved("xray-export")

pytestmark = pytest.mark.tensorflow


def _run(model, images, names=None):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(names, {"image": np.stack(images)})


@pytest.fixture(scope="module")
def images(tiny_keras):
    return list(draw(read_dataset(tiny_keras.parent / "data"), "train", count=12, seed=0))


@pytest.fixture(scope="module")
def statistics(tiny_graph, images):
    return collect_statistics(tiny_graph.network, images)


def test_the_border_is_padded_after_the_normalisation(tiny_graph):
    """The stem's answers at the border are where one plane of gray alone goes wrong."""
    classifier, network = tiny_graph.classifier, tiny_graph.network
    stem = next(layer for layer in classifier.layers if isinstance(layer, keras.layers.Activation))
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 1), np.uint8)
    expected = np.asarray(keras.Model(classifier.input, stem.output)(image[None], training=False))[0]
    model = to_onnx(network)
    name = outputs_of(model, network)[0]
    model.graph.output.append(onnx.ValueInfoProto(name=name))
    (given,) = _run(model, [image], [name])
    np.testing.assert_allclose(given[0].transpose(1, 2, 0), expected, atol=1e-4)
    without = dataclasses.replace(network.stem, kernel=network.stem.kernel * [[[[1.0], [0.0]]]])
    broken = to_onnx(dataclasses.replace(network, stem=without))
    broken.graph.output.append(onnx.ValueInfoProto(name=name))
    (wrong,) = _run(broken, [image], [name])
    assert np.abs(wrong - given).max() > 0.01


def test_statistics_are_of_what_the_convolutions_give_out(tiny_graph, images, statistics):
    network = tiny_graph.network
    model = to_onnx(network)
    names = outputs_of(model, network)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    values = _run(model, images, names)
    # The middle of a window of 7 x 7 moves over every fourth pixel.
    middle, seen = (3 * 7 + 3) * 2, np.stack(images)[:, ::4, ::4].astype(float)
    assert statistics.stem_input.mean[middle] == pytest.approx(seen.mean() - network.centre)
    assert statistics.stem_input.mean[middle + 1] == pytest.approx(WHITE - network.centre)
    assert statistics.stem_input.covariance[middle, middle] == pytest.approx(seen.var())
    gathered = [channels for unit in statistics.outputs for channels in unit]
    for channels, one in zip(gathered, values, strict=True):
        np.testing.assert_allclose(channels.low, one.min((0, 2, 3)), atol=1e-5)
        np.testing.assert_allclose(channels.high, one.max((0, 2, 3)), atol=1e-5)
        np.testing.assert_allclose(channels.mean, one.mean((0, 2, 3)), atol=1e-4)


def test_equalisation_keeps_the_answers_and_gives_every_channel_one_range(tiny_graph, images, statistics):
    network = tiny_graph.network
    exact = for_int8(network, statistics).exact
    model = to_onnx(exact)
    for given, expected in zip(_run(model, images), _run(to_onnx(network), images), strict=True):
        np.testing.assert_allclose(given, expected, atol=1e-4)
    joined = [node.output[0] for node in model.graph.node if node.op_type == "Concat"]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in joined)
    for values in _run(model, images, joined):
        low, high = values.min((0, 2, 3)), values.max((0, 2, 3))
        np.testing.assert_allclose(high, 1, atol=1e-4)
        assert (low > -1e-4).all()


def test_channels_within_a_layer_are_evened_out(tiny_graph, images, statistics):
    """By three quarters of their differences: the spread of the logarithms falls to a quarter."""
    exact = for_int8(tiny_graph.network, statistics).exact
    after = collect_statistics(exact, images)
    units = tiny_graph.network.units()[1:]
    for unit, before, its in zip(units, statistics.outputs[1:], after.outputs[1:], strict=True):
        for place in (0,) if unit[1].depthwise else (0, 1):  # an average takes over its input's channels
            channels, balanced = before[place], its[place]
            alive = channels.high > 0.01 * channels.high.max()
            spread, left = (np.log(one.high[alive]).std() for one in (channels, balanced))
            assert left == pytest.approx(spread / 4, rel=0.02)


def test_correction_leaves_no_mean_error(tiny_graph, statistics):
    pair = for_int8(tiny_graph.network, statistics)
    for exact, corrected in zip(flat(pair.exact), flat(pair.corrected), strict=True):
        # What is depthwise is rounded without error.
        assert np.array_equal(exact.bias, corrected.bias) == exact.depthwise
    stem, corrected = pair.exact.stem, pair.corrected.stem
    rounded, scale = round_weights(corrected.kernel)
    mean = statistics.stem_input.mean.reshape(stem.kernel.shape[:3])
    exact = np.einsum("hwio,hwi->o", stem.kernel, mean) + stem.bias
    np.testing.assert_allclose(np.einsum("hwio,hwi->o", rounded * scale, mean) + corrected.bias, exact)


def test_the_stem_is_rounded_for_pixels_that_lie_together(tiny_graph, statistics):
    """The integers survive the equalisation, and the pixels' error is a fraction of that of the nearest."""
    pair = for_int8(tiny_graph.network, statistics)
    rounded, scale = round_weights(pair.corrected.stem.kernel)
    np.testing.assert_allclose(rounded * scale, pair.corrected.stem.kernel, rtol=1e-12)
    nearest, its_scale = round_weights(pair.exact.stem.kernel)
    np.testing.assert_allclose(scale, its_scale)

    def error(integers):
        missing = (pair.exact.stem.kernel - integers * scale).reshape(-1, len(scale))
        return np.einsum("io,ij,jo->o", missing, statistics.stem_input.covariance, missing)

    assert (error(rounded) <= error(nearest)).all()
    assert error(rounded).sum() < error(nearest).sum() / 2


def test_weights_on_what_never_varies_go_to_the_nearest_integer(tiny_graph):
    kernel = tiny_graph.network.stem.kernel
    size = int(np.prod(kernel.shape[:3]))
    rounded, scale = round_weights(kernel)
    np.testing.assert_allclose(round_together(kernel, np.zeros((size, size))), rounded * scale)


def test_what_stays_in_float_keeps_its_bias(tiny_graph, statistics):
    pair = for_int8(tiny_graph.network, statistics)
    units = pair.mixed((0, 2)).units()
    for number, (unit, exact, corrected) in enumerate(
        zip(units, pair.exact.units(), pair.corrected.units(), strict=True)
    ):
        assert unit == (exact if number in (0, 2) else corrected)


@pytest.mark.parametrize("in_float", [(), (0,), (0, 1, 2, 3, 4, 5, 6)], ids=["none", "stem", "all"])
def test_fewer_integers_are_closer(tiny_graph, images, statistics, in_float):
    network = tiny_graph.network
    prepared = for_int8(network, statistics)
    ranges = collect_ranges(prepared.exact, images, "minmax")
    quantized = OnnxQuantizer(prepared).quantize(ranges, in_float=in_float)
    given, *_ = _run(onnx.load_from_string(quantized), images)
    expected, *_ = _run(to_onnx(network), images)
    limit = {0: 0.05, 1: 0.05, 7: 0.02}[len(in_float)]
    assert np.abs(given - expected).max() < limit


def test_dead_channels_do_not_overflow(tiny_graph, images):
    """A channel that never varies has a scale near zero and a bias that int32 could not hold in its steps."""
    network = tiny_graph.network
    units = [list(unit) for unit in network.units()]
    growth = units[1][2]
    kernel = growth.kernel.copy()
    kernel[..., 0] = 0
    units[1][2] = dataclasses.replace(growth, kernel=kernel)
    norm = units[1][0]
    scale = norm.kernel.copy()
    scale[..., 1] = 1e-12
    units[1][0] = dataclasses.replace(norm, kernel=scale, bias=norm.bias + 0.5)
    dead = network.with_units(tuple(unit) for unit in units)
    prepared = for_int8(dead, collect_statistics(dead, images))
    quantized = OnnxQuantizer(prepared).quantize(
        collect_ranges(prepared.exact, images, "minmax"), in_float=()
    )
    given, *_ = _run(onnx.load_from_string(quantized), images)
    expected, *_ = _run(to_onnx(dead), images)
    assert np.abs(given - expected).max() < 0.05


def _changed(change):
    """Return the tiny network with one layer made anew, by its configuration."""

    def clone(layer):
        return change(layer) or layer.__class__.from_config(layer.get_config())

    return keras.models.clone_model(build(), clone_function=clone)


def _other_padding(layer):
    if isinstance(layer, keras.layers.ZeroPadding2D):
        return keras.layers.ZeroPadding2D(
            ((3, 2), (3, 2)) if layer.padding[0] == (3, 3) else ((1, 1), (0, 1))
        )
    return None


def _leaky(layer):
    return keras.layers.Activation("gelu") if isinstance(layer, keras.layers.Activation) else None


def _without_gamma(layer):
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    return keras.layers.BatchNormalization(scale=False) if is_norm else None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_other_padding, "pads its sides differently"),
        (_leaky, "is not a ReLU"),
        (_without_gamma, "has no gamma"),
    ],
)
def test_other_networks_are_refused_by_name(tmp_path, change, reason):
    with pytest.raises(ModelError, match=SAYS["x-keras-not-a"].format(reason=reason)):
        take_apart(_changed(change), path=tmp_path / "x.keras")


def test_ranges_of_no_values_do_not_divide_by_zero(tiny_graph, images, statistics):
    ranges = LayerRanges("minmax", (UNIT, (0.0, 0.0), (0.0, 0.0), *[UNIT] * 16))
    quantized = OnnxQuantizer(for_int8(tiny_graph.network, statistics)).quantize(ranges, in_float=())
    probabilities, *_ = _run(onnx.load_from_string(quantized), images)
    assert np.isfinite(probabilities).all()

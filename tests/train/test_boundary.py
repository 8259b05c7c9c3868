"""The cut at the freeze boundary, and the runtimes that compute what lies below it."""

from types import SimpleNamespace

import numpy as np
import pytest

from xray_infer.errors import MissingExtraError
from xray_infer.model.runtime_table import RUNTIMES

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.tensorflow

SIDE = 64  # where the boundary lies is a matter of layers, not of pixels


@pytest.fixture(scope="module")
def classifier():
    from xray_infer.train.network import build_classifier

    model = build_classifier("none", classes=3, seed=0, augmentation="strong", side=SIDE)
    rng = np.random.default_rng(0)
    for layer in model.layers:  # as after training: no statistic at its initial value
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([w + rng.uniform(0, 0.2, w.shape) for w in layer.get_weights()])
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 1)).astype(np.uint8)


@pytest.mark.parametrize(
    ("unfrozen", "boundary"),
    [(0, "pooled"), (100, "conv5_block2_concat"), (285, "pool3_pool"), (426, "zero_padding2d")],
)
def test_the_parts_are_the_whole(classifier, images, unfrozen, boundary):
    from xray_infer.train.fixed_part.boundary import divide
    from xray_infer.train.network import freeze

    freeze(classifier, unfrozen=unfrozen)
    parts = divide(classifier)
    assert parts.boundary.startswith(boundary)  # Keras numbers the padding layers of a process
    normalised = parts.views(images, training=False)
    together = parts.top(parts.trunk(normalised, training=False), training=False)
    assert np.asarray(together) == pytest.approx(np.asarray(classifier(images, training=False)), abs=1e-6)
    # All that trains is above the cut, and it is the classifier's own.
    above = {id(weight) for weight in parts.top.trainable_weights}
    assert above == {id(weight) for weight in classifier.trainable_weights}
    assert not [layer.name for layer in parts.trunk.layers if layer.trainable_weights]


def test_openvino_computes_what_keras_computes(classifier, images):
    if not RUNTIMES["openvino"].installed():
        pytest.skip("the extra [openvino] is not installed")
    from xray_infer.train.fixed_part.boundary import divide
    from xray_infer.train.fixed_part.runners import KerasRunner, OpenVinoRunner
    from xray_infer.train.network import freeze

    normalised = np.random.default_rng(2).normal(size=(19, SIDE, SIDE, 3)).astype(np.float32)
    for unfrozen in (0, 100):
        freeze(classifier, unfrozen=unfrozen)
        trunk = divide(classifier).trunk
        expected = KerasRunner(trunk)(normalised)
        exact, fast = (OpenVinoRunner(trunk, fast=fast) for fast in (False, True))
        assert (exact.name, fast.name[:9]) == ("openvino fp32", "openvino ")
        scale = float(np.abs(expected).max())
        assert exact(normalised) == pytest.approx(expected, abs=1e-4 * scale)
        assert fast(normalised) == pytest.approx(expected, abs=5e-2 * scale)
        assert np.corrcoef(fast(normalised).ravel(), expected.ravel())[0, 1] > 0.999


@pytest.mark.parametrize(
    ("capabilities", "expected"), [(["FP32", "BF16"], True), (["FP32", "INT8"], False), (None, False)]
)
def test_bfloat16_is_what_openvino_says_of_the_processor(monkeypatch, capabilities, expected):
    from xray_infer.train.fixed_part import runners

    def core():
        if capabilities is None:
            raise MissingExtraError("this", "openvino")
        return SimpleNamespace(get_property=lambda *names: capabilities)

    monkeypatch.setattr(runners, "openvino_core", core)
    monkeypatch.setattr(runners, "_has_gpu", lambda: False)
    assert runners.computes_in_bfloat16() is expected


def test_views_of_a_chunk_are_the_same_each_time_and_differ_from_view_to_view(classifier, images):
    from xray_infer.train.fixed_part.boundary import divide
    from xray_infer.train.fixed_part.stores import image_features
    from xray_infer.train.network import freeze

    class Same:
        name = "same"

        def __call__(self, inputs):
            return inputs

    freeze(classifier, unfrozen=0)
    parts = divide(classifier)
    compute = image_features(images, parts.views, (Same(), Same()), seed=5)
    rows = slice(0, 3)
    plain, first, again, second = (compute(view)(0, rows) for view in (0, 1, 1, 2))
    assert np.array_equal(plain, np.asarray(parts.views(images, training=False)))
    assert np.array_equal(first, again)
    assert np.abs(first - plain).max() > 0.5
    assert np.abs(first - second).max() > 0.5
    assert np.abs(first - compute(1)(1, rows)).max() > 0.5  # another chunk


def test_a_standardised_head_is_folded_exactly(classifier):
    from xray_infer.train.stages import copy_weights, standardised_head

    rng = np.random.default_rng(3)
    features = (rng.normal(size=(50, 1024)) * rng.uniform(0.01, 3, 1024) + 1).astype(np.float32)
    head = standardised_head(features, classifier, l2=0.01)
    before = np.asarray(head(features))
    copy_weights(head, classifier)
    kernel, bias = classifier.get_layer("probabilities").get_weights()
    logits = features.astype(float) @ kernel + bias
    folded = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert folded / folded.sum(axis=1, keepdims=True) == pytest.approx(before, abs=1e-4)


def test_a_bfloat16_copy_keeps_its_weights_and_head_in_float32(classifier):
    from xray_infer.train.fixed_part.boundary import divide
    from xray_infer.train.network import freeze
    from xray_infer.train.stages import _in_bfloat16, copy_weights

    freeze(classifier, unfrozen=60)
    top = divide(classifier).top
    copy = _in_bfloat16(top)
    features = np.random.default_rng(4).normal(size=(2, *top.input.shape[1:])).astype(np.float32)
    assert np.asarray(copy(features)) == pytest.approx(np.asarray(top(features)), abs=0.05)
    assert {weight.dtype for weight in copy.weights} == {"float32"}
    assert copy.output.dtype == "float32"
    assert [weight.path for weight in copy.trainable_weights] == [
        weight.path for weight in top.trainable_weights
    ]
    copy.set_weights([weight + 1 for weight in copy.get_weights()])
    copy_weights(copy, classifier)
    for layer in copy.layers:
        mine, theirs = (
            layer.get_weights(),
            classifier.get_layer(layer.name).get_weights() if layer.weights else [],
        )
        assert all(map(np.array_equal, mine, theirs))

"""Classification metrics against figures worked out by hand."""

import numpy as np
import pytest

from xray_infer.train.metrics import measure, wilson_interval


def test_metrics_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 2, 2])
    metrics = measure(labels, np.eye(3)[predicted])
    assert metrics.confusion == ((2, 1, 0), (0, 1, 1), (0, 0, 1))
    assert metrics.hits == 4
    assert metrics.accuracy == pytest.approx(4 / 6)
    covid, pneumonia, normal = (metrics.classes[name] for name in ("covid", "pneumonia", "normal"))
    assert (covid.precision, covid.recall, covid.f1) == pytest.approx((1, 2 / 3, 0.8))
    assert (pneumonia.precision, pneumonia.recall, pneumonia.f1) == pytest.approx((0.5, 0.5, 0.5))
    assert (normal.precision, normal.recall, normal.f1) == pytest.approx((0.5, 1, 2 / 3))
    assert metrics.macro_f1 == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    assert [one.support for one in (covid, pneumonia, normal)] == [3, 2, 1]


def test_a_class_that_is_never_predicted_counts_as_zero():
    metrics = measure(np.array([0, 1]), np.eye(3)[[0, 0]])
    assert metrics.classes["pneumonia"].f1 == 0
    assert metrics.classes["normal"].precision == 0


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_wilson_interval(hits, trials, low, high):
    """81 of 263 is the worked example of Newcombe 1998, table I, method 3."""
    assert wilson_interval(hits, trials) == pytest.approx((low, high), abs=5e-5)

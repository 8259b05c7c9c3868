"""Classification metrics against figures worked out by hand, and against what they are equal to."""

import numpy as np
import pytest

from xray_infer.classes import CLASS_NAMES
from xray_infer.study.intervals import wilson_interval
from xray_infer.study.metrics import (
    auroc,
    brier_score,
    calibration,
    expected_calibration_error,
    mcnemar,
    measure,
    negative_log_likelihood,
    reliability_bins,
    roc_curve,
    softmax,
)

LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 2, 2])


def test_metrics_by_hand():
    metrics = measure(LABELS, np.eye(3)[PREDICTED], CLASS_NAMES)
    assert metrics.confusion == ((2, 1, 0), (0, 1, 1), (0, 0, 1))
    assert metrics.hits == 4
    assert metrics.accuracy == pytest.approx(4 / 6)
    covid, pneumonia, normal = (metrics.classes[name] for name in ("covid", "pneumonia", "normal"))
    assert (covid.precision, covid.recall, covid.f1) == pytest.approx((1, 2 / 3, 0.8))
    assert (pneumonia.precision, pneumonia.recall, pneumonia.f1) == pytest.approx((0.5, 0.5, 0.5))
    assert (normal.precision, normal.recall, normal.f1) == pytest.approx((0.5, 1, 2 / 3))
    assert [one.specificity for one in (covid, pneumonia, normal)] == pytest.approx([1, 3 / 4, 4 / 5])
    assert metrics.macro_f1 == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    assert metrics.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert [one.support for one in (covid, pneumonia, normal)] == [3, 2, 1]


def test_intervals_of_a_class_are_those_of_its_counts():
    metrics = measure(LABELS, np.eye(3)[PREDICTED], CLASS_NAMES)
    assert metrics.accuracy_interval == wilson_interval(4, 6)
    normal = metrics.classes["normal"]
    assert normal.precision_interval == wilson_interval(1, 2)
    assert normal.recall_interval == wilson_interval(1, 1)
    assert normal.specificity_interval == wilson_interval(4, 5)


def test_a_class_that_is_never_predicted_counts_as_zero():
    metrics = measure(np.array([0, 1]), np.eye(3)[[0, 0]], CLASS_NAMES)
    assert metrics.classes["pneumonia"].f1 == 0
    assert metrics.classes["normal"].precision == 0
    assert metrics.balanced_accuracy == 0.5  # of the two classes that have images
    assert metrics.classes["normal"].auroc is None


@pytest.mark.parametrize("levels", [4, 1000])
def test_auroc_is_mann_and_whitneys_u(levels):
    """Few levels make many ties, each of which counts half."""
    rng = np.random.default_rng(levels)
    positive = rng.random(80) < 0.3
    scores = np.round((rng.random(80) + 0.3 * positive) * levels) / levels
    pairs = scores[positive][:, None] - scores[~positive][None, :]
    wins = (pairs > 0).sum() + (pairs == 0).sum() / 2
    assert auroc(positive, scores) == pytest.approx(wins / pairs.size)
    assert auroc(positive, -scores) == pytest.approx(1 - wins / pairs.size)


def test_roc_curve_by_hand():
    """Scores 0.9 (+), 0.5 (+ and -), 0.1 (-): the tie is one slanted step."""
    positive = np.array([False, True, True, False])
    false_rate, true_rate = roc_curve(positive, np.array([0.5, 0.9, 0.5, 0.1]))
    assert false_rate.tolist() == [0, 0, 0.5, 1]
    assert true_rate.tolist() == [0, 0.5, 1, 1]


@pytest.mark.parametrize("positive", [[True, True], [False, False]])
def test_roc_is_undefined_for_one_class_only(positive):
    assert roc_curve(np.array(positive), np.array([0.2, 0.8])) is None
    assert auroc(np.array(positive), np.array([0.2, 0.8])) is None


def test_softmax():
    assert softmax(np.log([[1.0, 2.0, 5.0]]))[0] == pytest.approx([1 / 8, 2 / 8, 5 / 8])
    assert softmax(np.log([[1.0, 4.0, 25.0]]), 2.0)[0] == pytest.approx([1 / 8, 2 / 8, 5 / 8])
    assert softmax(np.array([[1e4, 0.0, -1e4]]))[0].tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="above 0"):
        softmax(np.zeros((1, 3)), 0.0)


def test_negative_log_likelihood_by_hand_and_where_a_probability_underflows():
    logits = np.log([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]])
    expected = -(np.log(0.7) + np.log(0.25)) / 2
    assert negative_log_likelihood(np.array([0, 2]), logits) == pytest.approx(expected)
    assert negative_log_likelihood(np.array([1]), np.array([[2000.0, 0.0, 0.0]])) == 2000
    assert negative_log_likelihood(np.array([1]), np.array([[2000.0, 0.0, 0.0]]), 4.0) == 500


def test_brier_score_by_hand():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]])
    assert brier_score(np.array([0, 2]), probabilities) == pytest.approx((0.09 + 0.04 + 0.01) / 2)
    assert brier_score(np.array([0, 0]), probabilities) == pytest.approx((0.14 + 2) / 2)


def test_reliability_bins_by_hand():
    confidence = np.array([0.9, 0.5, 0.7, 0.6, 0.8, 1.0])
    probabilities = np.stack([confidence, 1 - confidence, np.zeros(6)], axis=1)
    labels = np.array([0, 2, 0, 0, 1, 0])
    first, second, third = reliability_bins(labels, probabilities, bins=3)
    assert (first.low, first.high, first.images, first.hits) == (0.5, 0.6, 2, 1)
    assert (second.confidence, second.images, second.hits) == (pytest.approx(0.75), 2, 1)
    assert (third.confidence, third.images, third.hits) == (pytest.approx(0.95), 2, 2)
    gaps = (abs(0.5 - 0.55) + abs(0.5 - 0.75) + abs(1 - 0.95)) / 3
    assert expected_calibration_error((first, second, third)) == pytest.approx(gaps)


def test_equal_probabilities_share_a_bin_so_the_order_of_images_does_not_matter():
    probabilities = np.repeat([[0.6, 0.3, 0.1], [1.0, 0.0, 0.0]], 40, axis=0)
    labels = np.repeat([0, 1, 0], [20, 20, 40])
    bins = reliability_bins(labels, probabilities)
    assert [(one.images, one.hits) for one in bins] == [(40, 20), (40, 40)]
    assert reliability_bins(labels[::-1], probabilities[::-1]) == bins


@pytest.mark.parametrize("images", [1, 7, 15, 337])
def test_bins_hold_every_image_once_in_equal_numbers(images):
    probabilities = softmax(np.random.default_rng(1).normal(size=(images, 3)))
    sizes = [one.images for one in reliability_bins(np.zeros(images, int), probabilities)]
    assert sum(sizes) == images
    assert len(sizes) == min(15, images)
    assert max(sizes) - min(sizes) <= 1


def test_calibration_of_labels_drawn_from_the_probabilities():
    """Labels that follow softmax(logits) are calibrated at temperature 1, overconfident when sharpened."""
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(60_000, 3)) * 2
    labels = (softmax(logits).cumsum(axis=1) < rng.random((60_000, 1))).sum(axis=1)
    true, sharp = calibration(labels, logits), calibration(labels, 3 * logits)
    assert true.expected_calibration_error < 0.01
    assert sharp.expected_calibration_error > 0.1
    cooled = calibration(labels, 3 * logits, 3.0)
    assert cooled.brier_score == pytest.approx(true.brier_score)
    assert cooled.negative_log_likelihood == pytest.approx(true.negative_log_likelihood)
    assert true.brier_score < sharp.brier_score
    assert true.negative_log_likelihood < sharp.negative_log_likelihood


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [(10, 2, 158 / 4096), (2, 10, 158 / 4096), (5, 0, 2 / 32), (3, 3, 1.0), (0, 0, 1.0)],
)
def test_mcnemar_is_the_binomial_test_of_the_discordant_images(only_first, only_second, p_value):
    """10 against 2: 2 (1 + 12 + 66) / 2^12 = 0.0386."""
    first = np.repeat([True, True, False, False], [20, only_first, only_second, 3])
    second = np.repeat([True, False, True, False], [20, only_first, only_second, 3])
    result = mcnemar(first, second)
    assert result.p_value == pytest.approx(p_value)
    assert (result.only_first_right, result.only_second_right) == (only_first, only_second)
    assert (result.both_right, result.both_wrong, result.images) == (20, 3, 23 + only_first + only_second)


def test_mcnemar_of_very_many_images_does_not_overflow():
    first = np.repeat([True, False], [3000, 2800])
    assert mcnemar(first, ~first).p_value == pytest.approx(0.00898, abs=2e-4)  # z = (200 - 1) / sqrt(5800)

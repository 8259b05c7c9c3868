"""Intervals against those of SciPy, worked examples and plain resampling; how they are written."""

import math
import time

import numpy as np
import pytest

from xray_infer.study.intervals import (
    bootstrap_mean,
    group_weights,
    number,
    percent,
    percentile_interval,
    points,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_wilson_interval(hits, trials, low, high):
    """81 of 263 is the worked example of Newcombe 1998, table I, method 3."""
    assert wilson_interval(hits, trials) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("hits", "trials"), [(0, 7), (3, 7), (7, 7), (289, 337), (1, 10_000)])
def test_wilson_interval_is_that_of_scipy(hits, trials):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    assert wilson_interval(hits, trials) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_bootstrap_of_single_images_is_near_wilsons_interval():
    hits = np.arange(400) < 320
    expected = wilson_interval(320, 400)
    assert bootstrap_mean(hits, [""] * 400) == pytest.approx(expected, abs=0.01)
    alone = [f"patient {number}" for number in range(400)]
    assert bootstrap_mean(hits, alone) == bootstrap_mean(hits, [""] * 400)


def test_bootstrap_widens_when_groups_are_large_and_alike():
    hits = np.arange(400) < 320
    groups = [str(number // 20) for number in range(400)]  # 16 groups all right, 4 all wrong
    low, high = bootstrap_mean(hits, groups)
    single_low, single_high = bootstrap_mean(hits, [""] * 400)
    # A draw of 20 groups: sqrt(20) times the spread, for a group's images count as one.
    assert (high - low) / (single_high - single_low) == pytest.approx(np.sqrt(20), rel=0.15)
    assert low < single_low
    assert high > single_high


def test_bootstrap_equals_plain_resampling_of_groups():
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 9, 60)
    member = np.repeat(np.arange(60), sizes)
    hits = rng.random(len(member)) < rng.random(60)[member]
    right = np.bincount(member, weights=hits)
    drawn = rng.integers(0, 60, (20_000, 60))
    plain = np.percentile(right[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), [2.5, 97.5])
    ours = bootstrap_mean(hits, member.astype(str).tolist(), resamples=20_000)
    assert ours == pytest.approx(tuple(plain), abs=0.005)


def test_bootstrap_is_seeded_and_quick():
    hits = np.random.default_rng(4).random(20_000) < 0.9
    groups = [str(number % 5000) for number in range(20_000)]
    started = time.perf_counter()
    first = bootstrap_mean(hits, groups)
    assert time.perf_counter() - started < 1
    assert bootstrap_mean(hits, groups) == first
    assert bootstrap_mean(hits, groups, seed=1) != first


def test_weights_and_means_resample_the_same_groups():
    """The two ways to resample, of all metrics at once and of one mean, agree."""
    rng = np.random.default_rng(5)
    values, groups = rng.random(300), [str(one) for one in rng.integers(0, 40, 300)]
    weights = group_weights(groups, resamples=20_000)
    ours = percentile_interval(weights @ values / weights.sum(axis=1))
    assert ours == pytest.approx(bootstrap_mean(values, groups, resamples=20_000), abs=0.002)


def test_resamples_without_a_figure_are_left_out():
    assert percentile_interval(np.array([math.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert all(math.isnan(end) for end in percentile_interval(np.array([math.nan])))


def test_how_figures_are_written():
    assert percent(0.8578, (0.8162, 0.8909)) == "85.8 % (81.6 to 89.1)"
    assert (percent(0.5), percent(None)) == ("50.0 %", "")
    assert points(-0.012, (-0.029, 0.003)) == "-1.2 (-2.9 to +0.3)"
    assert number(1.5, 1, (1.25, 2.0)) == "1.5 (1.2 to 2.0)"
    assert number(0.1, 3, (-0.05, 0.25), sign="+") == "+0.100 (-0.050 to +0.250)"
    assert number(None) == ""

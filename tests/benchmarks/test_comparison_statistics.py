"""The statistics of a comparison, checked with scipy, by hand, and with what samples were drawn from."""

import math

import numpy as np
import pytest

stats = pytest.importorskip("scipy.stats")

from comparison_results import BASELINE, ROWS, World, make_results  # noqa: E402

from xray_infer.benchmarks.comparison.speed_changes import machine_speeds, speed_changes  # noqa: E402
from xray_infer.benchmarks.comparison.speed_samples import LATENCIES, both_samples  # noqa: E402
from xray_infer.benchmarks.comparison.welch import Change, holm, welch  # noqa: E402


def test_samples_are_compared_by_welchs_test():
    rng = np.random.default_rng(0)
    for _ in range(4):
        a, b = rng.normal(0, 0.1, 5), rng.normal(0.05, 0.3, 3)
        change = welch(a, b)
        ours = stats.ttest_ind(b, a, equal_var=False)
        assert change.p_value == pytest.approx(ours.pvalue)
        assert change.interval() == pytest.approx(tuple(ours.confidence_interval(0.95)))


def test_one_figure_is_no_sample():
    assert welch([0.0, 1.0, 2.0], [0.1]) is None
    assert welch([], []) is None
    assert welch([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]).log == 1.0


def test_samples_without_scatter_are_not_certain():
    same, apart = welch([0.0, 0.0], [0.0, 0.0]), welch([0.0, 0.0], [1e-5, 1e-5])
    assert same.p_value == 1.0
    assert apart.p_value > 0.5


def test_holm_is_step_by_step():
    """Worked by hand: 0.01 x 4, 0.02 x 3, 0.03 x 2, and 0.04 not below the one before."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_findable_change_is_found_four_times_in_five():
    rng, deviation, count = np.random.default_rng(4), 0.03, 5
    known = Change(0.0, math.sqrt(2 * deviation**2 / count), 2 * (count - 1))
    shift = known.findable(0.01)
    a = rng.normal(0, deviation, (4000, count))
    b = rng.normal(shift, deviation, (4000, count))
    power = (stats.ttest_ind(a, b, axis=1).pvalue < 0.01).mean()
    assert power == pytest.approx(0.8, abs=0.03)
    assert Change(0.0, 1.0, 1).findable(0.0001) is None


def test_drift_falls_out_of_a_row_over_its_baselines():
    """The machine becomes 1.5 times slower over the run; the row stays 1.2 times its baseline's time."""
    quiet = World(process=0, round=0, drift=0.4, rows=ROWS[:1], times={ROWS[0]: 1.2}, queries=2000)
    samples, _ = both_samples(*[make_results(quiet)] * 2)
    over = [one.over_baselines for one in samples[LATENCIES[0], ROWS[0].name]]
    assert over == pytest.approx(np.full(5, math.log(1.2)), abs=0.05)
    costs = [one.cost for one in samples[LATENCIES[0], ROWS[0].name]]
    assert np.ptp(costs) > 2 * np.ptp(over)
    assert {one.over_baselines for one in samples[LATENCIES[0], BASELINE.name]} == {None}


def test_what_has_no_baseline_is_compared_with_the_products_of_its_round():
    runs = [
        make_results(World(seed=seed, machine=factor, process=0)) for seed, factor in ((0, 1.0), (1, 1.5))
    ]
    machine = machine_speeds(*runs)
    assert machine[0].change.log == pytest.approx(math.log(1.5), abs=0.1)
    found = {(one.subject, one.measure.name): one for one in speed_changes(*runs)}
    decode = found[BASELINE.name, "decode"]
    assert decode.against == "the matrix products"
    assert decode.judged.log == pytest.approx(0, abs=0.03)
    assert decode.beside == pytest.approx(math.log(1.5), abs=0.1)
    assert found[ROWS[0].name, "p50"].against == "the baseline"
    assert found[ROWS[0].name, "peak memory"].against == "nothing"

"""The statistics of a comparison, held against scipy, published figures and what they were drawn from."""

import math

import numpy as np
import pytest

stats = pytest.importorskip("scipy.stats")

from xray_infer.benchmarks.comparison import estimate  # noqa: E402
from xray_infer.benchmarks.comparison.accuracy import newcombe  # noqa: E402
from xray_infer.benchmarks.comparison.estimate import Change, Variance, changes, holm, moderated  # noqa: E402
from xray_infer.benchmarks.comparison.pairing import MOST_NEAR, nearest  # noqa: E402
from xray_infer.benchmarks.comparison.samples import Sample  # noqa: E402
from xray_infer.benchmarks.comparison.yardsticks import Yardstick, against, relative_costs  # noqa: E402


def drawn(rng, rows, first=5, second=5):
    return [(rng.normal(0, 0.1, first), rng.normal(0.05, 0.3, second)) for _ in range(rows)]


def test_few_rows_are_compared_by_welchs_test():
    for a, b in drawn(np.random.default_rng(0), 4, second=3):
        (change,) = changes([(a, b)])
        ours = stats.ttest_ind(b, a, equal_var=False)
        assert change.p_value == pytest.approx(ours.pvalue)
        assert change.interval() == pytest.approx(tuple(ours.confidence_interval(0.95)))


def test_many_rows_are_compared_by_yuens_test(monkeypatch):
    monkeypatch.setattr(estimate, "moderated", lambda own: own)
    pairs = drawn(np.random.default_rng(1), 6, first=7, second=11)
    for (a, b), change in zip(pairs, changes(pairs), strict=True):
        assert change.p_value == pytest.approx(stats.ttest_ind(b, a, equal_var=False, trim=0.2).pvalue)


def test_one_figure_is_no_sample_and_leaves_the_others_in_place():
    few = np.array([0.1])
    one, other, last = changes([(np.arange(3.0), few), (few, few), (np.arange(3.0), np.arange(3.0) + 1)])
    assert one is other is None
    assert last.log == 1.0


def test_samples_without_scatter_are_not_certain():
    same, apart = changes([(np.zeros(2), np.zeros(2)), (np.zeros(2), np.full(2, 1e-5))])
    assert same.p_value == 1.0
    assert apart.p_value > 0.5


def test_variances_that_chance_explains_become_one():
    rng = np.random.default_rng(2)
    found = moderated([Variance(0.01 * rng.chisquare(4) / 4, 4) for _ in range(200)])
    assert np.std([one.value for one in found]) < 0.2 * 0.007  # as they were drawn
    assert np.mean([one.value for one in found]) == pytest.approx(0.01, rel=0.1)
    assert min(one.df for one in found) > 20


def test_unlike_variances_are_drawn_half_way():
    """Smyth's prior of 8 degrees of freedom, found again from the variances that were drawn with it."""
    rng, prior, own = np.random.default_rng(3), 8, 4
    true = 0.01 * prior / rng.chisquare(prior, 4000)
    found = moderated([Variance(value, own) for value in true * rng.chisquare(own, 4000) / own])
    assert {one.df for one in found} == {found[0].df}
    assert found[0].df - own == pytest.approx(prior, rel=0.15)
    errors = np.log([one.value for one in found]) - np.log(true)
    assert errors.std() < 0.5


def test_what_is_known_of_two_figures_is_not_moderated():
    pairs = [Variance(value, 1) for value in (1.0, 2.0, 3.0, 4.0, 5.0)]
    assert moderated(pairs) == pairs


def test_a_restless_row_keeps_most_of_its_variance():
    quiet = [Variance(0.0001 * (1 + index / 10), 4) for index in range(9)]
    assert moderated([*quiet, Variance(0.04, 4)])[-1].value > 0.01


def test_holm_is_step_by_step():
    """Worked by hand: 0.01 x 4, 0.02 x 3, 0.03 x 2, and 0.04 not below the one before."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("first", "second", "interval"),
    [((48, 80), (56, 70), (0.0524, 0.3339)), ((3, 10), (9, 10), (0.1705, 0.8090))],
)
def test_newcombes_interval_is_that_of_his_paper(first, second, interval):
    """Statistics in Medicine 17:873, table II, method 10: contrasts (a) and (b)."""
    assert newcombe(first, second) == pytest.approx(interval, abs=5e-5)


def test_a_findable_change_is_found_four_times_in_five():
    rng, deviation, count = np.random.default_rng(4), 0.03, 5
    known = Change(0.0, 2 * deviation**2 / count, 2 * (count - 1))
    shift = known.findable(0.01)
    a = rng.normal(0, deviation, (4000, count))
    b = rng.normal(shift, deviation, (4000, count))
    power = (stats.ttest_ind(a, b, axis=1).pvalue < 0.01).mean()
    assert power == pytest.approx(0.8, abs=0.03)
    assert Change(0.0, 1.0, 1).findable(0.0001) is None


def test_every_process_has_baselines_of_its_own_nearby():
    around = nearest([1, 11, 21], [0, 2, 10, 12, 20, 22])
    assert [sorted(mine) for mine in around] == [[0, 1], [2, 3], [4, 5]]
    assert nearest([20, 41, 62], [0, 21, 42]) == [[0], [1], [2]]
    assert nearest([1, 3], [2]) is None
    assert nearest([5], []) is None
    many = nearest([50, 150], range(200))
    assert all(len(mine) == MOST_NEAR for mine in many)
    assert not set(many[0]) & set(many[1])
    assert max(abs(index - 50) for index in many[0]) == 2


def test_drift_falls_out_of_a_row_over_its_baselines():
    row = [Sample(number, 10 * number + 1, 0.1 * number + 0.5) for number in range(4)]
    baselines = [Sample(number, 10 * number + step, 0.1 * number) for number in range(4) for step in (0, 2)]
    assert relative_costs(row, baselines) == pytest.approx(np.full(4, 0.5))


def test_fewer_baselines_than_processes_are_taken_off_as_a_mean():
    rng = np.random.default_rng(5)
    row = [[Sample(n, n, float(rng.normal(shift, 0.01))) for n in range(4)] for shift in (0.0, 0.5)]
    base = [[Sample(n, n, float(rng.normal(shift, 0.01))) for n in range(2)] for shift in (0.0, 0.4)]
    found = against(({"row": row[0]}, {"row": row[1]}), {"row": Yardstick(*base)})["row"]
    assert found.log == pytest.approx(0.1, abs=0.03)
    plain = np.var([one.cost for one in row[0]], ddof=1) / 4
    assert found.variance > plain
    assert math.isfinite(found.df)

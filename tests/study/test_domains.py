"""AUROC within domains, and the figures of a domain that was left out: against values worked out by hand."""

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xray_infer.classes import CLASS_NAMES
from xray_infer.model.json_records import from_json, to_json
from xray_infer.study.bootstrap import calibration_error
from xray_infer.study.document import to_markdown
from xray_infer.study.domain_tables import left_out_blocks, within_blocks
from xray_infer.study.domains import (
    DomainAnswers,
    LeaveOneDomainOut,
    WithinDomains,
    judge_left_out,
    within_domains,
)
from xray_infer.study.metrics import softmax

COVID, PNEUMONIA, NORMAL = range(3)


def within(labels, odds, domains, groups=None, **options):
    """Measure scores that differ between covid and the rest by `odds`."""
    scores = np.zeros((len(labels), 3))
    scores[:, COVID] = odds
    return within_domains(
        np.array(labels), scores, CLASS_NAMES, domains, groups or [""] * len(labels), **options
    )


def answers(domain, labels, predicted, *, sure=2.0, groups=None, temperature=1.0):
    """A network that gives the predicted classes, with the same confidence each."""
    logits = sure * np.eye(3)[predicted]
    return DomainAnswers(domain, np.array(labels), logits, groups or [""] * len(labels), temperature)


def test_a_pair_of_one_domain_is_told_apart_on_its_images_alone():
    """In domain a covid scores higher, in b all are tied; between the domains the scores are far apart."""
    labels = [COVID, COVID, NORMAL, NORMAL] * 2
    found = within(labels, [3, 2, 1, 0, 9, 9, 9, 9], ["a"] * 4 + ["b"] * 4, least=2)
    assert [(pair.domain, pair.first, pair.second, pair.images) for pair in found.pairs] == [
        ("a", "covid", "normal", (2, 2)),
        ("b", "covid", "normal", (2, 2)),
    ]
    assert [pair.auroc.value for pair in found.pairs] == [1.0, 0.5]
    assert found.mean.value == 0.75
    assert found.pairs[0].auroc.interval == (1.0, 1.0)
    assert found.pairs[1].auroc.interval == (0.5, 0.5)


def test_three_of_four_comparisons_and_a_tie():
    """Covid at 2 and 0, normal at 1 and 0: two comparisons are won, one is tied, one is lost."""
    found = within([COVID, COVID, NORMAL, NORMAL], [2, 0, 1, 0], ["a"] * 4, least=2)
    assert found.mean.value == pytest.approx(2.5 / 4)


def test_three_classes_make_three_pairs_and_a_single_class_none():
    labels = [COVID, PNEUMONIA, NORMAL] * 5 + [NORMAL] * 9
    found = within(labels, np.arange(24), ["a"] * 15 + ["b"] * 9)
    assert [(pair.domain, pair.first, pair.second) for pair in found.pairs] == [
        ("a", "covid", "pneumonia"),
        ("a", "covid", "normal"),
        ("a", "pneumonia", "normal"),
    ]
    alone = within([NORMAL] * 9, np.arange(9), ["b"] * 9)
    assert (alone.pairs, alone.mean) == ((), None)


def test_a_pair_with_too_few_images_is_named_and_not_counted():
    labels = [COVID] * 6 + [NORMAL] * 4 + [COVID] * 5 + [NORMAL] * 5
    domains = ["a"] * 10 + ["b"] * 10
    found = within(labels, [0] * 15 + [-1] * 5, domains)
    assert found.least == 5
    assert [(pair.domain, pair.images) for pair in found.omitted] == [("a", (6, 4))]
    assert [pair.domain for pair in found.counted] == ["b"]
    assert found.mean.value == 1.0
    text = to_markdown(within_blocks("Pairs", {"a method": found}))
    assert "| b | covid, normal | 5 + 5 | 1.000 (1.000 to 1.000) |" in text
    assert "fewer than 5 images of a class: a, covid and normal (6 and 4)." in text


def test_images_without_a_domain_are_in_no_pair():
    assert within([COVID, NORMAL], [1, 0], ["", ""], least=1) is None
    found = within([COVID, NORMAL, COVID], [1, 0, -1], ["a", "a", ""], least=1)
    assert (found.mean.value, found.images_without_domain) == (1.0, 1)


def test_intervals_are_over_groups():
    """Twelve images of three patients say less than twelve of twelve."""
    rng = np.random.default_rng(1)
    labels = np.tile([COVID, NORMAL], 60)
    odds = rng.normal(size=120) + (labels == COVID) + np.repeat(rng.normal(size=12), 10) * (labels == COVID)
    patients = [f"p{number // 10}" for number in range(120)]
    low, high = within(labels, odds, ["a"] * 120, patients).mean.interval
    single_low, single_high = within(labels, odds, ["a"] * 120).mean.interval
    assert high - low > single_high - single_low
    assert low < within(labels, odds, ["a"] * 120).mean.value < high


SCORED = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=30).filter(
    lambda rows: len({covid for covid, _ in rows}) == 2
)


@given(SCORED)
def test_it_is_the_share_of_comparisons_won_and_labels_swapped_lose_it(rows):
    labels = np.array([COVID if covid else NORMAL for covid, _ in rows])
    odds = np.array([odd for _, odd in rows], float)
    pairs = product(odds[labels == COVID], odds[labels == NORMAL])
    share = np.mean([(high > low) + (high == low) / 2 for high, low in pairs])
    domains = ["a"] * len(rows)
    assert within(labels, odds, domains, least=1).mean.value == pytest.approx(share)
    swapped = np.where(labels == COVID, NORMAL, COVID)
    assert within(swapped, odds, domains, least=1).mean.value == pytest.approx(1 - share)


@given(st.floats(0.05, 20), st.integers(0, 1000))
def test_neither_a_temperature_nor_what_is_added_to_an_image_changes_it(temperature, seed):
    rng = np.random.default_rng(seed)
    labels, logits = np.arange(30) % 3, rng.normal(size=(30, 3))
    domains, groups = ["a"] * 30, [""] * 30
    changed = np.log(softmax(logits, temperature))
    first = within_domains(labels, logits, CLASS_NAMES, domains, groups)
    second = within_domains(labels, changed, CLASS_NAMES, domains, groups)
    assert first.mean.value == pytest.approx(second.mean.value)


def test_a_left_out_domain_has_these_figures():
    """Ten covid films, eight right; ten normal ones, five right, three called pneumonia; one pneumonia."""
    labels = [COVID] * 10 + [NORMAL] * 10 + [PNEUMONIA]
    predicted = [COVID] * 8 + [NORMAL] * 2 + [NORMAL] * 5 + [PNEUMONIA] * 3 + [COVID] * 2 + [PNEUMONIA]
    (domain,) = judge_left_out([answers("far", labels, predicted, temperature=2.0)], CLASS_NAMES).domains
    assert (domain.domain, domain.images, domain.temperature) == ("far", 21, 2.0)
    assert domain.confusion == ((8, 0, 2), (0, 1, 0), (2, 3, 5))
    assert domain.accuracy.value == pytest.approx(14 / 21)
    # The one pneumonia counts in no mean, or a third of the figure would be of one film.
    assert domain.balanced_accuracy.value == pytest.approx((0.8 + 0.5) / 2)
    assert [(one.images, one.hits) for one in domain.recalls.values()] == [(10, 8), (1, 1), (10, 5)]
    low, high = domain.recalls["covid"].interval
    assert 0.4 < low < 0.8 < high <= 1
    assert [(pair.first, pair.second) for pair in domain.within.counted] == [("covid", "normal")]
    # Covid films at odds +, -; normal ones at -, 0 (called pneumonia), +.
    assert domain.within.mean.value == pytest.approx((8 * (5 + 3 + 1) + 2 * 2.5) / 100)
    confidence = np.exp(1) / (np.exp(1) + 2)
    assert domain.mean_confidence == pytest.approx(confidence)
    ones = np.ones((1, 21))
    probabilities = softmax(answers("far", labels, predicted).logits, 2.0)
    expected = calibration_error(ones, np.array(labels), probabilities)[0]
    assert domain.calibration_error.value == pytest.approx(expected)
    assert expected == pytest.approx(abs(14 / 21 - confidence))


def test_the_mean_is_over_domains_with_two_classes_each_alike():
    both = answers("a", [COVID] * 5 + [NORMAL] * 5, [COVID] * 5 + [NORMAL] * 5)
    chance = answers("b", [COVID] * 50 + [NORMAL] * 50, [COVID] * 100)
    single = answers("c", [NORMAL] * 7, [NORMAL] * 7)
    few = answers("d", [NORMAL, COVID], [NORMAL, COVID])
    found = judge_left_out([both, chance, single, few], CLASS_NAMES)
    assert [one.domain for one in found.domains] == ["a", "b", "c", "d"]
    assert found.mean.domains == ("a", "b")
    assert found.mean.balanced_accuracy.value == pytest.approx(0.75)
    assert found.mean.auroc.value == pytest.approx(0.75)
    low, high = found.mean.balanced_accuracy.interval
    assert low <= 0.75 <= high
    assert found.domains[2].balanced_accuracy.value == 1.0  # of the one class, and in no mean
    assert found.domains[3].balanced_accuracy is None
    assert judge_left_out([single], CLASS_NAMES).mean is None


def test_groups_that_hold_together_widen_the_interval():
    labels, predicted = [COVID] * 40 + [NORMAL] * 40, [COVID] * 20 + [NORMAL] * 60
    groups = [f"g{number // 10}" for number in range(80)]
    (loose,) = judge_left_out([answers("a", labels, predicted)], CLASS_NAMES).domains
    (held,) = judge_left_out([answers("a", labels, predicted, groups=groups)], CLASS_NAMES).domains
    widths = [np.ptp(one.balanced_accuracy.interval) for one in (loose, held)]
    assert widths[1] > 1.5 * widths[0]


@pytest.fixture
def left_out():
    tuned = judge_left_out([answers("a", [COVID] * 5 + [NORMAL] * 6, [COVID] * 11)], CLASS_NAMES)
    return LeaveOneDomainOut("hospital", {"fine_tuning": tuned}, {"b": "no other domain has any"}, 2)


def test_figures_survive_json(left_out):
    assert from_json(LeaveOneDomainOut, json.loads(json.dumps(to_json(left_out)))) == left_out
    found = within([COVID] * 5 + [NORMAL] * 4, np.arange(9), ["a"] * 9)
    assert from_json(WithinDomains, json.loads(json.dumps(to_json(found)))) == found


def test_the_tables_of_a_left_out_domain(left_out):
    text = to_markdown(left_out_blocks(left_out))
    row = next(line for line in text.splitlines() if line.startswith("| a | fine tuning | 11 |"))
    assert "| 50.0 % (50.0 to 50.0) | 0.500 (0.500 to 0.500) |" in row
    assert "100.0 % (100.0 to 100.0), n = 5 |  | 0.0 % (0.0 to 0.0), n = 6" in row
    assert "5 0 0 / 0 0 0 / 6 0 0" in row
    assert "Not left out: b: no other domain has any." in text
    assert "by the column 'hospital'" in text
    assert [name for name in CLASS_NAMES if f"recall, {name}" not in text] == []

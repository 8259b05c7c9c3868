"""The benchmark's figures of accuracy, held against scikit-learn, SciPy and plain loops."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as sk

from xray_infer.benchmarks.accuracy.accuracy_figures import accuracy_rows, between_methods, difference_words
from xray_infer.benchmarks.results_schema import (
    SCHEMA,
    ImageSet,
    Machine,
    ModelFile,
    Results,
    RowAnswers,
    RowKey,
)
from xray_infer.study import bootstrap
from xray_infer.study.bootstrap import STATISTICS
from xray_infer.study.intervals import group_weights, percentile_interval
from xray_infer.study.temperature import at_temperature

KERAS = RowKey("fine_tuning", "keras", "fp32", "keras")
INT8 = RowKey("fine_tuning", "onnx", "int8-static", "onnxruntime")
OTHER = RowKey("feature_extraction", "onnx", "int8-static", "onnxruntime")
TEMPERATURE = 0.7
NAMES = ("covid", "pneumonia", "normal")


def answers(seed: int, labels: np.ndarray, *, sharpness: float = 2.0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(len(labels), 3)) + sharpness * np.eye(3)[labels]
    chances = np.exp(logits)
    return chances / chances.sum(axis=1, keepdims=True)


def some(count: int = 200, seed: int = 3) -> tuple[np.ndarray, list[str]]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, count)
    groups = [f"g{number}" if number % 4 else "" for number in generator.integers(0, count // 3, count)]
    return labels, groups


def results(rows: dict[RowKey, np.ndarray], labels: np.ndarray, groups: list[str], **regions) -> Results:
    sources = [("here", "there")[index % 2] for index in range(len(labels))]
    found = [RowAnswers(key, "test", "all", chances.tolist()) for key, chances in rows.items()]
    found += [RowAnswers(INT8, "test", region, chances.tolist()) for region, chances in regions.items()]
    return Results(
        schema=SCHEMA,
        command=["xray-bench"],
        started="",
        seconds=0.0,
        version="0",
        options={},
        machine=Machine("cpu", [], 2, [0, 1], None, 1.0, "Linux", None, "unavailable", 0.0, {}),
        gmac=2.83,
        models=[ModelFile(key, "file", "00", 1, TEMPERATURE, "") for key in rows],
        sets=[ImageSet("test", "d", [str(i) for i in range(len(labels))], labels.tolist(), groups, sources)],
        answers=found,
    )


@pytest.fixture(scope="module")
def row():
    labels, groups = some()
    reference, mine = answers(1, labels), answers(2, labels)
    found = {one.row: one for one in accuracy_rows(results({KERAS: reference, INT8: mine}, labels, groups))}
    return labels, reference, mine, found[INT8]


def test_proportions_have_the_wilson_interval_of_scipy(row):
    labels, _, mine, one = row
    hits = int((mine.argmax(1) == labels).sum())
    expected = binomtest(hits, len(labels)).proportion_ci(method="wilson")
    assert one.metrics.accuracy_interval == pytest.approx((expected.low, expected.high), abs=1e-6)
    same = int((mine.argmax(1) == row[1].argmax(1)).sum())
    expected = binomtest(same, len(labels)).proportion_ci(method="wilson")
    assert one.against.agreement.interval == pytest.approx((expected.low, expected.high), abs=1e-6)
    for place, name in enumerate(NAMES):
        expected = binomtest(
            int(((mine.argmax(1) == place) & (labels == place)).sum()), int((labels == place).sum())
        ).proportion_ci(method="wilson")
        assert one.metrics.classes[name].recall_interval == pytest.approx(
            (expected.low, expected.high), abs=1e-6
        )


def test_scores_are_those_of_scikit_learn(row):
    labels, _, mine, one = row
    predicted = mine.argmax(1)
    assert one.metrics.accuracy == pytest.approx(sk.accuracy_score(labels, predicted))
    assert one.metrics.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    assert one.metrics.macro_f1 == pytest.approx(sk.f1_score(labels, predicted, average="macro"))
    expected = sk.roc_auc_score(labels, mine, multi_class="ovr", average="macro")
    assert one.macro_auroc == pytest.approx(expected)
    assert np.array_equal(one.metrics.confusion, sk.confusion_matrix(labels, predicted))


def brier_by_hand(labels, chances):
    total = 0.0
    for label, probabilities in zip(labels, chances, strict=True):
        for place, probability in enumerate(probabilities):
            total += (probability - (1 if place == label else 0)) ** 2
    return total / len(labels)


def ece_by_hand(labels, chances, bins=15):
    """Distinct confidences, sorted and cut where a fifteenth of the images ends; no numpy in it."""
    pairs = sorted(
        (max(probabilities), int(list(probabilities).index(max(probabilities)) == label))
        for label, probabilities in zip(labels, chances.tolist(), strict=True)
    )
    ends = [len(pairs) * number // bins for number in range(bins + 1)]
    total = 0.0
    for start, end in pairwise(ends):
        some = pairs[start:end]
        if some:
            confidence = sum(pair[0] for pair in some) / len(some)
            right = sum(pair[1] for pair in some) / len(some)
            total += len(some) / len(pairs) * abs(right - confidence)
    return total


def test_calibration_is_that_of_a_plain_loop_before_and_after_the_temperature(row):
    labels, _, mine, one = row
    before = at_temperature(mine.astype(np.float32), 1 / TEMPERATURE).astype(float)
    assert one.after.brier_score == pytest.approx(brier_by_hand(labels, mine), abs=1e-6)
    assert one.before.brier_score == pytest.approx(brier_by_hand(labels, before), abs=1e-5)
    assert one.after.expected_calibration_error == pytest.approx(ece_by_hand(labels, mine), abs=1e-6)
    assert one.before.expected_calibration_error == pytest.approx(ece_by_hand(labels, before), abs=1e-5)
    assert one.before.brier_score != pytest.approx(one.after.brier_score, abs=1e-3)


def test_mcnemar_is_scipys_binomial_test_of_the_discordant_pairs(row):
    labels, reference, mine, one = row
    mine_right, other_right = mine.argmax(1) == labels, reference.argmax(1) == labels
    only_mine, only_other = int((mine_right & ~other_right).sum()), int((~mine_right & other_right).sum())
    found = one.against.mcnemar
    assert (found.only_first_right, found.only_second_right) == (only_mine, only_other)
    assert found.p_value == pytest.approx(binomtest(only_mine, only_mine + only_other).pvalue)
    assert one.against.max_dp == pytest.approx(np.abs(mine - reference).max())
    assert one.against.mean_dp == pytest.approx(np.abs(mine - reference).mean())
    assert one.against.accuracy_difference == pytest.approx(mine_right.mean() - other_right.mean())


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("accuracy", lambda labels, chances: sk.accuracy_score(labels, chances.argmax(1))),
        ("balanced_accuracy", lambda labels, chances: sk.balanced_accuracy_score(labels, chances.argmax(1))),
        (
            "macro_f1",
            lambda labels, chances: sk.f1_score(labels, chances.argmax(1), average="macro", labels=[0, 1, 2]),
        ),
        ("macro_auroc", lambda labels, chances: sk.roc_auc_score(labels, chances, multi_class="ovr")),
        ("brier", brier_by_hand),
    ],
)
def test_a_resample_is_the_figure_of_its_repeated_images(name, figure):
    """Written out: the images of each drawn group, as often as it was drawn."""
    labels, groups = some(90)
    chances = answers(5, labels)
    weights = group_weights(groups, resamples=20, seed=1)
    found = STATISTICS[name](weights, labels, chances)
    for resample, value in zip(weights, found, strict=True):
        places = np.repeat(np.arange(len(labels)), resample.astype(int))
        assert value == pytest.approx(figure(labels[places], chances[places]))


def test_the_calibration_error_of_all_images_once_is_the_figure_itself(row):
    labels, _, mine, one = row
    once = np.ones((1, len(labels)))
    found = bootstrap.calibration_error(once, labels, mine)[0]
    assert found == pytest.approx(one.after.expected_calibration_error, abs=1e-6)


def test_groups_are_drawn_whole_and_images_without_one_alone():
    groups = ["a", "a", "", "b", "", "a"]
    weights = group_weights(groups, resamples=500, seed=0)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 0] == weights[:, 5]).all()
    assert (weights[:, 2] != weights[:, 4]).any()
    kinds = weights[:, [0, 2, 3, 4]]
    assert (kinds.sum(axis=1) == 4).all()  # as many draws as there are groups
    assert kinds.mean(axis=0) == pytest.approx([1, 1, 1, 1], abs=0.2)


def test_an_interval_over_groups_is_wider_than_over_images_where_a_group_errs_together():
    generator = np.random.default_rng(0)
    right = np.repeat(generator.random(40) < 0.8, 10)  # forty patients of ten images each
    labels = np.zeros(400, np.int64)
    chances = np.where(right[:, None], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1])
    patients = [f"p{number // 10}" for number in range(400)]

    def width(groups):
        low, high = percentile_interval(bootstrap.accuracy(group_weights(groups), labels, chances))
        return high - low

    assert width(patients) > 2.5 * width([""] * 400)


def test_a_row_below_99_percent_of_its_reference_fails_and_one_at_it_passes():
    labels = np.zeros(100, np.int64)
    right, wrong = [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]

    def having(hits):
        return np.array([right] * hits + [wrong] * (100 - hits))

    for hits, passes in ((99, True), (98, False), (100, True)):
        made = results({KERAS: having(100), INT8: having(hits)}, labels, [""] * 100)
        keras, mine = accuracy_rows(made)
        assert mine.passes_99 is passes
        assert keras.passes_99 is None
        assert keras.against is None


def test_controls_and_sources_are_of_the_same_images():
    labels, groups = some(60)
    chances, border = answers(1, labels), answers(9, labels, sharpness=0.0)
    (one,) = accuracy_rows(results({INT8: chances}, labels, groups, border=border))
    assert one.controls["border"].hits == (border.argmax(1) == labels).sum()
    assert set(one.controls) == {"border"}
    assert sum(share.hits for share in one.by_source.values()) == one.metrics.hits
    assert one.by_source["here"].images == 30
    assert one.passes_99 is None


def test_methods_are_compared_where_format_recipe_and_runtime_are_the_same():
    labels, groups = some(80)
    made = results(
        {OTHER: answers(1, labels), KERAS: answers(2, labels), INT8: answers(3, labels)}, labels, groups
    )
    ((key, against),) = between_methods(made)
    assert (key, against.other) == (INT8, OTHER)


def test_the_same_seed_gives_the_same_intervals_and_another_one_others():
    labels, groups = some(50)
    made = results({INT8: answers(1, labels)}, labels, groups)
    first, again, other = (accuracy_rows(made, seed=seed)[0].intervals for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_no_words_say_that_nothing_was_lost(row):
    words = difference_words(row[-1].against.mcnemar)
    assert words.startswith(("no difference found (p = ", "they differ (p = "))
    assert "less" not in words

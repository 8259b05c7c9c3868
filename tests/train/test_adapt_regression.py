"""The head's fit: what it minimises, and that no film judges a head that saw it."""

import numpy as np
import pytest

from xray_infer.train.adapt.crossing import FOLDS, STRENGTHS, cross, deal
from xray_infer.train.adapt.regression import fit_path, spread_of, turn


def made_rows(count: int, width: int, classes: int, *, apart: float = 1.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = rng.normal(0, apart, (classes, width)) * (rng.random(width) < 0.2)
    return (centres[labels] + rng.normal(0, 1, (count, width))) * rng.lognormal(0, 1, width), labels


@pytest.mark.parametrize(("count", "width", "classes"), [(40, 120, 2), (200, 30, 3), (90, 90, 5)])
def test_it_is_scikit_learns_logistic_regression(count, width, classes):
    linear_model = pytest.importorskip("sklearn.linear_model")
    rows, labels = made_rows(count, width, classes)
    labels[: count // 4] = 0  # classes of unlike size
    asked, _ = made_rows(50, width, classes, seed=1)
    turned = turn(rows)
    scaled = (rows - rows.mean(axis=0)) / spread_of(rows)
    for strength, found in zip(STRENGTHS, fit_path(turned.values, labels, classes, STRENGTHS), strict=True):
        theirs = linear_model.LogisticRegression(
            C=strength * (2 if classes == 2 else 1), class_weight="balanced", tol=1e-8, max_iter=10_000
        ).fit(scaled, labels)
        expected = theirs.predict_proba((asked - rows.mean(axis=0)) / spread_of(rows))
        logits = turned.linear(found).logits(asked)
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        assert np.allclose(chances / chances.sum(axis=1, keepdims=True), expected, atol=2e-3)


def test_a_part_of_the_rows_is_fitted_as_if_it_stood_alone():
    """In the axes of all rows, which is what makes cross-validation cheap."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    rows, labels = made_rows(60, 200, 3)
    part = np.arange(60) < 45
    (found,) = fit_path(turn(rows).values[part], labels[part], 3, [0.01])
    scaled = (rows - rows.mean(axis=0)) / spread_of(rows)
    theirs = linear_model.LogisticRegression(C=0.01, class_weight="balanced", tol=1e-8, max_iter=10_000)
    expected = theirs.fit(scaled[part], labels[part]).decision_function(scaled[~part])
    logits = turn(rows).values[~part] @ found
    assert np.allclose(logits - logits[:, :1], expected - expected[:, :1], atol=2e-3)


def test_a_feature_that_never_varies_does_no_harm():
    rows, labels = made_rows(40, 30, 2, apart=3)
    rows[:, 7] = 3.0
    found = cross(rows, labels, deal(labels, range(40)))
    assert np.isfinite(found.head.weights).all()
    assert (found.logits.argmax(axis=1) == labels).mean() > 0.9


def test_groups_stay_together_and_classes_are_spread():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 40, 120)
    labels = (groups % 3 == 0).astype(int)
    folds = deal(labels, groups)
    assert set(folds) == set(range(FOLDS))
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    for label in (0, 1):
        counts = np.bincount(folds[labels == label], minlength=FOLDS)
        assert counts.max() - counts.min() <= 6


def test_films_of_every_class_are_in_every_fold_where_there_are_enough():
    labels = np.repeat(np.arange(3), 10)
    folds = deal(labels, range(30))
    assert all(set(labels[folds == fold]) == {0, 1, 2} for fold in range(FOLDS))


def test_no_label_of_a_fold_touches_what_is_said_of_it():
    """Neither the fit nor the choice of the strength."""
    rows, labels = made_rows(60, 80, 2)
    folds = deal(labels, range(60))
    before = cross(rows, labels, folds).logits
    for fold in range(FOLDS):
        other = labels.copy()
        other[folds == fold] = 1 - other[folds == fold]
        after = cross(rows, other, folds).logits
        assert np.array_equal(before[folds == fold], after[folds == fold])
        assert not np.array_equal(before[folds != fold], after[folds != fold])


def test_noise_is_worth_nothing():
    right = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        labels = np.arange(60) % 2
        found = cross(rng.normal(size=(60, 200)), labels, deal(labels, range(60), seed=seed))
        right.append((found.logits.argmax(axis=1) == labels).mean())
    assert 0.4 < np.mean(right) < 0.6


def test_copies_on_both_sides_would_flatter():
    """What groups are for: each film four times, with a little noise."""
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(2), 60)
    once = rng.normal(size=(30, 300))
    rows = np.repeat(once, 4, axis=0) + rng.normal(0, 0.05, (120, 300))
    apart = cross(rows, labels, deal(labels, range(120)))
    together = cross(rows, labels, deal(labels, np.repeat(np.arange(30), 4)))
    assert (apart.logits.argmax(axis=1) == labels).mean() > 0.95
    assert (together.logits.argmax(axis=1) == labels).mean() < 0.75

"""The alarm's statistic, its reference in a manifest, and its limit, fitted without a strange hospital."""

from dataclasses import replace

import numpy as np
import pytest
from specimens import example_manifest
from tiny_alarm import example_alarm

from xray_infer.errors import DataError, ModelError
from xray_infer.model.alarm_fitting import KnownFilms, extend_alarm, fit_alarm, mixed_folder
from xray_infer.model.alarm_reference import (
    AlarmReference,
    FilmSum,
    nearest_mixtures,
    onto_simplex,
    position_bytes,
)
from xray_infer.model.json_records import JsonError
from xray_infer.model.manifest import parse_manifest

HOSPITALS, CLASSES, FEATURES = 4, 2, 24


def made_films(count: int = 60, *, hospitals: int = HOSPITALS, seed: int = 0) -> KnownFilms:
    """Films of hospitals and classes whose means differ: `count` of each."""
    rng = np.random.default_rng(seed)
    means = np.random.default_rng(99).normal(0, 1.5, (HOSPITALS + 1, CLASSES, FEATURES))
    places = [(one, label) for one in range(hospitals) for label in range(CLASSES) for _ in range(count)]
    features = np.array([means[place] for place in places]) + rng.normal(0, 1, (len(places), FEATURES))
    return KnownFilms(
        features,
        [f"class {label}" for _, label in places],
        [f"hospital {one}" for one, _ in places],
        [str(index // 2) for index in range(len(places))],
    )


@pytest.fixture(scope="module")
def fitted() -> AlarmReference:
    return fit_alarm(made_films(), components=8)


def test_a_projection_onto_the_simplex_is_the_nearest_point_of_it():
    rng = np.random.default_rng(0)
    given = rng.normal(0, 2, (50, 5))
    found = onto_simplex(given)
    assert found.min() >= 0
    assert np.allclose(found.sum(axis=1), 1)
    others = rng.dirichlet(np.ones(5), 2000)
    nearest = ((given[:, None] - others) ** 2).sum(axis=2).min(axis=1)
    assert (((given - found) ** 2).sum(axis=1) <= nearest + 1e-12).all()


def test_the_nearest_mixture_meets_the_conditions_of_optimality():
    rng = np.random.default_rng(1)
    points, corners = rng.normal(0, 3, (30, 6)), rng.normal(0, 1, (9, 6)) + 20
    weights = nearest_mixtures(points, corners)
    gradient = (weights @ corners - points) @ corners.T
    # No corner lies further along than those that have weight (Karush, Kuhn and Tucker).
    gap = (weights * gradient).sum(axis=1) - gradient.min(axis=1)
    assert weights.min() >= 0
    assert np.allclose(weights.sum(axis=1), 1)
    assert gap.max() < 0.05


def test_a_mixture_of_corners_is_no_distance_away(fitted):
    rng = np.random.default_rng(2)
    means = rng.dirichlet(np.ones(len(fitted.corners)), 10) @ fitted.corners
    excess, _ = fitted.compare(means, np.full(10, 1e9))
    assert np.abs(excess).max() < 0.2


def test_sums_are_the_same_in_any_order_and_any_parts():
    positions = np.random.default_rng(3).normal(0, 30, (500, 48)).astype(np.float16)
    whole = FilmSum()
    for one in positions:
        whole.add(position_bytes(one))
    joined = FilmSum()
    for part in np.array_split(positions[np.random.default_rng(4).permutation(500)], 7):
        some = FilmSum()
        for one in part:
            some.add(position_bytes(one))
        joined.join(FilmSum.from_json(some.to_json()))
    assert joined.count == 500
    assert (joined.total == whole.total).all()


def test_known_folders_seldom_raise_the_alarm_and_strange_ones_do(fitted):
    new, rng = made_films(200, seed=5), np.random.default_rng(6)
    positions = fitted.positions(new.features).astype(float)
    corners = new.corner_names()
    means = np.stack([positions[mixed_folder(corners, 50, rng)].mean(axis=0) for _ in range(400)])
    raised = fitted.strangeness_of(means, np.full(400, 50.0)) > fitted.limit()
    assert raised.mean() <= 0.03
    strange = made_films(50, hospitals=HOSPITALS + 1, seed=7).features[-50:]
    mean = fitted.positions(strange).astype(float).mean(axis=0)
    assert fitted.strangeness_of(mean[None], np.array([50.0]))[0] > 2 * fitted.limit()


def test_a_huge_known_folder_does_not_raise_the_alarm(fitted):
    new = made_films(4000, hospitals=1, seed=8)
    mean = fitted.positions(new.features).astype(float).mean(axis=0)
    assert fitted.strangeness_of(mean[None], np.array([8000.0]))[0] < fitted.limit()


def test_a_rarer_alarm_has_a_higher_limit(fitted):
    assert fitted.limit(0.001) > fitted.limit(0.01)


def test_films_that_are_added_are_strange_no_more(fitted):
    strange = made_films(40, hospitals=HOSPITALS + 1, seed=9).take(np.arange(-80, 0))
    mean = fitted.positions(strange.features[:40]).astype(float).mean(axis=0)[None]
    extended = extend_alarm(fitted, strange)
    assert extended.names[-2:] == ("hospital 4, class 0", "hospital 4, class 1")
    assert fitted.strangeness_of(mean, np.array([40.0]))[0] > fitted.limit()
    assert extended.strangeness_of(mean, np.array([40.0]))[0] < extended.limit()


def test_films_that_are_all_alike_make_a_corner_that_can_be_read_again(fitted):
    ten = 10
    alike = KnownFilms(
        np.ones((ten, FEATURES)), ["class 0"] * ten, ["copies"] * ten, [str(number) for number in range(ten)]
    )
    extended = extend_alarm(fitted, alike)
    found = AlarmReference.from_record(extended.to_record())
    assert found.names[-1] == "copies, class 0"
    assert found.strangeness_of(found.corners[-1:], np.array([50.0]))[0] <= found.limit()


def test_a_reference_is_as_it_was_in_a_manifest(fitted):
    manifest = example_manifest(alarm=fitted.to_record())
    found = parse_manifest(manifest.to_json(), path="m.onnx").alarm_reference
    assert found is not None
    assert (found.names, found.accuracy) == (fitted.names, None)
    for name in ("basis", "scale", "offset", "corners", "noise", "spread", "films"):
        assert (getattr(found, name) == getattr(fitted, name)).all(), name
    assert found.limit() == fitted.limit()


def test_a_file_without_features_has_no_alarm():
    record = example_alarm().to_record()
    old = example_manifest(schema_version=1, output_names=("probabilities", "cam"), alarm=record)
    assert old.alarm_reference is None
    assert example_manifest().alarm_reference is None
    assert "alarm" not in example_manifest().to_dict()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"basis": "%%"}, "alarm.basis is damaged"),
        ({"basis": ""}, "alarm.basis has a wrong length"),
        ({"corners": "AAAA"}, "alarm.corners is damaged"),
        ({"names": ("a", "b")}, "alarm.corners has a wrong length"),
        ({"noise": "AADAfw=="}, "alarm.noise has values that are not finite"),
        ({"noise": "AAAAAA=="}, "are to be positive"),
        ({"slope": 1e308}, "are to be numbers of a limit"),
    ],
)
def test_a_damaged_reference_is_refused(changes, reason):
    record = replace(example_alarm().to_record(), **changes)
    with pytest.raises(JsonError, match=reason):
        AlarmReference.from_record(record)
    with pytest.raises(ModelError, match=reason):
        parse_manifest(example_manifest(alarm=record).to_json(), path="m.onnx")


def test_too_few_films_are_refused():
    few = made_films(4)
    with pytest.raises(DataError, match="needs 10 films of a class from one hospital"):
        fit_alarm(few)
    with pytest.raises(DataError, match="no limit"):
        fit_alarm(made_films(14, hospitals=1))


def test_a_position_that_is_no_number_does_not_count():
    assert position_bytes(np.array([1.0, np.nan], np.float16)) == b""

"""The study of the alarm on made-up hospitals: what is strange is found, and what is known is left alone."""

import numpy as np

from benchmarks.studies import alarm
from xray_infer.model.alarm_fitting import KnownFilms


def made_films(strange: float) -> alarm.Films:
    """Three hospitals of two classes; the third is so far away from the others."""
    rng = np.random.default_rng(0)
    places = [(one, label) for one in range(3) for label in range(2) for _ in range(160)]
    means = np.random.default_rng(1).normal(0, 1, (3, 2, 12))
    means[2] += strange
    features = np.array([means[place] for place in places]) + rng.normal(0, 1, (len(places), 12))
    groups = [str(index // 2) for index in range(len(places))]
    known = KnownFilms(
        features, [f"class {label}" for _, label in places], [f"h{one}" for one, _ in places], groups
    )
    folds = (np.arange(len(places)) // 2) % alarm.FOLDS
    return alarm.Films(known, np.array(["all"] * len(places)), folds)


def share(found: list[alarm.Raised], left: str, kind: str, films: int) -> float:
    (one,) = [
        one for one in found if (one.left_out, one.kind, one.films, one.source) == (left, kind, films, "")
    ]
    return one.alarms / one.folders


def test_a_strange_hospital_is_found_and_the_tables_say_so():
    said: list[str] = []
    found = alarm.measure(made_films(3.0), components=6, folders=40, report=said.append)
    assert said == ["without h0", "without h1", "without h2"]
    assert share(found, "h2", alarm.STRANGE, 50) == 1.0
    assert share(found, "h2", alarm.MIXED, 50) <= 0.05
    text = alarm.table(found)
    assert "| strange: of the domain left out, 50 films | 100.0% |" in text
    assert "| h2 | all | 100.0% |" in alarm.sources_table(found)


def test_films_that_are_known_twice_are_not_strange():
    films = made_films(0.0)
    films.known.features[640:] = films.known.features[320:640]  # the third hospital is the second once more
    found = alarm.measure(films, components=6, folders=40, report=lambda line: None)
    assert share(found, "h2", alarm.STRANGE, 50) <= 0.1

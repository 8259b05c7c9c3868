"""The study of the lung detector: its hand-checked films, its altered copies, its figures."""

from collections import Counter
from importlib import resources

import numpy as np
import pytest

from benchmarks.studies.lungs import measuring
from benchmarks.studies.lungs.__main__ import hand_checked
from benchmarks.studies.lungs.measuring import ALTERED, measure, mirrored, shifted, times
from xray_infer.images.lungs import Box


def test_twelve_films_of_each_domain_are_checked_by_hand():
    rows = resources.files("benchmarks.studies.lungs").joinpath("hand_checked.csv").read_text().splitlines()
    assert sorted(Counter(row.split(",")[1] for row in rows[1:]).values()) == [12] * 5
    for left, top, right, bottom in hand_checked().values():
        assert 0 <= left < right - 0.3 <= 0.7
        assert 0 <= top < bottom - 0.3 <= 0.7


@pytest.mark.parametrize("alter", [mirrored, shifted])
def test_a_moved_film_has_its_box_where_its_lungs_went(alter):
    gray = np.zeros((100, 200), np.uint8)
    gray[20:60, 40:100] = 255
    moved, box = alter(gray, np.array([0.2, 0.2, 0.5, 0.6]))
    rows, columns = np.nonzero(moved)
    inside = [columns.min() / 200, rows.min() / 100, (columns.max() + 1) / 200, (rows.max() + 1) / 100]
    assert box == pytest.approx(inside)


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_film_is_one_still(name):
    gray = np.arange(256, dtype=np.uint8).repeat(4).reshape(32, 32)
    altered, box = ALTERED[name](gray, np.array([0.1, 0.1, 0.9, 0.9]))
    assert (altered.dtype, altered.shape) == (np.uint8, (32, 32))
    assert (box <= 1).all()


def test_figures_are_of_the_boxes_found(monkeypatch):
    answers = iter([Box(0, 0, 10, 10), Box(0, 0, 5, 10), None, Box(0, 0, 1, 1)])
    monkeypatch.setattr(measuring, "find_lungs", lambda gray: next(answers))
    gray, whole = np.zeros((10, 10), np.uint8), np.array([0.0, 0, 1, 1])
    found = measure([(gray, whole), (gray, whole), (gray, whole), (gray, None)])
    assert (found.films, found.found, found.mean, found.below_half) == (4, 0.75, 0.75, 0.0)


def test_times_are_in_order():
    took = times([np.zeros((40, 40), np.uint8)] * 3, rounds=2)
    assert 0 < took.p5_ms <= took.median_ms <= took.p95_ms

"""A model that is given the lungs: their box over the film on request, heat within it, and what is said."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from approved import approved
from places import SAMPLES
from PySide6.QtCore import Qt
from specimens import example_manifest, png
from viewer_use import LONG_MS, area, finish, press, shot

from xray_infer.classifier import Classifier
from xray_infer.images.decode import decode
from xray_infer.images.preprocess import lungs_area
from xray_infer.viewer.style import OUTLINE

SAYS = approved("xray-view")

FILM = SAMPLES / "phantom_normal_1.png"
COLOUR = [OUTLINE.blue(), OUTLINE.green(), OUTLINE.red()]


@pytest.fixture(scope="module")
def of_lungs(make_tiny_onnx) -> Path:
    """A tiny model that is given the lungs at 64 pixels."""
    return make_tiny_onnx(example_manifest(preprocessing_version=2, input_shape=(64, 64, 1)))


@pytest.fixture
def films(tmp_path, xray) -> Path:
    """A film with lungs, and a picture without."""
    shutil.copy(FILM, tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(png(xray))
    return tmp_path


def in_view(qtbot, window) -> None:
    qtbot.waitUntil(lambda: window.canvas.has_picture, timeout=LONG_MS)


def outlined(seen: np.ndarray) -> np.ndarray:
    """Where the box is drawn, bool [h, w]."""
    return (seen == COLOUR).all(axis=2)


def test_the_box_is_drawn_where_the_lungs_are_and_goes_with_the_zoom(qtbot, open_window, films, of_lungs):
    window = open_window(films, model=of_lungs)
    finish(qtbot, window)
    in_view(qtbot, window)
    plain = shot(window)
    press(window, Qt.Key.Key_L)
    boxed = shot(window)
    film = decode(FILM.read_bytes())
    rows, columns = area(boxed, *film.shape)
    inside = outlined(boxed[rows, columns])
    height, width = inside.shape
    lungs = lungs_area(film)
    drawn_rows, drawn_columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    edges = drawn_columns[[0, -1]] / width, drawn_rows[[0, -1]] / height
    assert edges[0] == pytest.approx([lungs.left, lungs.right], abs=0.01)
    assert edges[1] == pytest.approx([lungs.top, lungs.bottom], abs=0.01)
    assert inside.mean() < 0.02  # thin: a line along each edge
    assert np.array_equal(boxed[~outlined(boxed)], plain[~outlined(boxed)])
    press(window, Qt.Key.Key_A)
    assert outlined(shot(window)).sum() != outlined(boxed).sum()
    press(window, Qt.Key.Key_F)
    press(window, Qt.Key.Key_L)
    assert np.array_equal(shot(window), plain)


def test_a_picture_without_lungs_has_no_box_and_the_panel_says_why(qtbot, open_window, films, of_lungs):
    window = open_window(films, model=of_lungs)
    finish(qtbot, window)
    in_view(qtbot, window)
    press(window, Qt.Key.Key_L)
    assert outlined(shot(window)).any()
    assert SAYS["no-lungs-were-found"] not in window.answer._verdict.text()
    press(window, Qt.Key.Key_Right)
    in_view(qtbot, window)
    assert not outlined(shot(window)).any()
    assert window.answer._verdict.text().endswith(SAYS["no-lungs-were-found"])
    press(window, Qt.Key.Key_Left)  # the wish stays
    in_view(qtbot, window)
    assert outlined(shot(window)).any()


def test_a_model_of_whole_pictures_has_no_box(qtbot, open_window, films):
    window = open_window(films)
    finish(qtbot, window)
    in_view(qtbot, window)
    press(window, Qt.Key.Key_L)
    assert not outlined(shot(window)).any()
    assert SAYS["no-lungs-were-found"] not in window.answer._verdict.text()


def test_the_heat_map_stays_within_the_box(qtbot, open_window, films, of_lungs):
    window = open_window(films, model=of_lungs)
    finish(qtbot, window)
    in_view(qtbot, window)
    plain = shot(window)
    press(window, Qt.Key.Key_1)
    hot = (shot(window) != plain).any(axis=2)
    assert hot.any()
    film = decode(FILM.read_bytes())
    rows, columns = area(plain, *film.shape)
    height, width = hot[rows, columns].shape
    lungs = lungs_area(film)
    outside = np.ones((height, width), bool)
    top, bottom = int(lungs.top * height) - 4, int(lungs.bottom * height) + 5
    left, right = int(lungs.left * width) - 4, int(lungs.right * width) + 5
    outside[top:bottom, left:right] = False
    assert not hot[rows, columns][outside].any()


def test_the_answers_are_those_of_the_python_interface(qtbot, open_window, films, of_lungs):
    window = open_window(films, model=of_lungs)
    finish(qtbot, window)
    with Classifier(of_lungs) as classifier:
        for place, name in enumerate(("a.png", "b.png")):
            shown, expected = window.films[place].prediction, classifier.predict(films / name)
            assert shown.probabilities == expected.probabilities
            assert shown.lungs == expected.lungs

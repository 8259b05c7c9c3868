"""The viewer's window, offscreen: what a person does, and what is seen and written then."""

import csv
import re

import cv2
import numpy as np
import pytest
from approved import approved
from dicom_files import dicom
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QPixmap, QWheelEvent
from PySide6.QtWidgets import QFileDialog, QMessageBox
from specimens import png
from viewer_use import LONG_MS, area, command_rows, finish, press, shot

from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE
from xray_infer.viewer import films as films_module

SAYS = approved("xray-view")


def test_the_list_has_every_input_in_the_commands_order_with_its_answers(ready, mixed, tiny_onnx, tmp_path):
    with command_rows(mixed, tiny_onnx, tmp_path).open(newline="") as stream:
        expected = list(csv.DictReader(stream))
    rows = [row.values() for row in ready.films.rows()]
    assert [row["path"] for row in rows] == [row["path"] for row in expected]
    assert [row["status"] for row in rows] == [row["status"] for row in expected]
    for mine, theirs in zip(rows, expected, strict=True):
        assert [f"{mine[f'prob_{name}']:.6f}" if mine["label"] else "" for name in CLASS_NAMES] == [
            theirs[f"prob_{name}"] for name in CLASS_NAMES
        ]
    assert SAYS["of-films-could-not"] in ready.status.text
    said = ready.films.data(ready.films.index(0), Qt.ItemDataRole.AccessibleTextRole)
    assert said == f"film0.png\n{rows[0]['label']}\n{rows[0]['confidence']:.1%}"


def test_thumbnails_come_for_what_is_in_view(qtbot, ready):
    good = [place for place in range(len(ready.films)) if not ready.films[place].failed]
    qtbot.waitUntil(lambda: all(ready.films.thumbnail(place) for place in good), timeout=LONG_MS)
    assert len(good) == 6
    assert ready.films.thumbnail(0).height() == 64  # of 300 x 260
    assert ready.films.thumbnail(0).width() == 55


def test_the_picture_is_the_file(ready, mixed):
    """Fitted to the window: its gray levels are those of the file, and nothing is beside it."""
    seen = shot(ready)[..., 0]
    gray = cv2.imread(str(mixed / "film0.png"), cv2.IMREAD_GRAYSCALE)
    inside = area(seen)
    found = seen[inside].copy()
    expected = cv2.resize(gray, found.shape[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.abs(found.astype(int) - expected).mean() < 3
    around = [slice(max(0, one.start - 4), one.stop + 4) for one in inside]
    seen[tuple(around)] = 0
    assert not seen.any()


def test_keys_go_through_the_films_and_the_answer_goes_along(qtbot, ready):
    names = [ready.films[place].name for place in range(len(ready.films))]
    seen = [names[ready.film_list.place]]
    for key in (Qt.Key.Key_Right, Qt.Key.Key_N, Qt.Key.Key_Down, Qt.Key.Key_P, Qt.Key.Key_End):
        press(ready, key)
        seen.append(names[ready.film_list.place])
        assert ready.answer._name.text() == seen[-1]
    assert seen == [*names[:4], names[2], names[-1]]
    press(ready, Qt.Key.Key_Right)  # there is no film after the last
    assert ready.film_list.place == len(names) - 1
    press(ready, Qt.Key.Key_Home)
    press(ready, Qt.Key.Key_PageDown)
    assert ready.film_list.place == len(names) - 1
    press(ready, Qt.Key.Key_PageUp)
    assert ready.film_list.place == 0


def test_a_bad_file_shows_its_reason_in_place_of_the_picture(qtbot, ready):
    press(ready, Qt.Key.Key_U)
    film = ready.films[ready.film_list.place]
    assert film.name == "film1.tif"
    assert not ready.canvas.has_picture
    assert ready.canvas.message == SAYS["could-not-be-read"]
    assert ready.answer._label.text() == "could not be read"
    assert ready.answer.bars.accessibleName() == "Probabilities: none"
    assert (shot(ready) > 100).any()  # words
    press(ready, Qt.Key.Key_U)
    assert ready.canvas.message.startswith(SAYS["could-not-be-read-truncated"])
    press(ready, Qt.Key.Key_U)
    assert SAYS["no-more-films-without"] in ready.status.text
    press(ready, Qt.Key.Key_Home)
    qtbot.waitUntil(lambda: ready.canvas.has_picture, timeout=LONG_MS)
    assert ready.canvas.message == ""


def test_the_slider_fades_the_heat_map_in_and_keys_choose_its_class(qtbot, ready):
    film = ready.films[0]
    plain = shot(ready)
    assert (plain[..., 0] == plain[..., 2]).all()
    press(ready, Qt.Key.Key_BracketRight)
    assert ready.answer.heat.strength == pytest.approx(0.1)
    faint = shot(ready)
    ready.answer.heat._slider.setValue(100)
    strong = shot(ready)
    coloured = [np.abs(one.astype(int) - plain).sum() for one in (faint, strong)]
    assert 0 < coloured[0] < coloured[1] / 3
    shown = {}
    for key, name in zip((Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3), CLASS_NAMES, strict=True):
        press(ready, key)
        assert ready.answer.heat.shown == name
        assert f"'{name}'" in ready.answer.heat._text.text()
        shown[name] = shot(ready)
    press(ready, Qt.Key.Key_0)
    assert np.array_equal(shot(ready), shown[film.prediction.raw_label])
    assert not np.array_equal(shown["covid"], shown["pneumonia"])
    press(ready, Qt.Key.Key_H)
    assert np.array_equal(shot(ready), plain)
    press(ready, Qt.Key.Key_2)  # choosing a class shows it
    assert np.array_equal(shot(ready), shown["pneumonia"])


def test_window_level_and_inversion(qtbot, ready):
    before = shot(ready)
    press(ready, Qt.Key.Key_I)
    inverted = shot(ready)
    inside = area(before)
    assert np.abs(inverted[inside].astype(int) + before[inside] - 255).max() <= 1
    press(ready, Qt.Key.Key_I)
    middle = ready.canvas.rect().center()
    qtbot.mousePress(ready.canvas, Qt.MouseButton.RightButton, pos=middle)
    qtbot.mouseMove(ready.canvas, middle + QPoint(-150, 0))
    qtbot.mouseRelease(ready.canvas, Qt.MouseButton.RightButton, pos=middle + QPoint(-150, 0))
    assert ready.canvas.window_level.width < 255
    assert shot(ready)[inside].astype(int).std() > before[inside].astype(int).std()
    assert "window 1" in ready.status.picture.text()
    press(ready, Qt.Key.Key_R)
    assert np.array_equal(shot(ready), before)
    press(ready, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert shot(ready)[inside].mean() > before[inside].mean()


def test_zoom_and_pan_by_mouse_and_keys(qtbot, ready):
    whole = shot(ready)
    press(ready, Qt.Key.Key_Plus)
    larger = shot(ready)
    assert not np.array_equal(larger, whole)
    qtbot.mousePress(ready.canvas, Qt.MouseButton.LeftButton, pos=QPoint(200, 200))
    qtbot.mouseMove(ready.canvas, QPoint(260, 230))
    qtbot.mouseRelease(ready.canvas, Qt.MouseButton.LeftButton, pos=QPoint(260, 230))
    moved = shot(ready)
    assert np.abs(moved[100:300, 200:400].astype(int) - larger[70:270, 140:340]).max() <= 2
    press(ready, Qt.Key.Key_A)
    assert ", 100%," in ready.status.picture.text()
    middle = QPointF(ready.canvas.rect().center())
    wheel = QWheelEvent(
        middle,
        ready.canvas.mapToGlobal(middle),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    ready.canvas.wheelEvent(wheel)
    assert ", 125%," in ready.status.picture.text()
    press(ready, Qt.Key.Key_F)
    assert np.array_equal(shot(ready), whole)


def test_the_saved_heat_map_is_the_commands(qtbot, ready, mixed, tiny_onnx, tmp_path, monkeypatch):
    command_rows(mixed, tiny_onnx, tmp_path, "--heatmap", tmp_path / "maps", "--heatmap-for", "all")
    asked = []

    def where(parent, title, start, kinds):
        asked.append(start)
        return str(tmp_path / "saved.jpg"), kinds

    monkeypatch.setattr(QFileDialog, "getSaveFileName", where)
    press(ready, Qt.Key.Key_2)
    press(ready, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: "saved " in ready.status.text, timeout=LONG_MS)
    assert asked[0].endswith("film0.png.pneumonia.heatmap.jpg")
    expected = (tmp_path / "maps" / "film0.png.pneumonia.heatmap.jpg").read_bytes()
    assert (tmp_path / "saved.jpg").read_bytes() == expected


def test_saved_rows_are_the_commands(qtbot, ready, mixed, tiny_onnx, tmp_path, monkeypatch):
    out = command_rows(mixed, tiny_onnx, tmp_path)
    places = [tmp_path / "all.csv", tmp_path / "one.csv"]
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *given: (str(places.pop(0)), ""))
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    press(ready, Qt.Key.Key_R, both)
    qtbot.waitUntil(lambda: "saved 8 rows" in ready.status.text, timeout=LONG_MS)
    assert (tmp_path / "all.csv").read_bytes() == out.read_bytes()
    press(ready, Qt.Key.Key_Right)
    press(ready, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: "saved 1 row in" in ready.status.text, timeout=LONG_MS)
    lines = out.read_text().splitlines()
    assert (tmp_path / "one.csv").read_text().splitlines() == [lines[0], lines[2]]


@pytest.mark.parametrize(
    ("name", "problem"), [("a.gif", "cannot write this format"), ("x/a.png", "cannot be")]
)
def test_what_cannot_be_saved_is_told(qtbot, ready, tmp_path, monkeypatch, name, problem):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *given: (str(tmp_path / name), ""))
    ready.save_heat_map()
    qtbot.waitUntil(lambda: problem in ready.status.text, timeout=LONG_MS)
    assert not list(tmp_path.glob("*.gif"))


def test_nothing_to_save_is_told(qtbot, ready, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *given: pytest.fail("asked where"))
    press(ready, Qt.Key.Key_U)
    ready.save_heat_map()
    assert SAYS["no-heat-map-to"] in ready.status.text


def test_thumbnails_are_kept_for_so_many_films_and_no_more(qtbot, ready, monkeypatch):
    monkeypatch.setattr(films_module, "MOST_THUMBNAILS", 3)
    for place in range(5):
        ready.films.keep_thumbnail(place, QPixmap(8, 8))
    assert [ready.films.thumbnail(place) is not None for place in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_a_wider_window_shows_what_a_dicoms_own_window_clips(qtbot, open_window, tmp_path):
    ramp = np.tile(np.arange(0, 4096, 16, dtype=np.uint16), (256, 1))
    narrow = {"WindowCenter": 2048, "WindowWidth": 400}
    (tmp_path / "narrow.dcm").write_bytes(dicom(ramp, bits=12, **narrow))
    window = open_window(tmp_path / "narrow.dcm")
    qtbot.waitUntil(lambda: window.canvas.has_picture, timeout=LONG_MS)

    def clipped():
        inside = shot(window)[area(shot(window), 256, 256)]
        return np.isin(inside, (0, 255)).mean()

    assert clipped() == pytest.approx(1 - 400 / 4096, abs=0.01)
    assert "window 399, level 2,048" in window.status.picture.text()  # LINEAR: half a value less each
    for _ in range(30):
        press(window, Qt.Key.Key_Right, Qt.KeyboardModifier.AltModifier)
    assert clipped() < 0.3
    press(window, Qt.Key.Key_R)
    assert clipped() > 0.9


def test_the_notice_never_scrolls_away_and_keys_are_told(qtbot, ready, monkeypatch):
    ready.resize(700, 420)
    labels = [label for label in ready.answer.findChildren(type(ready.answer._label)) if label.isVisible()]
    (notice,) = [label for label in labels if label.text() == RESEARCH_NOTICE]
    assert ready.rect().contains(notice.mapTo(ready, notice.rect().center()))
    shown = []
    monkeypatch.setattr(QMessageBox, "exec", lambda box: shown.append(box.text()))
    press(ready, Qt.Key.Key_F1)
    assert SAYS["window-and-level-right"] in shown[0]
    assert RESEARCH_NOTICE in shown[0]


def test_no_key_does_two_things_and_f1_lists_all_of_them(ready, monkeypatch):
    window = ready
    actions = [action for menu in window.menuBar().actions() for action in menu.menu().actions()]
    keys = [key.toString() for action in actions for key in action.shortcuts()]
    assert len(keys) == len(set(keys))
    shown = []
    monkeypatch.setattr(QMessageBox, "exec", lambda box: shown.append(box.text()))
    press(window, Qt.Key.Key_F1)
    (page,) = shown
    for action in actions:
        assert not action.shortcuts() or action.text().replace("&", "").rstrip(".") in page
    assert not re.search(r"[a-z]\.[a-z]|_", page)  # no names of the code's
    texts = {action.text().replace("&", "") for action in actions if action.shortcuts()}
    assert {
        "Next film",
        "Zoom in",
        "Move left",
        "Wider window",
        "Inverted",
        "For covid",
        "Save row...",
    } <= texts


def test_names_are_never_taken_for_markup_and_long_ones_do_not_widen_the_panel(
    qtbot, open_window, tmp_path, xray
):
    names = ["<b>x<b>.png", f"{'long' * 50}.png"]
    (tmp_path / "a").mkdir()
    for name in names:
        (tmp_path / "a" / name).write_bytes(png(xray))
    window = open_window(tmp_path / "a")
    finish(qtbot, window)
    tip = window.films.data(window.films.index(0), Qt.ItemDataRole.ToolTipRole)
    assert tip.startswith("<qt>&lt;b&gt;x&lt;b&gt;.png<br>")
    for place, name in enumerate(names):
        window.film_list.choose(place)
        label = window.answer._name
        assert label.text() == name
        assert label.textFormat() == Qt.TextFormat.PlainText
        qtbot.wait(50)
        assert label.width() < window.answer.width()
    assert label.height() > 3 * label.fontMetrics().height()

"""The window of a model with five classes of any names: bars, colours, keys, heat maps and saved rows."""

import csv

import pytest
from any_classes import FIVE
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QRadioButton
from specimens import example_manifest
from viewer_use import LONG_MS, finish, press

from xray_infer.viewer.saving import FileDialogs
from xray_infer.viewer.style import QUIET, class_colour


@pytest.fixture
def window(qtbot, open_window, folder, make_tiny_onnx):
    made = open_window(folder, model=make_tiny_onnx(example_manifest(class_names=FIVE)))
    finish(qtbot, made)
    qtbot.waitUntil(lambda: made.canvas.has_picture, timeout=LONG_MS)
    return made


def test_the_classes_of_the_model_have_bars_buttons_and_keys(qtbot, window, monkeypatch):
    buttons = [button.text() for button in window.answer.heat.findChildren(QRadioButton)]
    assert buttons == ["0 predicted", *(f"{number} {name}" for number, name in enumerate(FIVE, 1))]
    assert window.answer.bars.height() == 26 * len(FIVE)
    for number, name in enumerate(FIVE):
        press(window, Qt.Key(Qt.Key.Key_1 + number))
        assert window.answer.heat.shown == name
        assert window._heatmap().class_name == name
    press(window, Qt.Key.Key_0)
    assert window.answer.heat.shown == "predicted"
    shown = []
    monkeypatch.setattr(QMessageBox, "exec", lambda box: shown.append(box.text()))
    press(window, Qt.Key.Key_F1)
    assert all(f"For {name}" in shown[0] for name in FIVE)


def test_its_rows_are_saved_with_its_columns(qtbot, window, monkeypatch, tmp_path):
    out = tmp_path / "rows.csv"
    monkeypatch.setattr(FileDialogs, "ask_where", lambda *given: out)
    window.save_rows()
    qtbot.waitUntil(out.exists, timeout=LONG_MS)
    with out.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6
    assert {f"prob_{name}" for name in FIVE} <= set(rows[0])
    assert {row["label"] for row in rows} <= set(FIVE)


def test_fifty_classes_have_fifty_colours():
    names = [f"class {number}" for number in range(50)]
    colours = {class_colour(names, name).name() for name in names}
    assert len(colours) == 50
    assert class_colour(names, "uncertain") == QUIET

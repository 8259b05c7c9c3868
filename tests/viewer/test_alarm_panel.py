"""What the window says of all films together, below the answer to one."""

import tiny_alarm
from specimens import example_manifest
from tiny_alarm import STRANGE, example_alarm
from viewer_use import finish


def alarm_model(make_tiny_onnx):
    return make_tiny_onnx(example_manifest(alarm=example_alarm().to_record()))


def said(window) -> str:
    return window.answer._alarm.text() if window.answer._alarm.isVisible() else ""


def test_strange_films_are_said_to_be_so_and_forgotten_with_the_next_folder(
    qtbot, open_window, make_tiny_onnx, tmp_path
):
    tiny_alarm.plant(tmp_path / "strange", 35, gray=STRANGE)
    tiny_alarm.plant(tmp_path / "known", 35)
    tiny_alarm.plant(tmp_path / "few", 3)
    window = open_window(tmp_path / "strange", model=alarm_model(make_tiny_onnx))
    finish(qtbot, window)
    qtbot.waitUntil(lambda: said(window).startswith("These films are unlike"))
    window.open([str(tmp_path / "few")])
    finish(qtbot, window)
    qtbot.waitUntil(lambda: said(window) == "")
    window.open([str(tmp_path / "known")])
    finish(qtbot, window)
    qtbot.waitUntil(lambda: said(window).startswith("Nothing unusual was found: together, the 35"))


def test_a_model_without_a_reference_says_nothing(qtbot, open_window, tmp_path):
    tiny_alarm.plant(tmp_path / "films", 35)
    window = open_window(tmp_path / "films")
    finish(qtbot, window)
    assert window.films.counts["ok"] == 35
    assert said(window) == ""

"""Runs of the viewer: what is opened, in which order it is judged, what hangs, how it ends."""

import csv
import tarfile
import threading

import numpy as np
from approved import approved
from hostile_files import make_corpus
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from specimens import png
from viewer_use import LONG_MS, command_rows, finish

from xray_infer.classifier import BytesItem
from xray_infer.run.sources.folder import FileItem
from xray_infer.viewer import classifying
from xray_infer.viewer.picture_loader import PATIENCE_S, PictureRequest

SAYS = approved("xray-view")


def test_dropped_files_replace_what_was_open(qtbot, ready, mixed, tmp_path, xray):
    other = tmp_path / "other.png"
    other.write_bytes(png(xray[::-1].copy()))
    urls = QMimeData()
    urls.setUrls([QUrl.fromLocalFile(str(other)), QUrl.fromLocalFile(str(mixed / "ward b"))])
    drop = QDropEvent(
        QPointF(5, 5),
        Qt.DropAction.CopyAction,
        urls,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    ready.dropEvent(drop)
    assert drop.isAccepted()
    finish(qtbot, ready)
    names = [ready.films[place].name for place in range(len(ready.films))]
    assert names == [str(other), *(f"{mixed}/ward b/film{number}.jpg" for number in range(3))]


def test_what_cannot_be_opened_says_why(qtbot, open_window, tmp_path):
    window = open_window(tmp_path / "none")
    qtbot.waitUntil(lambda: "No such file" in window.canvas.message, timeout=LONG_MS)
    (tmp_path / "empty").mkdir()
    window.open([str(tmp_path / "empty")])
    qtbot.waitUntil(lambda: "no images in this folder" in window.canvas.message, timeout=LONG_MS)
    window.open([str(tmp_path / "none.png"), str(tmp_path / "gone")])  # of several, each is a film
    finish(qtbot, window)
    assert [row.reason for row in window.films.rows()] == [SAYS["no-such-file-or"]] * 2


def test_archives_are_opened_but_for_those_that_would_have_to_stay_in_memory(
    qtbot, open_window, folder, tmp_path
):
    with (
        tarfile.open(tmp_path / "plain.tar", "w") as plain,
        tarfile.open(tmp_path / "c.tgz", "w:gz") as packed,
    ):
        plain.add(folder, "films")
        packed.add(folder, "films")
    window = open_window(tmp_path / "plain.tar")
    finish(qtbot, window)
    assert window.films.counts == {"ok": 6}
    window.open([str(tmp_path / "c.tgz")])
    qtbot.waitUntil(lambda: "unpack it first" in window.canvas.message, timeout=LONG_MS)
    window.open([str(tmp_path / "c.tgz"), str(folder)])
    finish(qtbot, window)
    assert window.films.counts == {"ok": 6}
    assert "unpack it first" in window.status.text


def test_a_film_that_fails_at_once_is_listed_before_it_is_judged(qtbot, open_window, tmp_path):
    many = tmp_path / "many"
    many.mkdir()
    for number in range(500):
        (many / f"{number:03d}.png").write_bytes(b"")
    window = open_window(many, workers=2)
    finish(qtbot, window)
    assert window.films.counts == {"error": 500}


def test_a_fault_of_the_program_is_told_and_the_window_lives_on(
    qtbot, open_window, folder, monkeypatch, capfd
):
    def broken(item, limits):
        raise ZeroDivisionError("made up")

    monkeypatch.setattr(FileItem, "read", broken)
    window = open_window(folder)
    qtbot.waitUntil(lambda: "a fault of this program: ZeroDivisionError: made up" in window.status.text)
    assert len(window.films) == 6
    assert "made up" in window.answer._model.text()
    assert 'raise ZeroDivisionError("made up")' in capfd.readouterr().err


def test_without_a_usable_model_the_pictures_are_shown_all_the_same(qtbot, open_window, mixed, tmp_path):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"none")
    window = open_window(mixed, model=bad)
    qtbot.waitUntil(lambda: "bad.onnx" in window.status.text, timeout=LONG_MS)
    assert "not an ONNX file" in window.answer._model.text()
    qtbot.waitUntil(lambda: window.canvas.has_picture, timeout=LONG_MS)
    assert not window.status.classifying
    window.film_list.choose(2)
    qtbot.waitUntil(lambda: window.canvas.message == "Could not be read: the file is empty.", timeout=LONG_MS)


def test_what_is_looked_at_is_judged_next_and_its_picture_is_never_another_ones(
    qtbot, open_window, tmp_path, xray, monkeypatch, request
):
    many = tmp_path / "many"
    many.mkdir()
    for number in range(60):
        (many / f"{number:02d}.png").write_bytes(png(np.roll(xray, number, axis=0)))
    gate, order = threading.Event(), []
    request.addfinalizer(gate.set)
    really = FileItem.read

    def read(item, limits):
        if threading.current_thread().name.startswith("classify"):
            order.append(item.name)
            assert gate.wait(60)
        return really(item, limits)

    monkeypatch.setattr(FileItem, "read", read)
    window = open_window(many)
    qtbot.waitUntil(lambda: len(window.films) == 60 and bool(order), timeout=LONG_MS)
    window.film_list.choose(50)
    assert not window.canvas.has_picture  # not the first film's
    assert window.answer._label.text() == "waiting"
    gate.set()
    qtbot.waitUntil(lambda: window.films[50].prediction is not None, timeout=LONG_MS)
    assert order.index("50.png") < 12
    finish(qtbot, window)
    assert sorted(order) == [f"{number:02d}.png" for number in range(60)]
    assert window.answer._label.text() == window.films[50].prediction.label


def test_opening_anew_in_the_middle_drops_the_rest(qtbot, open_window, tmp_path, folder, xray):
    many = tmp_path / "many"
    many.mkdir()
    for number in range(200):
        (many / f"{number:03d}.png").write_bytes(png(np.roll(xray, number, axis=0)))
    window = open_window(many)
    qtbot.waitUntil(lambda: window.films.counts.total() > 3, timeout=LONG_MS)
    window.open([str(folder)])
    finish(qtbot, window)
    assert {row.path for row in window.films.rows()} == {window.films[place].name for place in range(6)}
    assert window.films.counts == {"ok": 6}


def test_a_listing_that_hangs_holds_up_no_other(qtbot, open_window, folder, tmp_path, monkeypatch, request):
    gate = threading.Event()
    request.addfinalizer(gate.set)
    really = classifying.open_sources

    def hang(paths, *, limits):
        if paths == ("dead",):
            gate.wait(60)
        return really(paths, limits=limits)

    monkeypatch.setattr(classifying, "open_sources", hang)
    window = open_window("dead")
    qtbot.wait(50)
    window.open([str(folder)])
    finish(qtbot, window)
    assert window.films.counts == {"ok": 6}
    assert window.still_running
    gate.set()
    qtbot.waitUntil(lambda: window.lister.wait(0), timeout=LONG_MS)
    assert window.films.counts == {"ok": 6}


def test_closing_in_the_middle_of_a_run_ends_all_threads(qtbot, open_window, tmp_path, xray):
    many = tmp_path / "many"
    many.mkdir()
    for number in range(300):
        (many / f"{number:03d}.png").write_bytes(png(np.roll(xray, number, axis=0)))
    window = open_window(many, workers=2)
    qtbot.waitUntil(lambda: window.films.counts.total() > 3, timeout=LONG_MS)
    window.close()
    assert not window.still_running
    assert window.films.counts.total() < 300
    names = {thread.name for thread in threading.enumerate()}
    assert not [name for name in names if name.startswith(("classify", "save"))]


def test_a_film_that_hangs_its_decoder_does_not_keep_others_from_view(qtbot, ready, monkeypatch):
    """Its neighbour's picture is loaded ahead: looking at a third film ends that."""
    decode = ready.loader._decode
    monkeypatch.setitem(decode._settings, "function", "hostile_decoders:obey_picture")
    decode.close()  # the next one is that
    hangs = BytesItem(b"hang", "hangs")
    ready.loader.show(PictureRequest(ready._number, 5, hangs))
    qtbot.waitUntil(lambda: ready.loader._busy[0] == (ready._number, 5), timeout=LONG_MS)
    qtbot.wait(round(1000 * PATIENCE_S) + 100)
    ready.film_list.choose(1)
    qtbot.waitUntil(lambda: ready.canvas.has_picture, timeout=20_000)
    assert ready.film_list.place == 1


def test_hostile_files_get_the_commands_rows_and_each_its_picture_or_a_reason(
    qtbot, open_window, tmp_path, tiny_onnx
):
    """Empty, cut, huge, foreign and damaged files under names that break things."""
    make_corpus(tmp_path / "films")
    with command_rows(tmp_path / "films", tiny_onnx, tmp_path, "--isolate").open(newline="") as stream:
        expected = [(row["status"], row["reason"]) for row in csv.DictReader(stream)]
    assert len(expected) > 300
    window = open_window(tmp_path / "films", workers=2)
    finish(qtbot, window)
    assert [(row.status, row.reason) for row in window.films.rows()] == expected

    def shown() -> bool:
        words = window.canvas.message
        return window.canvas.has_picture or (bool(words) and not words.startswith("Reading"))

    for place, (status, reason) in enumerate(expected):
        window.film_list.choose(place)
        qtbot.waitUntil(shown, timeout=LONG_MS)
        assert window.canvas.has_picture or reason in window.canvas.message
        assert window.canvas.has_picture or status != "ok"

"""The viewer's window, offscreen: what a person does, and what is seen and written then."""

import csv
import tarfile
import threading

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from dicom_files import dicom
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QImage, QWheelEvent
from PySide6.QtWidgets import QFileDialog, QMessageBox
from specimens import jpeg, png

from xray_infer.classes import CLASS_NAMES, RESEARCH_NOTICE
from xray_infer.classifier import BytesItem
from xray_infer.cli import main
from xray_infer.engine import EngineOptions
from xray_infer.sources.folder import FileItem
from xray_infer.viewer import films as films_module
from xray_infer.viewer import judging
from xray_infer.viewer.judging import Wanted
from xray_infer.viewer.pictures import PATIENCE_S, Request
from xray_infer.viewer.window import Window

LONG_MS = 60_000


@pytest.fixture
def open_window(qtbot, tiny_onnx):
    """Make a window with the tiny model, and open paths in it; all windows are closed in the end."""
    made = []

    def make(*paths, model=tiny_onnx, **options):
        window = Window(Wanted(model, "onnx", EngineOptions(isolate_s=60.0, **{"workers": 1, **options})))
        made.append(window)
        qtbot.addWidget(window)
        with qtbot.waitExposed(window):
            window.show()
        if paths:
            window.open([str(path) for path in paths])
        return window

    yield make
    for window in made:
        window.close()
        assert not window.still_running


@pytest.fixture
def mixed(folder, xray):
    """Six good images, an empty file and a cut one."""
    (folder / "film1.tif").write_bytes(b"")
    (folder / "film2.jpg").write_bytes(jpeg(xray)[:800])
    return folder


@pytest.fixture
def ready(qtbot, open_window, mixed):
    """A window in which all of `mixed` is judged, and the first film is in view."""
    window = open_window(mixed)
    finish(qtbot, window)
    qtbot.waitUntil(lambda: window.canvas.has_picture, timeout=LONG_MS)
    return window


def finish(qtbot, window):
    qtbot.waitUntil(
        lambda: len(window.films) > 0 and window.films.counts.total() == len(window.films), timeout=LONG_MS
    )
    qtbot.waitUntil(lambda: not window.status.judging, timeout=LONG_MS)


def press(qtbot, window, key, modifier=Qt.KeyboardModifier.NoModifier):
    qtbot.keyClick(window, key, modifier)


def shot(window) -> np.ndarray:
    """The canvas as it looks, BGR."""
    image = window.canvas.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    pixels = rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)
    return pixels[..., ::-1].copy()  # the image's memory goes with it


def area(seen, height=300, width=260) -> tuple[slice, slice]:
    """Where a fitted picture of this size stands in a shot, without its outermost pixels."""
    scale = min(seen.shape[0] / height, seen.shape[1] / width)
    size = (height * scale, width * scale)
    starts = [(whole - part) / 2 for whole, part in zip(seen.shape, size, strict=False)]
    return tuple(
        slice(int(start) + 2, int(start + part) - 2) for start, part in zip(starts, size, strict=True)
    )


def command_rows(folder, model, tmp_path, *options):
    out = tmp_path / "command.csv"
    CliRunner().invoke(main, [str(folder), "--model", str(model), "--out", str(out), *map(str, options)])
    return out


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
    assert "8 of 8 films, 2 could not be read, 2 other files" in ready.status.text
    tip = ready.films.data(ready.films.index(0), Qt.ItemDataRole.ToolTipRole)
    assert tip == f"film0.png\n{rows[0]['label']}\n{rows[0]['confidence']:.1%}"


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
        press(qtbot, ready, key)
        seen.append(names[ready.film_list.place])
        assert ready.answer._name.text() == seen[-1]
    assert seen == [*names[:4], names[2], names[-1]]
    press(qtbot, ready, Qt.Key.Key_Right)  # there is no film after the last
    assert ready.film_list.place == len(names) - 1
    press(qtbot, ready, Qt.Key.Key_Home)
    press(qtbot, ready, Qt.Key.Key_PageDown)
    assert ready.film_list.place == len(names) - 1
    press(qtbot, ready, Qt.Key.Key_PageUp)
    assert ready.film_list.place == 0


def test_a_bad_file_shows_its_reason_in_place_of_the_picture(qtbot, ready):
    press(qtbot, ready, Qt.Key.Key_U)
    film = ready.films[ready.film_list.place]
    assert film.name == "film1.tif"
    assert not ready.canvas.has_picture
    assert ready.canvas.words == "Could not be read: the file is empty."
    assert ready.answer._label.text() == "could not be read"
    assert ready.answer.bars.accessibleName() == "Probabilities: none"
    assert (shot(ready) > 100).any()  # words
    press(qtbot, ready, Qt.Key.Key_U)
    assert ready.canvas.words.startswith("Could not be read: truncated JPEG")
    press(qtbot, ready, Qt.Key.Key_U)
    assert "no more films without an answer" in ready.status.text
    press(qtbot, ready, Qt.Key.Key_Home)
    qtbot.waitUntil(lambda: ready.canvas.has_picture, timeout=LONG_MS)
    assert ready.canvas.words == ""


def test_the_slider_fades_the_heat_map_in_and_keys_choose_its_class(qtbot, ready):
    film = ready.films[0]
    plain = shot(ready)
    assert (plain[..., 0] == plain[..., 2]).all()
    press(qtbot, ready, Qt.Key.Key_BracketRight)
    assert ready.answer.heat.strength == pytest.approx(0.1)
    faint = shot(ready)
    ready.answer.heat._slider.setValue(100)
    strong = shot(ready)
    coloured = [np.abs(one.astype(int) - plain).sum() for one in (faint, strong)]
    assert 0 < coloured[0] < coloured[1] / 3
    shown = {}
    for key, name in zip((Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3), CLASS_NAMES, strict=True):
        press(qtbot, ready, key)
        assert ready.answer.heat.shown == name
        assert f"'{name}'" in ready.answer.heat._text.text()
        shown[name] = shot(ready)
    press(qtbot, ready, Qt.Key.Key_0)
    assert np.array_equal(shot(ready), shown[film.prediction.raw_label])
    assert not np.array_equal(shown["covid"], shown["pneumonia"])
    press(qtbot, ready, Qt.Key.Key_H)
    assert np.array_equal(shot(ready), plain)
    press(qtbot, ready, Qt.Key.Key_2)  # choosing a class shows it
    assert np.array_equal(shot(ready), shown["pneumonia"])


def test_window_level_and_inversion(qtbot, ready):
    before = shot(ready)
    press(qtbot, ready, Qt.Key.Key_I)
    inverted = shot(ready)
    inside = area(before)
    assert np.abs(inverted[inside].astype(int) + before[inside] - 255).max() <= 1
    press(qtbot, ready, Qt.Key.Key_I)
    middle = ready.canvas.rect().center()
    qtbot.mousePress(ready.canvas, Qt.MouseButton.RightButton, pos=middle)
    qtbot.mouseMove(ready.canvas, middle + QPoint(-150, 0))
    qtbot.mouseRelease(ready.canvas, Qt.MouseButton.RightButton, pos=middle + QPoint(-150, 0))
    assert ready.canvas.window_now.width < 255
    assert shot(ready)[inside].astype(int).std() > before[inside].astype(int).std()
    assert "window 1" in ready.status.picture.text()
    press(qtbot, ready, Qt.Key.Key_R)
    assert np.array_equal(shot(ready), before)
    press(qtbot, ready, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert shot(ready)[inside].mean() > before[inside].mean()


def test_zoom_and_pan_by_mouse_and_keys(qtbot, ready):
    whole = shot(ready)
    press(qtbot, ready, Qt.Key.Key_Plus)
    larger = shot(ready)
    assert not np.array_equal(larger, whole)
    qtbot.mousePress(ready.canvas, Qt.MouseButton.LeftButton, pos=QPoint(200, 200))
    qtbot.mouseMove(ready.canvas, QPoint(260, 230))
    qtbot.mouseRelease(ready.canvas, Qt.MouseButton.LeftButton, pos=QPoint(260, 230))
    moved = shot(ready)
    assert np.abs(moved[100:300, 200:400].astype(int) - larger[70:270, 140:340]).max() <= 2
    press(qtbot, ready, Qt.Key.Key_A)
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
    press(qtbot, ready, Qt.Key.Key_F)
    assert np.array_equal(shot(ready), whole)


def test_the_saved_heat_map_is_the_commands(qtbot, ready, mixed, tiny_onnx, tmp_path, monkeypatch):
    command_rows(mixed, tiny_onnx, tmp_path, "--heatmap", tmp_path / "maps", "--heatmap-for", "all")
    asked = []

    def where(parent, title, start, kinds):
        asked.append(start)
        return str(tmp_path / "saved.jpg"), kinds

    monkeypatch.setattr(QFileDialog, "getSaveFileName", where)
    press(qtbot, ready, Qt.Key.Key_2)
    press(qtbot, ready, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: "saved " in ready.status.text, timeout=LONG_MS)
    assert asked[0].endswith("film0.png.pneumonia.heatmap.jpg")
    expected = (tmp_path / "maps" / "film0.png.pneumonia.heatmap.jpg").read_bytes()
    assert (tmp_path / "saved.jpg").read_bytes() == expected


def test_saved_rows_are_the_commands(qtbot, ready, mixed, tiny_onnx, tmp_path, monkeypatch):
    out = command_rows(mixed, tiny_onnx, tmp_path)
    places = [tmp_path / "all.csv", tmp_path / "one.csv"]
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *given: (str(places.pop(0)), ""))
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    press(qtbot, ready, Qt.Key.Key_R, both)
    qtbot.waitUntil(lambda: "saved 8 rows" in ready.status.text, timeout=LONG_MS)
    assert (tmp_path / "all.csv").read_bytes() == out.read_bytes()
    press(qtbot, ready, Qt.Key.Key_Right)
    press(qtbot, ready, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
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
    press(qtbot, ready, Qt.Key.Key_U)
    ready.save_heat_map()
    assert "no heat map to save" in ready.status.text


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
    qtbot.waitUntil(lambda: "No such file" in window.canvas.words, timeout=LONG_MS)
    (tmp_path / "empty").mkdir()
    window.open([str(tmp_path / "empty")])
    qtbot.waitUntil(lambda: "no images in this folder" in window.canvas.words, timeout=LONG_MS)
    window.open([str(tmp_path / "none.png"), str(tmp_path / "gone")])  # of several, each is a film
    finish(qtbot, window)
    assert [row.reason for row in window.films.rows()] == ["No such file or directory"] * 2


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
    qtbot.waitUntil(lambda: "unpack it first" in window.canvas.words, timeout=LONG_MS)
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
    assert not window.status.judging
    window.film_list.choose(2)
    qtbot.waitUntil(lambda: window.canvas.words == "Could not be read: the file is empty.", timeout=LONG_MS)


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
    really = judging.open_sources

    def hang(paths, *, limits):
        if paths == ("dead",):
            gate.wait(60)
        return really(paths, limits=limits)

    monkeypatch.setattr(judging, "open_sources", hang)
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
    ready.loader.show(Request(ready._number, 5, hangs))
    qtbot.waitUntil(lambda: ready.loader._busy[0] == (ready._number, 5), timeout=LONG_MS)
    qtbot.wait(round(1000 * PATIENCE_S) + 100)
    ready.film_list.choose(1)
    qtbot.waitUntil(lambda: ready.canvas.has_picture, timeout=20_000)
    assert ready.film_list.place == 1


def test_thumbnails_are_kept_for_so_many_films_and_no_more(qtbot, ready, monkeypatch):
    from PySide6.QtGui import QPixmap

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
        press(qtbot, window, Qt.Key.Key_Right, Qt.KeyboardModifier.AltModifier)
    assert clipped() < 0.3
    press(qtbot, window, Qt.Key.Key_R)
    assert clipped() > 0.9


def test_the_notice_never_scrolls_away_and_keys_are_told(qtbot, ready, monkeypatch):
    ready.resize(700, 420)
    labels = [label for label in ready.answer.findChildren(type(ready.answer._label)) if label.isVisible()]
    (notice,) = [label for label in labels if label.text() == RESEARCH_NOTICE]
    assert ready.rect().contains(notice.mapTo(ready, notice.rect().center()))
    shown = []
    monkeypatch.setattr(QMessageBox, "exec", lambda box: shown.append(box.text()))
    press(qtbot, ready, Qt.Key.Key_F1)
    assert "window and level: right is wider" in shown[0]
    assert RESEARCH_NOTICE in shown[0]


def test_names_are_never_taken_for_markup_and_long_ones_do_not_widen_the_panel(
    qtbot, open_window, tmp_path, xray
):
    names = ["<b>x<b>.png", f"{'long' * 50}.png"]
    (tmp_path / "a").mkdir()
    for name in names:
        (tmp_path / "a" / name).write_bytes(png(xray))
    window = open_window(tmp_path / "a")
    finish(qtbot, window)
    for place, name in enumerate(names):
        window.film_list.choose(place)
        label = window.answer._name
        assert label.text() == name
        assert label.textFormat() == Qt.TextFormat.PlainText
        qtbot.wait(50)
        assert label.width() < window.answer.width()
    assert label.height() > 3 * label.fontMetrics().height()

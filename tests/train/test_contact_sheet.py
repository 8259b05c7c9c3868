"""The contact sheet of a report: thumbnails in their own shape, and a word where there is none."""

import cv2
import numpy as np
import pytest
from specimens import png

pytest.importorskip("matplotlib")
from xray_infer.classes import CLASS_NAMES
from xray_infer.train.predictions import Predictions
from xray_infer.train.report.contact_sheet import draw_contact_sheet
from xray_infer.train.report.figures import WrongImage
from xray_infer.train.report.plots import save


def first_tile(tmp_path, path):
    """The thumbnail of a contact sheet whose one error is the image at `path`."""
    error = WrongImage(0, path.name, "", "covid", "normal", 0.9)
    split = Predictions((path,), np.zeros(1, np.int64), np.array([[0.0, 0, 1]]), ("",), ("",), CLASS_NAMES)
    save(draw_contact_sheet("x", split, [error], 1), tmp_path / "sheet.png")
    return cv2.imread(str(tmp_path / "sheet.png"), cv2.IMREAD_GRAYSCALE)[46:266, 12:232]


def test_contact_sheet_keeps_the_aspect_of_a_picture(tmp_path):
    """A black picture, twice as wide as high: 220 by 110 black pixels in the middle of the tile."""
    path = tmp_path / "wide.png"
    path.write_bytes(png(np.zeros((50, 100), np.uint8)))
    black = first_tile(tmp_path, path) == 0
    rows, columns = np.flatnonzero(black.any(axis=1)), np.flatnonzero(black.any(axis=0))
    assert (len(rows), len(columns)) == (pytest.approx(110, abs=2), pytest.approx(220, abs=2))
    assert rows[0] == pytest.approx(55, abs=2)


def test_files_that_are_gone_or_damaged_are_tiles_that_say_so(tmp_path):
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"\x89PNG\r\n\x1a\n no more")
    tiles = [first_tile(tmp_path, path) for path in (damaged, tmp_path / "gone.png")]
    assert not np.array_equal(*tiles)  # the reasons differ
    for tile in tiles:
        assert (tile == 215).mean() > 0.9  # blank
        assert (tile < 100).any()  # but for a line of text

"""The measurement of reduced JPEG decoding."""

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from specimens import jpeg, png

from benchmarks.studies.reduced import compare_reductions, main, reductions_table
from xray_infer.errors import DataError
from xray_infer.images.decode import decode
from xray_infer.images.preprocess import to_input
from xray_infer.model.runtimes import find_model


@pytest.fixture
def films(tmp_path, xray):
    """Two JPEGs, of which the rule of 2 sides reduces one and that of 1 side both, and two other files."""
    for name, side in (("large.jpg", 1000), ("small.jpg", 600)):
        picture = cv2.resize(xray, (side, side), interpolation=cv2.INTER_CUBIC)
        (tmp_path / name).write_bytes(jpeg(picture))
    (tmp_path / "other.png").write_bytes(png(xray))
    (tmp_path / "cut.jpg").write_bytes(jpeg(xray)[:-2])
    return tmp_path


def test_every_figure_is_of_the_files_that_become_smaller(films, tiny_onnx):
    session = find_model(tiny_onnx).open()
    large, small = (films / "large.jpg").read_bytes(), (films / "small.jpg").read_bytes()
    twice, once = compare_reductions([large, small], session, rounds=1)
    assert (twice.jpegs, twice.reduced, once.reduced) == (2, 1, 2)
    inputs = np.stack([to_input(decode(large, side=kept), side=224) for kept in (0, 224)])
    full, reduced = session.run(inputs).probabilities
    assert twice.max_dp == pytest.approx(np.abs(full - reduced).max(), abs=1e-6)
    assert twice.mean_dp == pytest.approx(np.abs(full - reduced).mean(), abs=1e-6)
    assert twice.agreement == float(full.argmax() == reduced.argmax())
    assert "| 1 of 2 |" in reductions_table([twice, once])


def test_the_command(films, tiny_onnx):
    given = [str(films), "--model", str(tiny_onnx), "--rounds", "1"]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == 0, result.output
    assert "| 1 of 2 |" in result.stdout
    assert "| 2 of 2 |" in result.stdout
    assert "cut.jpg: truncated JPEG" in result.stderr


def test_nothing_to_reduce_is_said(tmp_path, xray, tiny_onnx):
    (tmp_path / "film.png").write_bytes(png(xray))
    result = CliRunner().invoke(main, [str(tmp_path), "--model", str(tiny_onnx)])
    assert result.exit_code == 2
    assert "there is no JPEG" in result.stderr
    with pytest.raises(DataError, match="large enough"):
        compare_reductions([jpeg(xray)], find_model(tiny_onnx).open(), rounds=1)

"""The committed phantoms are what `samples/render.py` draws, and stay small."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from places import SAMPLES

GROUPS = ("normal", "focal", "bilateral")
# Between library versions JPEG decoders may differ by two gray levels, drawing by one at an edge.
TOLERANCE_LEVELS = {".jpg": 2, ".png": 1}
FILE_NAMES = sorted(path.name for path in SAMPLES.glob("phantom_*"))


def decode(path):
    """The file's pixels as stored, depth and channels unchanged."""
    pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None, path
    return pixels


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A folder with all phantoms drawn anew."""
    folder = tmp_path_factory.mktemp("phantoms")
    script = SAMPLES / "render.py"
    subprocess.run([sys.executable, str(script), "--out", str(folder)], check=True, timeout=60)
    return folder


def test_every_phantom_is_committed(rendered):
    assert sorted(path.name for path in rendered.iterdir()) == FILE_NAMES
    assert sorted(Path(name).stem for name in FILE_NAMES) == sorted(
        f"phantom_{group}_{number}" for group in GROUPS for number in (1, 2)
    )


@pytest.mark.parametrize("name", FILE_NAMES)
def test_rendering_again_gives_the_same_pixels(rendered, name):
    committed, again = decode(SAMPLES / name), decode(rendered / name)
    assert (again.dtype, again.shape) == (committed.dtype, committed.shape)
    per_level = 16 if committed.dtype == np.uint16 else 1  # 4095 against 255 at white
    difference = np.abs(again.astype(int) - committed.astype(int)).max() / per_level
    assert difference <= TOLERANCE_LEVELS[Path(name).suffix]


def test_encodings_exercise_the_decoders():
    pixels = {name: decode(SAMPLES / name) for name in FILE_NAMES}
    deep = [image for image in pixels.values() if image.dtype == np.uint16]
    assert [image.ndim for image in deep] == [2]
    assert 255 < deep[0].max() <= 4095
    assert [image.dtype for image in pixels.values() if image.ndim == 3] == [np.uint8]
    assert sum(name.endswith(".jpg") for name in FILE_NAMES) == 2
    assert len({image.shape[:2] for image in pixels.values()}) == len(pixels)


def test_phantoms_are_small_enough_to_commit():
    assert sum((SAMPLES / name).stat().st_size for name in FILE_NAMES) < 1_500_000

"""What guesses without lungs reach."""

import json
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from specimens import png

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError, MissingExtraError
from xray_infer.study.datasets import Dataset, LabelledImage
from xray_infer.train.data.splits import write_manifest
from xray_infer.train.data.yardsticks import FACTS, file_facts, yardsticks
from xray_infer.train.data_cli import yardsticks_command

SAYS = approved("xray-train")


@pytest.fixture(scope="module")
def betraying(tmp_path_factory):
    """Noise whose size and upper left corner tell the class; the source tells it in nine of ten cases."""
    root = tmp_path_factory.mktemp("betraying")
    rng = np.random.default_rng(0)
    images = []
    for label in range(3):
        for number in range(40):
            side = 40 + 20 * label
            pixels = rng.integers(60, 120, (side, side)).astype(np.uint8)
            pixels[: side // 2, : side // 2] += np.uint8(60 * label)
            path = root / f"{label}-{number}.png"
            path.write_bytes(png(pixels))
            split = "val" if number % 4 == 1 else "test" if number % 4 == 2 else "train"
            source = "abc"[(label + (number % 10 == 0)) % 3]
            images.append(LabelledImage(path, label, str(path.name), split, source=source))
    return Dataset(tuple(images), CLASS_NAMES)


def test_file_facts_are_what_they_say():
    pixels = np.full((100, 50), 100, np.uint8)
    pixels[:2] = 255
    pixels[50:60, 20:30] = 0
    facts = dict(zip(FACTS, file_facts(b"12345", pixels), strict=True))
    assert (facts["width"], facts["height"], facts["aspect"], facts["bytes"]) == (50, 100, 0.5, 5)
    assert facts["brightness"] == pytest.approx(pixels.mean())
    assert facts["contrast"] == pytest.approx(pixels.std())
    assert (facts["black_share"], facts["white_share"]) == (0.02, 0.02)
    # The border is 2 pixels wide; 100 of its pixels are white.
    frame = 100 * 50 - 96 * 46
    assert facts["border_brightness"] == pytest.approx((100 * 255 + (frame - 100) * 100) / frame)
    blurred = file_facts(b"", cv2.GaussianBlur(pixels, (0, 0), 3))
    assert blurred[FACTS.index("sharpness")] < facts["sharpness"] / 10


def test_each_yardstick_finds_what_betrays_the_class(betraying):
    pytest.importorskip("sklearn")
    found = {one.name: one for one in yardsticks(betraying)}
    commonest, source, forest, linear = found.values()
    assert list(found)[:2] == ["commonest class", "source alone"]
    assert commonest.test.accuracy == pytest.approx(1 / 3)
    # number % 10 == 0 and number % 4 == 2: 10 and 30, two of ten test images a class.
    assert source.test.accuracy == pytest.approx(0.8)
    assert source.val.accuracy == 1
    assert forest.test.accuracy == 1
    assert linear.test.accuracy > 0.9
    assert linear.test.accuracy_interval[0] < linear.test.accuracy <= linear.test.accuracy_interval[1]
    assert np.sum(source.test.confusion) == source.test.images == 30
    assert np.trace(source.test.confusion) == 24
    assert {one.name: one for one in yardsticks(betraying)} == found


def test_unknown_sources_give_no_yardstick(betraying):
    pytest.importorskip("sklearn")
    bare = replace(betraying, images=tuple(replace(image, source="") for image in betraying.images))
    assert [one.name for one in yardsticks(bare)][:2] == [
        "commonest class",
        SAYS["random-forest-on-facts"],
    ]


def test_what_is_missing_is_said(betraying, monkeypatch):
    pytest.importorskip("sklearn")
    with pytest.raises(DataError, match=SAYS["no-images-in-the"]):
        yardsticks(replace(betraying, images=betraying.split("train")))
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(MissingExtraError, match=SAYS["the-yardsticks-needs-an"]):
        yardsticks(betraying)


def test_the_command_prints_a_table_and_json(betraying, tmp_path):
    pytest.importorskip("sklearn")
    write_manifest(betraying, tmp_path / "split.csv")
    record = tmp_path / "yardsticks.json"
    done = CliRunner().invoke(yardsticks_command, [str(tmp_path / "split.csv"), "--json", str(record)])
    assert done.exit_code == 0, done.output
    assert "source alone" in done.stdout
    assert "80.0 % (" in done.stdout
    saved = json.loads(record.read_text())["yardsticks"]
    assert saved[1]["test"]["accuracy"] == pytest.approx(0.8)
    assert len(saved[1]["test"]["confusion"]) == len(CLASS_NAMES)

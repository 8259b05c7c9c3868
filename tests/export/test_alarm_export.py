"""`xray-export alarm`: an exported file learns what its training hospitals look like; its answers stay."""

import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from specimens import example_manifest, png

pytest.importorskip("onnx")

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError
from xray_infer.export.alarm_export import add_alarm
from xray_infer.export.cli import main
from xray_infer.model.manifest_parts import LeftOutAccuracy
from xray_infer.model.runtimes import find_model
from xray_infer.study.confidence import read_left_out_accuracy
from xray_infer.study.datasets import read_dataset

HOSPITALS = ("a", "b")


@pytest.fixture
def hospitals(tmp_path):
    """Two hospitals, brighter and darker, forty training films of each class from each."""
    root, rng = tmp_path / "data", np.random.default_rng(0)
    root.mkdir()
    with (root / "manifest.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("file", "label", "split", "domain", "group_id"))
        for number in range(42 * len(CLASS_NAMES) * len(HOSPITALS)):
            label, hospital = CLASS_NAMES[number % 3], HOSPITALS[number // 3 % 2]
            split = ("train", "val", "test")[max(0, number // 6 - 39)]
            gray = 90 + 60 * (hospital == "b") + 10 * (number % 3) + rng.normal(0, 5)
            pixels = np.clip(rng.normal(gray, 20, (40, 40)), 0, 255).astype(np.uint8)
            (root / f"{number}.png").write_bytes(png(cv2.resize(pixels, (64, 64))))
            rows.writerow((f"{number}.png", label, split, hospital, f"g{number // 2}"))
    return root


@pytest.fixture
def plain(make_tiny_onnx, hospitals):
    """A file that was trained on them and knows nothing of them."""
    return make_tiny_onnx(example_manifest(training={"data_sha256": read_dataset(hospitals).digest}))


def run(*arguments):
    return CliRunner().invoke(main, ["alarm", *map(str, arguments)])


def test_a_file_learns_its_hospitals_and_answers_as_before(plain, hospitals, tmp_path):
    out = tmp_path / "new.onnx"
    result = run(plain, "--data", hospitals, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert "a, covid" in result.stdout
    before, after = find_model(plain).open(), find_model(out).open()
    reference = after.manifest.alarm_reference
    assert reference.names == tuple(sorted(f"{one}, {label}" for one in HOSPITALS for label in CLASS_NAMES))
    assert reference.films.tolist() == [40.0] * 6
    assert replace(after.manifest, alarm=None) == before.manifest
    images = np.random.default_rng(1).integers(0, 256, (3, *before.manifest.input_shape), np.uint8)
    for name in ("probabilities", "cam", "features"):
        assert (getattr(before.run(images), name) == getattr(after.run(images), name)).all()


def test_the_accuracy_is_that_of_the_domains_left_out(plain, hospitals, tmp_path):
    from places import REPOSITORY

    evidence = REPOSITORY / "benchmarks" / "results" / "left-out" / "evidence.json"
    methods = json.loads(evidence.read_text())["leave_one_domain_out"]["methods"]
    kept = [one["accuracy"] for one in methods["fine_tuning"]["domains"]]
    wanted = LeftOutAccuracy(
        float(np.mean([one["value"] for one in kept])),
        (min(one["interval"][0] for one in kept), max(one["interval"][1] for one in kept)),
    )
    assert read_left_out_accuracy(evidence, method="fine_tuning") == wanted
    assert read_left_out_accuracy(evidence, method="other") is None
    out = tmp_path / "new.onnx"
    assert run(plain, "--data", hospitals, "--out", out, "--evidence", evidence).exit_code == 0
    assert find_model(out).manifest().alarm.accuracy == wanted


def test_damaged_evidence_is_refused(tmp_path):
    path = tmp_path / "evidence.json"
    path.write_text('{"leave_one_domain_out": {"methods": {"fine_tuning": {"domains": 3}}}}')
    with pytest.raises(DataError, match="the evidence is damaged"):
        read_left_out_accuracy(path, method="fine_tuning")
    with pytest.raises(DataError, match="cannot read the evidence"):
        read_left_out_accuracy(tmp_path / "none.json", method="fine_tuning")


def test_other_data_and_old_files_are_refused_in_one_line(plain, hospitals, make_tiny_onnx, split_tree):
    result = run(plain, "--data", split_tree)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "not the data that" in result.stderr
    old = make_tiny_onnx(example_manifest(schema_version=1, output_names=("probabilities", "cam")))
    assert "has no output features; export the model again" in run(old, "--data", hospitals).stderr


def test_an_export_of_few_films_goes_without_and_says_so(plain, split_tree):
    said = []
    manifest = find_model(plain).manifest()
    images = read_dataset(split_tree).split("train")
    found = add_alarm(plain.read_bytes(), manifest, images, accuracy=None, report=said.append)
    assert found.alarm is None
    assert "no alarm for strange folders" in said[-1]

"""`--dicom-out` in a run: which objects are made, what becomes of strange files, and of a run that stops."""

import csv
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from approved import approved
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
)
from specimens import png

from xray_infer.classes import CLASS_NAMES
from xray_infer.run.sources.folder import FileItem

hd = pytest.importorskip("highdicom")

from dicom_results import ROOT, classified, film, made, making, objects, run  # noqa: E402

from xray_infer.errors import ImageError  # noqa: E402
from xray_infer.images.limits import DEFAULT_LIMITS  # noqa: E402
from xray_infer.outputs.dicom.instance import Program  # noqa: E402
from xray_infer.outputs.dicom.original import read_original  # noqa: E402
from xray_infer.outputs.dicom.secondary_capture import LONGEST_SIDE  # noqa: E402
from xray_infer.outputs.dicom.structured_report import LABEL, probability_code  # noqa: E402
from xray_infer.outputs.shrinking import shrunk  # noqa: E402

SAYS = approved("xray-infer")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def films(tmp_path, xray) -> Path:
    """Two radiographs of one study in a sub-folder, one of another, a CT, a PNG."""
    root = tmp_path / "films"
    (root / "b").mkdir(parents=True)
    (root / "b" / "1.dcm").write_bytes(film(xray))
    (root / "b" / "2").write_bytes(film(xray[::-1], SOPInstanceUID=ROOT + "4", InstanceNumber=8))
    (root / "other.dcm").write_bytes(film(xray, StudyInstanceUID=ROOT + "9", SOPInstanceUID=ROOT + "5"))
    (root / "ct.dcm").write_bytes(film(xray, Modality="CT", SOPInstanceUID=ROOT + "6"))
    (root / "film.png").write_bytes(png(xray))
    return root


NAMES = ("b/1.dcm", "b/2", "other.dcm")
EXPECTED = sorted(f"{name}.{kind}.dcm" for name in NAMES for kind in ("heatmap", "report"))


def test_a_folder_gives_a_heat_map_and_a_report_for_each_radiograph(films, tiny_onnx, tmp_path):
    out, objects_out = tmp_path / "r.csv", tmp_path / "objects"
    result = run(films, "--model", tiny_onnx, "--out", out, "--dicom-out", objects_out, "--workers", 3)
    assert result.exit_code == 0, result.output
    found = objects(objects_out)
    assert sorted(found) == EXPECTED
    assert SAYS["image-is-not-dicom"] in result.stderr
    with out.open(newline="") as stream:
        rows = {row["path"]: row for row in csv.DictReader(stream)}
    assert {name: row["status"] for name, row in rows.items()} == {
        **dict.fromkeys((*NAMES, "film.png"), "ok"),
        "ct.dcm": "rejected",
    }
    for name in NAMES:
        report = hd.sr.srread(objects_out / f"{name}.report.dcm")
        (group,) = report.content.get_image_measurement_groups()
        values = {one.name.value: one.value for one in group.get_measurements()}
        for label in CLASS_NAMES:
            code = probability_code(label)
            assert values[code.value] == pytest.approx(float(rows[name][f"prob_{label}"]), abs=1e-6)
        (label,) = group.get_qualitative_evaluations(LABEL)
        assert label.value.value == rows[name]["label"].upper()
    record = json.loads((tmp_path / "r.csv.run.json").read_text())
    assert record["beside_the_rows"]["dicom_out"] == {"not_dicom": 1, "without_objects": 0, "first": []}
    assert record["versions"]["highdicom"] == hd.__version__


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_what_nothing_can_refer_to_keeps_its_row(films, tiny_onnx, tmp_path, xray, keyword):
    (films / "b" / "3.dcm").write_bytes(film(xray, **{keyword: None}))
    (films / "b" / "4.dcm").write_bytes(film(xray, **{keyword: "not.a.uid"}))
    out = tmp_path / "r.jsonl"
    result = run(films, "--model", tiny_onnx, "--out", out, "--dicom-out", tmp_path / "o", "--workers", 1)
    assert result.exit_code == 0
    (line,) = [line for line in result.stderr.splitlines() if "no DICOM output" in line]
    assert line.startswith(SAYS["dicom-files-were-classified"])
    assert SAYS["b-dcm-nothing-can"].format(keyword=keyword) in line
    assert sorted(objects(tmp_path / "o")) == EXPECTED
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["status"] for row in rows].count("ok") == 6
    record = json.loads((tmp_path / "r.jsonl.run.json").read_text())
    assert record["beside_the_rows"]["dicom_out"]["without_objects"] == 2


def test_only_the_first_few_are_named(tmp_path, xray):
    artifact = making(tmp_path)
    for index in range(9):
        artifact.make(classified(film(xray, StudyInstanceUID=None), xray, f"{index}.dcm"))
    (line,) = artifact.closing_lines()
    assert "4.dcm: " in line
    assert "5.dcm: " not in line
    assert line.startswith("9 DICOM files")
    assert line.endswith("; ...")


def test_damaged_headers_cost_their_objects_only(tmp_path, xray):
    """Bytes of the header are changed at random; whatever pydicom makes of them, nothing is raised."""
    data = bytearray(film(cv2.resize(xray, (16, 16)), DeidentificationMethodCodeSequence=[]))
    rng = random.Random(5)
    artifact, tried = making(tmp_path), 150
    for number in range(tried):
        bad = bytearray(data)
        for _ in range(rng.randint(1, 6)):
            bad[rng.randrange(132, len(data) - 300)] = rng.randrange(256)
        artifact.make(classified(bytes(bad), xray[:16, :16], f"{number}.dcm"))
    written = list(tmp_path.glob("*.dcm"))
    assert len(written) == 2 * (tried - artifact.passed_over.unfit - artifact.passed_over.others)
    assert 0 < artifact.passed_over.unfit < tried
    for path in written:
        assert pydicom.dcmread(path).StudyInstanceUID


def test_a_deflated_header_is_inflated_under_the_limits(xray):
    data = film(xray, syntax=DeflatedExplicitVRLittleEndian)
    with pytest.raises(ImageError, match="limit"):
        read_original(data, replace(DEFAULT_LIMITS, max_file_bytes=1000))


def test_the_same_run_gives_the_same_uids_and_another_gives_others(tmp_path, xray):
    first = made(tmp_path / "1", film(xray), xray)
    again = made(tmp_path / "2", film(xray), xray)
    assert [one.SOPInstanceUID for one in first] == [one.SOPInstanceUID for one in again]
    renamed = made(tmp_path / "3", film(xray, PatientName="Doe^John"), xray)
    for before, after in zip(first, renamed, strict=True):
        assert before.SOPInstanceUID != after.SOPInstanceUID
        assert before.SeriesInstanceUID == after.SeriesInstanceUID
    making(tmp_path / "4", program=Program("0.2", ())).make(classified(film(xray), xray))
    for name, one in objects(tmp_path / "4").items():
        before = first["report" in name]
        assert before.SeriesInstanceUID != one.SeriesInstanceUID
        assert before.SOPInstanceUID != one.SOPInstanceUID


def test_a_study_has_one_series_of_each_kind(films, tiny_onnx, tmp_path):
    run(films, "--model", tiny_onnx, "--out", "-", "--dicom-out", tmp_path / "o")
    found = objects(tmp_path / "o")
    for kind in ("heatmap", "report"):
        series = [found[f"{name}.{kind}.dcm"].SeriesInstanceUID for name in NAMES]
        assert series[0] == series[1] != series[2]
    assert len({one.SOPInstanceUID for one in found.values()}) == len(EXPECTED)
    assert len({one.SeriesInstanceUID for one in found.values()}) == 4


def test_an_object_that_stands_is_left_as_it_is(films, tiny_onnx, tmp_path):
    command = (films, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--dicom-out", tmp_path / "o")
    run(*command)
    before = {path: path.read_bytes() for path in (tmp_path / "o").rglob("*.dcm")}
    damaged, times = next(iter(before)), {path: path.stat().st_mtime_ns for path in before}
    damaged.write_bytes(b"DICM")
    run(*command, "--restart")
    after = {path: path.stat().st_mtime_ns for path in before}
    assert {path for path in before if after[path] != times[path]} == {damaged}
    assert (
        pydicom.dcmread(damaged).SOPInstanceUID == pydicom.dcmread(io.BytesIO(before[damaged])).SOPInstanceUID
    )


def test_a_resumed_run_makes_what_was_removed(films, tiny_onnx, tmp_path, monkeypatch, heeds_interrupts):
    really_read, read, armed = FileItem.read, [], [True]

    def read_and_stop(item, limits):
        read.append(item.name)
        if len(read) == 5 and armed:
            armed.clear()
            os.kill(os.getpid(), signal.SIGINT)
        return really_read(item, limits)

    more = {f"y{number}.dcm" for number in range(9)}
    for name in more:
        shutil.copy(films / "other.dcm", films / name)
    monkeypatch.setattr(FileItem, "read", read_and_stop)
    command = (films, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--dicom-out", tmp_path / "o")
    assert run(*command, "--workers", 1).exit_code == 130
    assert "film.png" in read
    (tmp_path / "o" / "b" / "2.report.dcm").unlink()
    done = set(read)
    read.clear()
    assert run(*command, "--workers", 1).exit_code == 0
    assert set(read) == {"b/2"} | (more - done)
    assert more - done
    assert len(objects(tmp_path / "o")) == len(EXPECTED) + 2 * len(more)


def test_another_folder_is_another_run(tmp_path):
    facts = making(tmp_path / "a").facts()
    assert facts != making(tmp_path / "b").facts()
    assert facts == making(tmp_path / "a").facts()
    assert json.loads(json.dumps(facts)) == facts


def test_archives_single_files_and_isolation(films, tiny_onnx, tmp_path):
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        for path in sorted(films.rglob("*")):
            archive.write(path, path.relative_to(films))
    for number, (source, *options) in enumerate(
        ((tmp_path / "films.zip", "--out", "-"), (films, "--out", "-", "--isolate"))
    ):
        out = tmp_path / f"o{number}"
        result = run(source, "--model", tiny_onnx, "--dicom-out", out, *options)
        assert result.exit_code == 0
        assert sorted(objects(out)) == EXPECTED
        assert len([json.loads(line) for line in result.stdout.splitlines()]) == 5
    result = run(films / "other.dcm", "--model", tiny_onnx, "--dicom-out", tmp_path / "one")
    assert sorted(objects(tmp_path / "one")) == ["other.dcm.heatmap.dcm", "other.dcm.report.dcm"]
    result = run(films / "film.png", "--model", tiny_onnx, "--dicom-out", tmp_path / "none")
    assert "is not DICOM" in result.stderr
    assert not (tmp_path / "none").exists()


def test_its_own_objects_are_no_inputs(films, tiny_onnx, tmp_path):
    for _ in range(2):
        result = run(films, "--model", tiny_onnx, "--out", "-", "--dicom-out", films / "objects")
        assert len(result.stdout.splitlines()) == 5
    # Back from an archive they have other names.
    for kind in ("heatmap", "report"):
        shutil.copy(films / "objects" / f"other.dcm.{kind}.dcm", tmp_path / f"{kind}_1.dcm")
    reasons = {
        path.name: json.loads(run(path, "--model", tiny_onnx, "--out", "-").stdout)["reason"]
        for path in tmp_path.glob("*_1.dcm")
    }
    assert reasons == {
        "heatmap_1.dcm": SAYS["a-heat-map-not"],
        "report_1.dcm": SAYS["a-dicom-file-without"],
    }


def test_a_folder_that_cannot_be_made_ends_the_run_in_one_line(films, tiny_onnx, tmp_path):
    (tmp_path / "o").write_text("in the way")
    result = run(films, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--dicom-out", tmp_path / "o")
    assert result.exit_code == 2
    assert SAYS["a-file-stands-in"] in result.stderr


def test_a_large_picture_is_drawn_smaller(xray):
    assert shrunk(xray, LONGEST_SIDE) is xray
    large = np.zeros((LONGEST_SIDE * 2, LONGEST_SIDE), np.uint8)
    assert shrunk(large, LONGEST_SIDE).shape == (LONGEST_SIDE, LONGEST_SIDE // 2)
    assert shrunk(np.zeros((1, 9000), np.uint8), LONGEST_SIDE).shape == (1, LONGEST_SIDE)


SCRIPT = """
import sys
if {hidden}: sys.modules["highdicom"] = None
from xray_infer.cli import main
try:
    main([{source!r}, "--model", {model!r}, "--out", "-", *{options!r}])
except SystemExit as ended:
    print(ended.code, "highdicom" in sys.modules, "pydicom" in sys.modules)
"""


@pytest.mark.parametrize(
    ("hidden", "options", "said"),
    [
        (False, [], "0 False False"),
        (True, ["--dicom-out", "o"], "2 True "),
    ],
)
def test_highdicom_is_loaded_only_for_it(films, tiny_onnx, tmp_path, hidden, options, said):
    script = SCRIPT.format(
        hidden=hidden, source=str(films / "film.png"), model=str(tiny_onnx), options=options
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.splitlines()[-1].startswith(said)
    if hidden:
        assert done.stderr == SAYS["xray-infer-dicom-out"]
        assert not (tmp_path / "o").exists()

"""`--dicom-out`: DICOM objects, read back by pydicom, highdicom, DCMTK and dicom3tools."""

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
from click.testing import CliRunner
from dicom_files import dataset, dicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)
from specimens import png

from xray_infer.classes import HEATMAP_NOTICE, RESEARCH_NOTICE
from xray_infer.cli import main
from xray_infer.sources.folder import FileItem

hd = pytest.importorskip("highdicom")

from xray_infer.artifacts.dicom_objects import DicomObjects  # noqa: E402
from xray_infer.artifacts.shrinking import shrunk  # noqa: E402
from xray_infer.dicom.made import Maker  # noqa: E402
from xray_infer.dicom.secondary_capture import LONGEST_SIDE  # noqa: E402
from xray_infer.dicom.source import read_source  # noqa: E402
from xray_infer.dicom.structured_report import LABEL, OOD_SCORE, PROBABILITIES  # noqa: E402
from xray_infer.engine import Classified  # noqa: E402
from xray_infer.errors import ImageError  # noqa: E402
from xray_infer.heatmaps.methods import METHODS, heatmaps_for  # noqa: E402
from xray_infer.heatmaps.overlay import draw_overlay  # noqa: E402
from xray_infer.limits import DEFAULT_LIMITS  # noqa: E402
from xray_infer.preprocess import PREPROCESSING_VERSION  # noqa: E402
from xray_infer.results import RowMaker, Rules  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

ROOT = "1.2.826.0.1.3680043.8.498."
STUDY = {
    "StudyInstanceUID": ROOT + "1",
    "SeriesInstanceUID": ROOT + "2",
    "SOPInstanceUID": ROOT + "3",
    "PatientName": "Doe^Jane",
    "PatientID": "4711",
    "PatientBirthDate": "19501224",
    "PatientSex": "F",
    "PatientAge": "073Y",
    "StudyDate": "20240229",
    "StudyTime": "101112.5",
    "AccessionNumber": "A-1",
    "StudyID": "S1",
    "StudyDescription": "Thorax",
    "ReferringPhysicianName": "Roe^Richard",
    "PatientOrientation": ["L", "F"],
    "SeriesNumber": 2,
    "InstanceNumber": 7,
}
TYPE_2 = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime")
TYPE_2 += ("ReferringPhysicianName", "StudyID", "AccessionNumber")


def film(pixels: np.ndarray, **changes: object) -> bytes:
    """A radiograph with everything that a study has; what is None it lacks."""
    given = {**STUDY, **changes}
    lacks_uid = {"SOPInstanceUID": None} if given["SOPInstanceUID"] is None else {}
    return dicom(pixels, **{name: value for name, value in given.items() if value is not None}, **lacks_uid)


def run(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def objects(folder: Path) -> dict[str, pydicom.Dataset]:
    """All objects of a folder by their path in it."""
    return {path.relative_to(folder).as_posix(): pydicom.dcmread(path) for path in folder.rglob("*.dcm")}


def classified(data: bytes, pixels: np.ndarray, name: str = "a.dcm") -> Classified:
    """An answer, as the engine hands it over."""
    row = RowMaker("tiny", "ab" * 32, "runtime 1", Rules(2.0, 0.4)).judged(name, (0.5, 0.3, 0.2), 1.25)
    cam = np.random.default_rng(3).normal(size=(7, 7, 3)).astype(np.float32)
    item = FileItem(Path(name), name)
    return Classified(item, data, pixels, np.zeros((224, 224, 1), np.uint8), row, cam, lambda inputs: None)


def making(folder: Path, **changes: object) -> DicomObjects:
    return replace(DicomObjects(folder, Maker("0.1", ("ood_threshold=2", "min_confidence=0.4"))), **changes)


def made(folder: Path, data: bytes, pixels: np.ndarray) -> tuple[pydicom.Dataset, pydicom.Dataset]:
    """The two objects of one image."""
    making(folder).make(classified(data, pixels))
    return tuple(pydicom.dcmread(folder / f"a.dcm.{kind}.dcm") for kind in ("heatmap", "report"))


def said_in(report: pydicom.Dataset) -> tuple[set[str], set[tuple[str, str]]]:
    """All texts and all codes of a report, whatever it is made of."""
    texts, named = set(), set()
    for element in report.iterall():
        if element.keyword == "TextValue":
            texts.add(str(element.value))
        elif element.keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence"):
            named |= {(item.CodingSchemeDesignator, item.CodeValue) for item in element.value}
    return texts, named


def errors_in(path: Path) -> list[str]:
    """What dicom3tools' dciodvfy finds wrong."""
    done = subprocess.run(
        ["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", check=False
    )
    return [line for line in (done.stderr + done.stdout).splitlines() if line.startswith(("Error", "Abort"))]


needs_dciodvfy = pytest.mark.skipif(not shutil.which("dciodvfy"), reason="no dicom3tools here")
needs_dcmtk = pytest.mark.skipif(not shutil.which("dsrdump"), reason="no DCMTK here")


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
    assert "1 image is not DICOM: no DICOM objects for it" in result.stderr
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
        for label, code in PROBABILITIES.items():
            assert values[code.value] == pytest.approx(float(rows[name][f"prob_{label}"]), abs=1e-6)
        (label,) = group.get_qualitative_evaluations(LABEL)
        assert label.value.value == rows[name]["label"].upper()
    record = json.loads((tmp_path / "r.csv.run.json").read_text())
    assert record["beside_the_rows"]["dicom_out"] == {"not_dicom": 1, "without_objects": 0, "first": []}
    assert record["versions"]["highdicom"] == hd.__version__


def test_what_the_heat_map_holds(tmp_path, xray):
    image, _ = made(tmp_path, film(xray), xray)
    assert image.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage
    assert image.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert image.Modality == "OT"
    assert list(image.ImageType) == ["DERIVED", "SECONDARY", "OTHER", "HEATMAP"]
    for keyword, value in STUDY.items():
        if keyword not in ("SeriesInstanceUID", "SOPInstanceUID", "SeriesNumber", "InstanceNumber"):
            assert image[keyword].value == value, keyword
    assert image.SeriesInstanceUID != STUDY["SeriesInstanceUID"]
    assert image.SOPInstanceUID == image.file_meta.MediaStorageSOPInstanceUID != STUDY["SOPInstanceUID"]
    assert (image.SeriesNumber, image.InstanceNumber) == (9001, 2007)
    assert "Heat map" in image.SeriesDescription
    assert "research use" in image.SeriesDescription
    assert (image.BurnedInAnnotation, image.ContentQualification) == ("YES", "RESEARCH")
    for said in ("Grad-CAM of the class 'covid'", "tiny 0.1", "ab" * 32, HEATMAP_NOTICE, RESEARCH_NOTICE):
        assert said in image.DerivationDescription
    (source,) = image.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == STUDY["SOPInstanceUID"]
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert "LossyImageCompression" not in image
    given = classified(b"", xray)
    method = METHODS["gradcam"]
    (heatmap,) = heatmaps_for("predicted", method.explain(given), method, "covid")
    overlay = draw_overlay(xray, heatmap, given.row)
    np.testing.assert_array_equal(image.pixel_array[..., ::-1], overlay)
    np.testing.assert_array_equal(hd.imread(tmp_path / "a.dcm.heatmap.dcm").get_frame(1)[..., ::-1], overlay)


def test_what_the_report_holds(tmp_path, xray):
    image, _ = made(tmp_path, film(xray), xray)
    report = hd.sr.srread(tmp_path / "a.dcm.report.dcm")
    assert isinstance(report, hd.sr.EnhancedSR)
    assert (report.VerificationFlag, report.CompletionFlag) == ("UNVERIFIED", "COMPLETE")
    assert (report.PreliminaryFlag, report.ContentQualification) == ("PRELIMINARY", "RESEARCH")
    assert (report.PatientID, report.StudyInstanceUID) == (STUDY["PatientID"], STUDY["StudyInstanceUID"])
    assert (report.SeriesNumber, report.InstanceNumber) == (9002, 2007)
    assert report.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99XRAYINFER"
    evidence = {(series, instance) for _, series, instance, _ in report.get_evidence()}
    assert evidence == {
        (STUDY["SeriesInstanceUID"], STUDY["SOPInstanceUID"]),
        (image.SeriesInstanceUID, image.SOPInstanceUID),
    }
    (observer,) = report.content.get_observer_contexts()
    device = observer.observer_identifying_attributes
    assert device.name.startswith("xray-infer ")
    assert (device.model_name, device.serial_number) == ("tiny 0.1", "sha256:" + "ab" * 32)
    (group,) = report.content.get_image_measurement_groups()
    values = {one.name.value: (one.value, one.unit.value) for one in group.get_measurements()}
    assert values == {
        "PROB_COVID": (0.5, "1"),
        "PROB_PNEUMONIA": (0.3, "1"),
        "PROB_NORMAL": (0.2, "1"),
        OOD_SCORE.value: (1.25, "1"),
    }
    texts, named = said_in(report)
    assert {RESEARCH_NOTICE, f"Heat map: {HEATMAP_NOTICE}", "ood_threshold=2"} <= texts
    assert f"preprocessing_version={PREPROCESSING_VERSION}" in texts
    assert {("RFC5646", "en"), ("DCM", "130404"), ("SCT", "399208008")} <= named
    assert ("DCM", "121071") not in named  # an answer of a network is no finding of the patient


def test_an_uncertain_answer_says_so(tmp_path, xray):
    given = classified(film(xray), xray)
    row = RowMaker("tiny", "ab" * 32, "runtime 1", Rules(None, 0.9)).judged("a.dcm", (0.5, 0.3, 0.2), None)
    making(tmp_path).make(replace(given, row=row))
    (group,) = hd.sr.srread(tmp_path / "a.dcm.report.dcm").content.get_image_measurement_groups()
    (label,) = group.get_qualitative_evaluations(LABEL)
    assert label.value.value == "UNCERTAIN"
    assert {one.name.value for one in group.get_measurements()} == {
        one.value for one in PROBABILITIES.values()
    }
    assert "confidence 0.500 is below 0.900" in said_in(pydicom.dcmread(tmp_path / "a.dcm.report.dcm"))[0]


BROKEN = {
    "PatientSex": "female",
    "PatientBirthDate": "19700230",
    "StudyDate": "yesterday",
    "StudyTime": "9 am",
    "PatientAge": "old",
    "PatientOrientation": ["l", "?"],
    "SeriesNumber": None,
    "InstanceNumber": None,
}


@needs_dciodvfy
@pytest.mark.parametrize(
    "changes",
    [{}, BROKEN, dict.fromkeys(TYPE_2), {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"}],
    ids=["whole", "broken", "bare", "DX"],
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGBaseline8Bit])
def test_dciodvfy_finds_no_error(tmp_path, xray, changes, syntax):
    made(tmp_path, film(xray, syntax=syntax, **changes), xray)
    for kind in ("heatmap", "report"):
        assert errors_in(tmp_path / f"a.dcm.{kind}.dcm") == []


@needs_dcmtk
def test_dcmtk_reads_both(tmp_path, xray):
    image, _ = made(tmp_path, film(xray), xray)
    paths = [str(tmp_path / f"a.dcm.{kind}.dcm") for kind in ("heatmap", "report")]
    for path in paths:
        done = subprocess.run(["dcmdump", path], capture_output=True, text=True, check=True)
        assert "4711" in done.stdout
        assert not done.stderr
    done = subprocess.run(["dsrdump", "+Pl", paths[1]], capture_output=True, text=True, check=True)
    for said in ("Enhanced SR", "UNVERIFIED", RESEARCH_NOTICE, '="0.5" (1,UCUM,"no units")'):
        assert said in done.stdout
    subprocess.run(["dcmj2pnm", "+op", paths[0], str(tmp_path / "a.ppm")], check=True)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.ppm"))[..., ::-1], image.pixel_array)


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        ("ISO_IR 144", "Люкcемб^Иван"),
        ("ISO_IR 100", "Müller^Jérôme"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 192", "Ñandú^Zoë=王"),
        (None, "Plain^Name"),
    ],
)
@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_text_reads_the_same_from_every_character_set(tmp_path, xray, character_set, name, syntax):
    text = name.split("=")[-1].replace("^", " ")
    source = dataset(xray, **STUDY)
    if character_set is not None:
        source.SpecificCharacterSet = character_set
    source.PatientName, source.StudyDescription = name, text
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = syntax
    source.PixelData = xray.tobytes()
    source["PixelData"].VR = "OW" if syntax == ImplicitVRLittleEndian else "OB"
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, source, enforce_file_format=True)
    for one in made(tmp_path, stream.getvalue(), xray):
        assert one.SpecificCharacterSet == "ISO_IR 192"
        assert str(one.PatientName) == name
        assert one.StudyDescription == text


def test_text_in_latin_1_that_is_not_declared_is_kept(tmp_path, xray):
    data = film(xray, PatientName="M?ller^X").replace(b"M?ller", b"M\xfcller")
    for one in made(tmp_path, data, xray):
        assert str(one.PatientName) == "Müller^X"


def test_what_is_missing_or_means_nothing_becomes_empty(tmp_path, xray):
    for changes in (BROKEN, dict.fromkeys(TYPE_2)):
        for one in made(tmp_path, film(xray, **changes), xray):
            for keyword in TYPE_2:
                wanted = STUDY[keyword] if changes.get(keyword, keyword) == keyword else ""
                assert str(one[keyword].value or "") == wanted, keyword
    image, _ = made(tmp_path, film(xray, **BROKEN), xray)
    assert "PatientAge" not in image
    assert not image.PatientOrientation
    assert image.InstanceNumber == 1


def test_identifiers_are_copied_as_they_are(tmp_path, xray):
    odd = {"PatientID": "9" * 80, "AccessionNumber": "A" * 30, "StudyInstanceUID": "1.2.030.4"}
    for one in made(tmp_path, film(xray, **odd), xray):
        assert {keyword: one[keyword].value for keyword in odd} == odd


def test_old_dates_and_group_lengths_are_read_and_private_elements_left(tmp_path, xray):
    source = pydicom.dcmread(io.BytesIO(film(xray, StudyDate="2024.02.29", StudyTime="10:11:12")))
    source.private_block(0x0011, "SOMEBODY", create=True).add_new(1, "LO", "secret")
    source.add_new(0x00100000, "UL", 20)
    stream = io.BytesIO()
    source.save_as(stream)
    for one in made(tmp_path, stream.getvalue(), xray):
        assert (one.StudyDate, one.StudyTime) == ("20240229", "101112")
        assert not any(element.tag.is_private or element.tag.element == 0 for element in one)


def test_a_time_zone_is_copied_and_meant(tmp_path, xray):
    image, _ = made(tmp_path, film(xray, TimezoneOffsetFromUTC="+1400"), xray)
    other, _ = made(tmp_path / "b", film(xray, TimezoneOffsetFromUTC="-1200"), xray)
    assert image.TimezoneOffsetFromUTC == "+1400"
    assert image.ContentDate != other.ContentDate  # 26 hours apart


def test_lossy_compression_of_the_source_is_told(tmp_path, xray):
    image, _ = made(tmp_path, film(xray, syntax=JPEGBaseline8Bit), xray)
    assert (image.LossyImageCompression, image.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert image.LossyImageCompressionRatio >= 1
    earlier = {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "12",
        "RecognizableVisualFeatures": "NO",
    }
    image, _ = made(tmp_path / "b", film(xray, **earlier), xray)
    assert (image.LossyImageCompression, image.LossyImageCompressionRatio) == ("01", 12)
    assert image.RecognizableVisualFeatures == "NO"


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_what_nothing_can_refer_to_keeps_its_row(films, tiny_onnx, tmp_path, xray, keyword):
    (films / "b" / "3.dcm").write_bytes(film(xray, **{keyword: None}))
    (films / "b" / "4.dcm").write_bytes(film(xray, **{keyword: "not.a.uid"}))
    out = tmp_path / "r.jsonl"
    result = run(films, "--model", tiny_onnx, "--out", out, "--dicom-out", tmp_path / "o", "--workers", 1)
    assert result.exit_code == 0
    (line,) = [line for line in result.stderr.splitlines() if "no objects" in line]
    assert line.startswith("2 DICOM files got a row but no objects: b/3.dcm: nothing can refer to it: no ")
    assert f"b/4.dcm: nothing can refer to it: a wrong {keyword}" in line
    assert sorted(objects(tmp_path / "o")) == EXPECTED
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["status"] for row in rows].count("ok") == 6
    record = json.loads((tmp_path / "r.jsonl.run.json").read_text())
    assert record["beside_the_rows"]["dicom_out"]["without_objects"] == 2


def test_only_the_first_few_are_named(tmp_path, xray):
    artifact = making(tmp_path)
    for index in range(9):
        artifact.make(classified(film(xray, StudyInstanceUID=None), xray, f"{index}.dcm"))
    (line,) = artifact.told()
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
        read_source(data, replace(DEFAULT_LIMITS, max_file_bytes=1000))


def test_the_same_run_gives_the_same_uids_and_another_gives_others(tmp_path, xray):
    first = made(tmp_path / "1", film(xray), xray)
    again = made(tmp_path / "2", film(xray), xray)
    assert [one.SOPInstanceUID for one in first] == [one.SOPInstanceUID for one in again]
    renamed = made(tmp_path / "3", film(xray, PatientName="Doe^John"), xray)
    for before, after in zip(first, renamed, strict=True):
        assert before.SOPInstanceUID != after.SOPInstanceUID
        assert before.SeriesInstanceUID == after.SeriesInstanceUID
    making(tmp_path / "4", maker=Maker("0.2", ())).make(classified(film(xray), xray))
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
        "heatmap_1.dcm": "a heat map, not a radiograph",
        "report_1.dcm": "a DICOM file without an image: Enhanced SR Storage",
    }


def test_a_folder_that_cannot_be_made_ends_the_run_in_one_line(films, tiny_onnx, tmp_path):
    (tmp_path / "o").write_text("in the way")
    result = run(films, "--model", tiny_onnx, "--out", tmp_path / "r.csv", "--dicom-out", tmp_path / "o")
    assert result.exit_code == 2
    assert "a file stands in its place; choose another folder" in result.stderr


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
        assert done.stderr == "xray-infer: --dicom-out needs an extra: pip install 'xray-infer[dicom]'\n"
        assert not (tmp_path / "o").exists()

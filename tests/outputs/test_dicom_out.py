"""What heat maps and answers are as DICOM objects: their attributes, texts and identifiers."""

import io
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from dicom_files import dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from xray_infer.classes import CLASS_NAMES, HEATMAP_NOTICE, RESEARCH_NOTICE

hd = pytest.importorskip("highdicom")

from dicom_results import STUDY, TYPE_2, classified, film, made, making, said_in  # noqa: E402

from xray_infer.outputs.dicom.structured_report import LABEL, OOD_SCORE, probability_code  # noqa: E402
from xray_infer.outputs.heatmaps.methods import METHODS, heatmaps_for  # noqa: E402
from xray_infer.outputs.heatmaps.overlay import draw_overlay  # noqa: E402
from xray_infer.run.results import RowMaker, Rules  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


def errors_in(path: Path) -> list[str]:
    """What dicom3tools' dciodvfy finds wrong."""
    done = subprocess.run(
        ["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", check=False
    )
    return [line for line in (done.stderr + done.stdout).splitlines() if line.startswith(("Error", "Abort"))]


needs_dciodvfy = pytest.mark.skipif(not shutil.which("dciodvfy"), reason="no dicom3tools here")
needs_dcmtk = pytest.mark.skipif(not shutil.which("dsrdump"), reason="no DCMTK here")


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
    (heatmap,) = heatmaps_for("predicted", method.explain(given), method, given.row)
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
    assert "preprocessing_version=1" in texts
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
        probability_code(name).value for name in CLASS_NAMES
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

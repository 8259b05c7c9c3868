"""Which DICOM files the model may judge, by what they say of themselves."""

import numpy as np
import pytest
from approved import approved
from dicom_files import coded, dicom, look_up_table

from xray_infer.errors import ImageError, RejectedError
from xray_infer.images.decode import decode

SAYS = approved("xray-infer")

# What pydicom warns of is hidden from users, not from pytest.
pytestmark = pytest.mark.filterwarnings("ignore")

PIXELS = np.arange(600, dtype=np.uint8).reshape(20, 30)
SC_CLASS = "1.2.840.10008.5.1.4.1.1.7"


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"Modality": "DX", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1"},
        {"Modality": "OT", "SOPClassUID": SC_CLASS, "BodyPartExamined": None, "ViewPosition": None},
        {"Modality": "", "ViewPosition": "", "BodyPartExamined": ""},
        {"Modality": None, "SOPClassUID": None},
        {"SOPClassUID": "1.2.3.4.5"},
        {"ViewPosition": "AP"},
        {"ViewPosition": None, "ViewCodeSequence": coded("postero-anterior")},
        {"ViewPosition": None, "PatientOrientation": ["L", "F"]},
        {"ViewPosition": "PA", "PatientOrientation": ["A", "F"]},
        {"BodyPartExamined": "CHEST ABDOMEN"},
        {"BodyPartExamined": "LUNG"},
        {"BodyPartExamined": "RIBS"},
        {"NumberOfFrames": 1},
        {"NumberOfFrames": ""},
    ],
)
def test_what_may_be_a_frontal_chest_radiograph_passes(attributes):
    assert np.array_equal(decode(dicom(PIXELS, **attributes)), PIXELS)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"Modality": "CT"}, "not a radiograph: modality CT"),
        ({"Modality": "MR"}, "not a radiograph: modality MR"),
        ({"Modality": "US"}, "not a radiograph: modality US"),
        ({"Modality": "MG"}, "not a radiograph: modality MG"),
        ({"Modality": "PX"}, "not a radiograph: modality PX"),
        ({"Modality": "XA"}, "not a radiograph: modality XA"),
        (
            {"Modality": "", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"},
            "not a radiograph: CT Image Storage",
        ),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"}, "raw detector data"),
        ({"Modality": "DX", "PresentationIntentType": "FOR PROCESSING"}, "raw detector data"),
        ({"ViewPosition": "LL"}, "not a frontal view: LL"),
        ({"ViewPosition": "LATERAL"}, "not a frontal view: LATERAL"),
        ({"ViewPosition": "ap lld"}, "not a frontal view: AP LLD"),
        ({"ViewPosition": "", "ViewCodeSequence": coded("left lateral")}, "not a frontal view: LEFT LATERAL"),
        (
            {"ViewPosition": "", "PatientOrientation": ["P", "F"]},
            r"not a frontal view: patient orientation P\\F",
        ),
        ({"BodyPartExamined": "HAND"}, "not of a chest: body part HAND"),
        ({"BodyPartExamined": "THORACIC SPINE"}, "not of a chest: body part THORACIC SPINE"),
        ({"BodyPartExamined": "Left Knee"}, "not of a chest: body part LEFT KNEE"),
        (
            {"BodyPartExamined": "", "AnatomicRegionSequence": coded("Skull")},
            "not of a chest: body part SKULL",
        ),
        ({"NumberOfFrames": 2}, "2 frames, not one picture"),
    ],
)
def test_what_is_none_is_rejected_and_named(attributes, reason):
    with pytest.raises(RejectedError, match=reason):
        decode(dicom(PIXELS, **attributes))


def test_a_file_without_pixels_is_rejected_an_image_that_lost_them_is_an_error():
    report = dicom(PIXELS, Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Rows=None)
    with pytest.raises(RejectedError, match=SAYS["without-an-image-basic"]):
        decode(report[: report.index(b"\x28\x00\x02\x00US")])
    image = dicom(PIXELS)
    with pytest.raises(ImageError, match="pixel data are missing") as raised:
        decode(image[: image.index(b"\xe0\x7f\x10\x00")])
    assert not isinstance(raised.value, RejectedError)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"PhotometricInterpretation": "HSV"}, "photometric interpretation HSV"),
        ({"PhotometricInterpretation": None}, "photometric interpretation missing"),
        ({"SamplesPerPixel": 4}, "4 samples"),
        ({"HighBit": 15, "BitsStored": 8}, "high bit"),
        ({"BitsStored": 9}, "9 of 8 bits"),
        ({"BitsAllocated": None, "BitsStored": 8}, "no BitsAllocated"),
        ({"WindowCenter": "nan", "WindowWidth": "10"}, "not a number"),
        ({"RescaleSlope": "inf", "RescaleIntercept": "0"}, "its rescaling gives what is not a number"),
        ({"RescaleSlope": "1e307", "RescaleIntercept": "0"}, "its rescaling gives what is not a number"),
        (
            {
                "RescaleSlope": "nan",
                "RescaleIntercept": "0",
                "VOILUTSequence": [look_up_table(np.arange(256), first=0, depth=8)],
            },
            "its rescaling gives what is not a number",
        ),
        (
            {"VOILUTSequence": [look_up_table(np.arange(256), first=0, depth=60000)]},
            "entries of 60000 bits",
        ),
        ({"WindowCenter": 10, "WindowWidth": 10, "VOILUTFunction": "CUBIC"}, "its window: Unsupported"),
    ],
)
def test_what_cannot_be_shown_rightly_is_an_error(attributes, reason):
    with pytest.raises(ImageError, match=reason) as raised:
        decode(dicom(PIXELS, **attributes))
    assert not isinstance(raised.value, RejectedError)


def test_what_a_file_says_is_shown_in_one_harmless_line():
    data = bytearray(dicom(PIXELS, Modality="CTABCDEFGHIJKLMNOPQRSTUVWXYZ" * 9))
    data[data.index(b"CTABC") + 2 : data.index(b"CTABC") + 6] = b"\x1b[2\n"
    with pytest.raises(RejectedError) as raised:
        decode(bytes(data))
    reason = str(raised.value)
    assert reason.isprintable()
    assert reason.startswith(SAYS["not-a-radiograph-modality"])
    assert len(reason) < 100

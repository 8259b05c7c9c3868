"""DICOM pictures at full depth: what the window clips is kept, and where black and white are."""

import io
from itertools import product

import numpy as np
import pydicom
import pytest
from dicom_files import LOSSLESS, NATIVE, dicom, look_up_table
from picture_checks import checked, shown
from pydicom.pixels.processing import apply_modality_lut, apply_windowing
from pydicom.uid import JPEGBaseline8Bit, JPEGLSNearLossless

from xray_infer.images.decode import decode, read_picture

# What pydicom warns of is hidden from users, not from pytest.
pytestmark = pytest.mark.filterwarnings("ignore")

TABLE = look_up_table(np.linspace(0, 65535, 500).astype(int), first=900, depth=16)


def whole_range(bits: int, *, signed: bool = False) -> np.ndarray:
    """Every value that so many bits have, some of them several times, [64, W]."""
    values = np.arange(max(2**bits, 2048)).reshape(64, -1) % 2**bits - (2 ** (bits - 1) if signed else 0)
    return values.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS], ids=lambda uid: uid.keyword)
def test_dicom_of_every_depth_keeps_every_value(syntax, bits, signed):
    pixels = whole_range(bits, signed=signed)
    picture = checked(dicom(pixels, syntax=syntax, bits=bits))
    assert np.array_equal(picture.values, pixels.astype(int) - int(pixels.min()))
    assert (picture.black, picture.white) == (0, 2**bits - 1)


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLSNearLossless], ids=lambda uid: uid.keyword)
def test_lossy_dicom(xray, syntax):
    assert checked(dicom(xray, syntax=syntax)).values.std() > 10


RESCALES = [
    None,
    ("1", "-1024"),
    ("2", "7"),
    ("-1", "4095"),
    ("0.37", "-12.5"),
    ("-0.001", "3"),
    ("900", "0"),
]
# A function, and a window's center and width, as shares of what the physical values range over.
SHARES = [
    ("LINEAR", 0.5, 0.5),
    ("LINEAR", 0.2, 0.003),
    ("LINEAR", 0.9, 3),
    ("LINEAR", -1, 0.5),
    ("LINEAR", 2, 1),
    ("LINEAR_EXACT", 0.5, 0.5),
    ("LINEAR_EXACT", 0.3, 1e-3),
    ("LINEAR_EXACT", 2, 9),
    ("SIGMOID", 0.5, 0.5),
    ("SIGMOID", 0.1, 0.02),
]


@pytest.mark.parametrize("rescale", RESCALES, ids=str)
@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_windows_are_shown_as_decode_shows_them(bits, interpretation, rescale):
    slope, intercept = map(float, rescale or (1, 0))
    given = dict(zip(("RescaleSlope", "RescaleIntercept"), rescale, strict=True)) if rescale else {}
    for signed, (function, center, width) in product((False, True), [("", 0, 0), *SHARES]):
        pixels = whole_range(bits, signed=signed)
        ends = sorted((int(pixels.min()) * slope + intercept, int(pixels.max()) * slope + intercept))
        span = ends[1] - ends[0]
        widths = max(1.0, width * span) if function == "LINEAR" else width * span
        window = {
            "WindowCenter": f"{ends[0] + center * span:.6g}",
            "WindowWidth": f"{widths:.6g}",
            "VOILUTFunction": function,
        }
        made = {**given, **(window if function else {})}
        picture = checked(dicom(pixels, bits=bits, PhotometricInterpretation=interpretation, **made))
        if function != "SIGMOID":
            assert len(np.unique(picture.values)) == 2**bits


@pytest.mark.parametrize("rescale", RESCALES, ids=str)
@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_the_narrowest_window_is_a_step(interpretation, rescale):
    slope, intercept = map(float, rescale or (1, 0))
    given = dict(zip(("RescaleSlope", "RescaleIntercept"), rescale, strict=True)) if rescale else {}
    given["PhotometricInterpretation"] = interpretation
    for at in (-5, 0, 1000, 1000.25, 4095, 5000):
        center = f"{at * slope + intercept + 0.5:.9g}"
        picture = checked(dicom(whole_range(12), bits=12, WindowCenter=center, WindowWidth=1, **given))
        assert set(np.unique(shown(picture))) <= {0, 255}
        assert len(np.unique(picture.values)) == 4096


def test_what_a_window_clips_is_kept():
    pixels = whole_range(12)
    picture = checked(dicom(pixels, bits=12, WindowCenter=2000, WindowWidth=101))
    assert np.array_equal(picture.values, pixels)
    assert (picture.black, picture.white) == (1949.5, 2049.5)
    assert len(np.unique(decode(dicom(pixels, bits=12, WindowCenter=2000, WindowWidth=101)))) == 102
    exact = checked(dicom(pixels, bits=12, WindowCenter=2000, WindowWidth=101, VOILUTFunction="LINEAR_EXACT"))
    assert (exact.black, exact.white) == (1949.5, 2050.5)


def test_a_window_may_lie_beyond_the_values():
    picture = checked(
        dicom(np.clip(whole_range(12), 500, 900), bits=12, WindowCenter=300, WindowWidth=10_001)
    )
    assert (picture.black, picture.white) == (299.5 - 5000 - 500, 299.5 + 5000 - 500)
    assert picture.values.max() == 400


def test_monochrome1_is_turned_round():
    pixels = np.clip(whole_range(12), 100, 4000)
    window = {"WindowCenter": 2000, "WindowWidth": 101}
    picture = checked(dicom(pixels, bits=12, PhotometricInterpretation="MONOCHROME1", **window))
    assert np.array_equal(picture.values, 4000 - pixels)
    assert (picture.black, picture.white) == (4000 - 2049.5, 4000 - 1949.5)


def test_rescaled_values_count_in_steps_of_the_slope():
    pixels = whole_range(12, signed=True)
    window = {"WindowCenter": "10.25", "WindowWidth": "8", "VOILUTFunction": "LINEAR_EXACT"}
    rising = checked(dicom(pixels, bits=12, RescaleSlope="0.25", RescaleIntercept="1.1", **window))
    assert np.array_equal(rising.values, pixels.astype(int) + 2048)
    assert rising.black == pytest.approx((6.25 - 1.1) * 4 + 2048)
    assert rising.white == pytest.approx((14.25 - 1.1) * 4 + 2048)
    falling = checked(dicom(pixels, bits=12, RescaleSlope="-0.25", RescaleIntercept="1.1", **window))
    assert np.array_equal(falling.values, 2047 - pixels.astype(int))
    whole = checked(dicom(pixels, bits=12, RescaleSlope="-3", RescaleIntercept="10"))
    assert np.array_equal(whole.values, 3 * (2047 - pixels.astype(int)))


@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    "display",
    [
        {"VOILUTSequence": [TABLE]},
        {"VOILUTSequence": [look_up_table(np.arange(4096)[::-1], first=0, depth=12)]},
        {"VOILUTSequence": [look_up_table(np.arange(4096) // 16, first=0, depth=8)]},
        {"VOILUTSequence": [TABLE], "WindowCenter": 9, "WindowWidth": 2},
        {"WindowCenter": 2000, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
    ],
    ids=["table of a part", "falling table", "table of 8 bits", "table before window", "sigmoid"],
)
def test_a_display_that_is_no_line_is_what_is_shown(display, interpretation):
    picture = checked(dicom(whole_range(12), bits=12, PhotometricInterpretation=interpretation, **display))
    assert (picture.black, picture.white) == (0, 65535)
    twin = {"MONOCHROME1": "MONOCHROME2", "MONOCHROME2": "MONOCHROME1"}[interpretation]
    other = read_picture(dicom(whole_range(12), bits=12, PhotometricInterpretation=twin, **display))
    assert np.abs(picture.values.astype(int) + other.values - 65535).max() <= 1


def test_a_sigmoid_keeps_more_than_eight_bits():
    picture = checked(
        dicom(whole_range(12), bits=12, WindowCenter=2000, WindowWidth=900, VOILUTFunction="SIGMOID")
    )
    expected = 65535 / (1 + np.exp(-4 * (whole_range(12) - 2000.0) / 900))
    assert np.abs(picture.values - expected).max() <= 0.5


def test_a_modality_table_gives_the_physical_values():
    table = look_up_table(np.linspace(65535, 0, 4096).astype(int), first=0, depth=16)
    window = {"WindowCenter": 30_000, "WindowWidth": 1001}
    picture = checked(dicom(whole_range(12), bits=12, ModalityLUTSequence=[table], **window))
    assert np.array_equal(picture.values.ravel(), np.linspace(65535, 0, 4096).astype(int))
    assert (picture.black, picture.white) == (29_499.5, 30_499.5)


@pytest.mark.parametrize("padding", [0, 60_000])
def test_padding_keeps_its_place_and_sets_no_range(padding):
    pixels = whole_range(12) // 4 + 100
    pixels[:, :9] = padding
    picture = checked(dicom(pixels, PixelPaddingValue=padding))
    inside = pixels[:, 9:].astype(int)
    lowest = int(pixels.min())
    assert np.array_equal(picture.values[:, 9:], inside - lowest)
    assert (picture.black, picture.white) == (inside.min() - lowest, inside.max() - lowest)


CONSTANT = np.full((20, 30), 700, np.uint16)
PADDED = CONSTANT.copy()
PADDED[:3] = 0


@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("pixels", "attributes"),
    [
        (CONSTANT, {}),
        (CONSTANT, {"WindowCenter": 600, "WindowWidth": 1000}),
        (PADDED, {"PixelPaddingValue": 0}),
        (whole_range(12), {"RescaleSlope": 0, "RescaleIntercept": "0.5"}),
        (
            whole_range(12),
            {"RescaleSlope": 0, "RescaleIntercept": 9, "WindowCenter": 3, "WindowWidth": 2},
        ),
        (whole_range(12), {"WindowCenter": "1e300", "WindowWidth": "1e308"}),
        (whole_range(12), {"WindowCenter": "0", "WindowWidth": "1e308"}),
        (whole_range(12), {"WindowCenter": "-1e300", "WindowWidth": "5"}),
        (whole_range(12), {"WindowCenter": "1e16", "WindowWidth": "3"}),
        (
            whole_range(12),
            {"RescaleSlope": "1e-300", "RescaleIntercept": 0, "WindowCenter": 3, "WindowWidth": 2},
        ),
        (whole_range(12), {"RescaleSlope": "1e-300", "RescaleIntercept": 0}),
        (whole_range(16), {"RescaleSlope": "1e20", "RescaleIntercept": "1e20"}),
        (whole_range(16), {"RescaleSlope": "1", "RescaleIntercept": "1e17"}),
    ],
)
def test_odd_displays_are_pictures_too(pixels, attributes, interpretation):
    bits = 16 if pixels.max() > 4095 else 12
    picture = checked(dicom(pixels, bits=bits, PhotometricInterpretation=interpretation, **attributes))
    assert picture.values.dtype == np.uint16


def test_a_window_is_pydicoms():
    pixels = whole_range(14, signed=True)
    rescale = {"RescaleSlope": "0.5", "RescaleIntercept": "-3"}
    data = dicom(pixels, bits=14, WindowCenter="100", WindowWidth="2500", **rescale)
    made = pydicom.dcmread(io.BytesIO(data))
    theirs = apply_windowing(apply_modality_lut(made.pixel_array, made), made)
    low, high = -8192 * 0.5 - 3, 8191 * 0.5 - 3
    assert np.abs(shown(checked(data)) - 255 * (theirs - low) / (high - low)).max() <= 0.5 + 1e-6


def test_a_large_picture_is_looked_up_in_parts():
    pixels = np.random.default_rng(0).integers(0, 4096, (1500, 1400)).astype(np.uint16)
    assert np.array_equal(checked(dicom(pixels, bits=12)).values, pixels)


@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (2.5, -1000), (-1, 4095)])
def test_values_are_told_in_the_files_own_measure(interpretation, slope, intercept):
    stored = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    data = dicom(
        stored,
        bits=12,
        PhotometricInterpretation=interpretation,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        WindowCenter=1000,
        WindowWidth=500,
        VOILUTFunction="LINEAR_EXACT",
    )
    picture = checked(data)
    physical = picture.zero + picture.unit * picture.values.astype(float)
    assert physical == pytest.approx(stored.astype(float) * slope + intercept)
    ends = [picture.zero + picture.unit * end for end in (picture.black, picture.white)]
    assert sorted(ends) == pytest.approx([750, 1250])

"""DICOM pixels against pydicom's own reading: its shipped files, and made ones of every kind."""

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from dicom_files import LOSSLESS, NATIVE, dicom, look_up_table, palette
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from xray_infer.errors import ImageError, RejectedError
from xray_infer.images.decode import decode
from xray_infer.images.dicom.attributes import read_attributes
from xray_infer.images.dicom.container import open_container
from xray_infer.images.dicom.display import to_display
from xray_infer.images.dicom.pixels import stored_pixels
from xray_infer.images.formats import is_dicom
from xray_infer.images.limits import DEFAULT_LIMITS

# What pydicom warns of is hidden from users, not from pytest.
pytestmark = pytest.mark.filterwarnings("ignore")

SHIPPED = Path(pydicom.__file__).parent / "data"
FILES = sorted(path.relative_to(SHIPPED).as_posix() for path in SHIPPED.rglob("*") if path.is_file())
FILES = [name for name in FILES if is_dicom((SHIPPED / name).read_bytes())]
PIXEL_DATA = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")  # its tag, in either byte order
PICTURES = [name for name in FILES if any(tag in (SHIPPED / name).read_bytes() for tag in PIXEL_DATA)]

# What becomes of a shipped file, and why, by the longest beginning of its name; all others are decoded.
REJECTED = {
    "palettes/": "without an image: Color Palette Storage",
    "test_files/dicomdirtests/DICOMDIR": "without an image: Media Storage Directory Storage",
    "test_files/dicomdirtests/TINY_ALPHA/DICOMDIR": "without an image: Media Storage Directory Storage",
    "test_files/dicomdirtests/TINY_ALPHA/PT": "modality CT|modality MR",
    "test_files/dicomdirtests/77654033/CR": "not of a chest: body part CSPINE",
    "test_files/dicomdirtests/77654033/CT": "modality CT",
    "test_files/dicomdirtests/98892001/CT": "modality CT",
    "test_files/dicomdirtests/98892003/MR": "modality MR",
    "test_files/693_J2KI": "modality CT",
    "test_files/CT_small": "modality CT",
    "test_files/ExplVR_BigEnd.": "modality US",
    "test_files/ExplVR_": "without an image: RT Ion Plan Storage",
    "test_files/J2K_pixelrep": "modality CT",
    "test_files/JPEG-lossy": "modality NM",
    "test_files/JPEG2000": "modality NM",
    "test_files/JPGExtended": "modality NM",
    "test_files/MR_small": "modality MR",
    "test_files/SC_rgb_rle_16bit_2frame": "2 frames",
    "test_files/SC_rgb_rle_2frame": "2 frames",
    "test_files/SC_rgb_rle_32bit_2frame": "2 frames",
    "test_files/badVR": "modality RTDOSE",
    "test_files/empty_charset": "without an image",
    "test_files/examples_overlay": "modality MR",
    "test_files/examples_": "modality US",
    "test_files/liver": "modality SEG",
    "test_files/reportsi": "without an image: Basic Text SR",
    "test_files/rtdose": "modality RTDOSE",
    "test_files/rtplan.": "without an image: RT Plan",
    "test_files/rtstruct": "without an image: RT Structure Set",
    "test_files/test-SR": "without an image: Comprehensive SR",
    "test_files/waveform": "without an image: 12-lead ECG",
}
DAMAGED = {
    "charset_files/chrJapMulti": "pixel data are missing",
    "charset_files/chrSQ": "pixel data are missing",
    "charset_files/chrKoreanMulti": "pixel data are missing",
    "test_files/MR_truncated": "truncated DICOM: it ends inside an element",
    "test_files/SC_rgb_rle_32bit.": "32 of 32 bits",
    "test_files/meta_missing": "no Rows",
    "test_files/nested_priv": "no Rows",
    "test_files/no_meta_group": "pixel data are missing",
    "test_files/priv_SQ": "pixel data are missing",
    "test_files/UN_sequence": "pixel data are missing",
    "test_files/rtplan_truncated": "truncated DICOM: it ends inside an element",
}
# Single frames of up to 16 bits that pydicom itself does not decode here.
UNDECODED = ("JPEG-lossy", "embedded-sequence-delimiter")


def reason_for(name, reasons):
    found = [begin for begin in reasons if name.startswith(begin)]
    return reasons[max(found, key=len)] if found else None


def as_shown(data):
    """The gray picture by pydicom's functions on whole arrays, and the standard's formulas after them."""
    made = pydicom.dcmread(io.BytesIO(data), force=True)
    pixels = made.pixel_array
    if made.SamplesPerPixel == 3:
        return cv2.cvtColor(eight_bits(pixels), cv2.COLOR_RGB2GRAY)
    if made.PhotometricInterpretation == "PALETTE COLOR":
        return cv2.cvtColor(eight_bits(apply_color_lut(pixels, made)), cv2.COLOR_RGB2GRAY)
    physical = apply_modality_lut(pixels, made)
    if physical.dtype == np.float64 and "VOILUTSequence" in made:
        physical = physical.astype(np.int64)
    shown = apply_voi_lut(physical, made).astype(np.float64)
    signed = made.PixelRepresentation
    ends = np.array([-signed << made.BitsStored - 1, (1 << made.BitsStored - signed) - 1])
    low, high = apply_modality_lut(ends, made).astype(np.float64)
    if "ModalityLUTSequence" in made:
        low, high = 0, 2 ** made.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    if "VOILUTSequence" in made:
        low, high = 0, 2 ** made.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif made.get("WindowWidth") is None and made.BitsStored > 8:
        kept = (
            pixels != made.PixelPaddingValue if "PixelPaddingValue" in made else np.full(pixels.shape, True)
        )
        low, high = shown[kept].min(), shown[kept].max()
    shown = np.rint(np.clip((shown - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return 255 - shown if made.PhotometricInterpretation == "MONOCHROME1" else shown


def eight_bits(pixels):
    if pixels.dtype == np.uint8:
        return pixels
    highest = max(255, 2 ** int(pixels.max()).bit_length() - 1)
    return np.rint(pixels * (255 / highest)).astype(np.uint8)


def whatever_it_shows(data):
    """Decode without asking whether the model may judge it: pydicom ships few radiographs."""
    attributes = read_attributes(open_container(data, DEFAULT_LIMITS))
    stored = stored_pixels(attributes, DEFAULT_LIMITS)
    return stored, to_display(stored, attributes)


def ramp(bits, signed, shape=(37, 46)):
    """A picture of all the range that so many bits have."""
    rng = np.random.default_rng(bits)
    rough = rng.random((7, 6)).astype(np.float32)
    smooth = cv2.normalize(cv2.resize(rough, shape[::-1]), None, 0, 1, cv2.NORM_MINMAX)
    values = np.rint(smooth.astype(np.float64) * (2**bits - 1)) - (2 ** (bits - 1) if signed else 0)
    return values.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


def test_pydicom_ships_files_here():
    assert len(FILES) > 150


@pytest.mark.parametrize("name", FILES)
def test_shipped_files_are_rows_as_expected(name):
    data = (SHIPPED / name).read_bytes()
    rejected, damaged = reason_for(name, REJECTED), reason_for(name, DAMAGED)
    if rejected or damaged:
        with pytest.raises(ImageError, match=rejected or damaged) as raised:
            decode(data)
        assert isinstance(raised.value, RejectedError) == bool(rejected)
        assert "\n" not in str(raised.value)
    else:
        assert np.array_equal(decode(data), as_shown(data))


@pytest.mark.parametrize("name", [name for name in PICTURES if reason_for(name, REJECTED)])
def test_shipped_files_of_other_kinds_have_pydicoms_pixels(name):
    data = (SHIPPED / name).read_bytes()
    made = pydicom.dcmread(io.BytesIO(data), force=True)
    if made.get("NumberOfFrames", 1) not in (1, None):
        pytest.skip("several pictures")
    if any(part in name for part in UNDECODED) or made.BitsAllocated > 16:
        with pytest.raises(ImageError):
            whatever_it_shows(data)
        return
    stored, shown = whatever_it_shows(data)
    assert np.array_equal(stored, made.pixel_array)
    assert np.array_equal(shown, as_shown(data))


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS], ids=lambda uid: uid.keyword)
def test_every_depth_in_every_lossless_syntax(syntax, bits, signed):
    pixels = ramp(bits, signed)
    data = dicom(pixels, syntax=syntax, bits=bits)
    stored, _ = whatever_it_shows(data)
    assert np.array_equal(stored, pixels)
    assert np.array_equal(decode(data), as_shown(data))


@pytest.mark.parametrize("bits", [1, 4, 7])
def test_few_bits_keep_their_range(bits):
    pixels = ramp(8, signed=False) >> (8 - bits) >> 1  # half of it
    data = dicom(pixels, bits=bits)
    assert np.array_equal(decode(data), as_shown(data))
    assert decode(data).max() == round(255 * int(pixels.max()) / (2**bits - 1))


def test_one_bit_is_black_and_white(xray):
    white = xray > 128
    packed = np.packbits(white, bitorder="little").tobytes()
    one = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}
    assert np.array_equal(decode(dicom(xray, codestream=packed, **one)), white * np.uint8(255))


def test_eight_bits_equal_the_same_picture_as_png(xray):
    assert np.array_equal(decode(dicom(xray)), xray)


@pytest.mark.parametrize("interpretation", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless], ids=lambda uid: uid.keyword)
def test_colour_by_pixel_and_by_plane(xray, interpretation, planar, syntax):
    colour = np.dstack([xray, np.roll(xray, 9, 0), np.roll(xray, 5, 1)])
    raw = np.ascontiguousarray(colour.transpose(2, 0, 1) if planar else colour).tobytes()
    data = dicom(
        colour,
        syntax=syntax,
        codestream=raw if syntax in NATIVE else None,
        PhotometricInterpretation=interpretation,
        PlanarConfiguration=planar,
    )
    assert np.array_equal(decode(data), as_shown(data))
    if interpretation == "RGB" and syntax in NATIVE:
        assert np.array_equal(decode(data), cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY))
    assert decode(data).std() > 20


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: uid.keyword)
def test_colour_in_lossless_codestreams(xray, syntax):
    colour = np.dstack([xray, np.roll(xray, 9, 0), np.roll(xray, 5, 1)])
    assert np.array_equal(decode(dicom(colour, syntax=syntax)), cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY))


def test_chroma_that_two_pixels_share():
    pair = np.array([[50, 200, 100, 180], [10, 20, 128, 128]], np.uint8)  # Y1 Y2 Cb Cr
    raw = np.tile(pair, (8, 6)).tobytes()
    data = dicom(np.zeros((16, 12, 3), np.uint8), codestream=raw, PhotometricInterpretation="YBR_FULL_422")
    assert np.array_equal(decode(data), as_shown(data))
    assert decode(data)[1, 0] == 10


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless], ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("bits", [8, 12])
def test_palette(syntax, bits):
    colours = np.random.default_rng(3).integers(0, 65536, (2**bits, 3)).astype(np.uint16)
    data = dicom(ramp(bits, signed=False), syntax=syntax, bits=bits, **palette(colours))
    assert np.array_equal(decode(data), as_shown(data))
    assert decode(data).std() > 10


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_baseline_has_pydicoms_pixels(xray, channels):
    pixels = xray if channels == 1 else np.dstack([xray, np.roll(xray, 9, 0), np.roll(xray, 5, 1)])
    interpretation = "MONOCHROME2" if channels == 1 else "YBR_FULL_422"
    data = dicom(pixels, syntax=JPEGBaseline8Bit, PhotometricInterpretation=interpretation)
    assert np.array_equal(decode(data), as_shown(data))
    gray = xray if channels == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    assert np.abs(decode(data).astype(int) - gray).mean() < 3


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_near_lossless_is_within_its_error(bits):
    pixels = ramp(bits, signed=False)
    data = dicom(pixels, syntax=JPEGLSNearLossless, bits=bits)
    stored, _ = whatever_it_shows(data)
    assert 0 < np.abs(stored.astype(int) - pixels).max() <= 2
    assert np.array_equal(decode(data), as_shown(data))


VIEWS = {
    "none": {},
    "window": {"WindowCenter": 2000, "WindowWidth": 1500},
    "exact window": {"WindowCenter": 2000, "WindowWidth": 1500, "VOILUTFunction": "LINEAR_EXACT"},
    "sigmoid": {"WindowCenter": 2000, "WindowWidth": 1500, "VOILUTFunction": "SIGMOID"},
    "first of several": {"WindowCenter": [1000, 3000], "WindowWidth": [700, 900]},
    "narrowest window": {"WindowCenter": 2000, "WindowWidth": 1},
    "rescaled": {"RescaleSlope": 2, "RescaleIntercept": -1000},
    "rescaled, window": {
        "RescaleSlope": "0.5",
        "RescaleIntercept": -10,
        "WindowCenter": 900,
        "WindowWidth": 800,
    },
    "table": {"VOILUTSequence": [look_up_table(np.arange(4096)[::-1], first=0, depth=12)]},
    "table of a part": {
        "VOILUTSequence": [look_up_table(np.linspace(0, 65535, 500).astype(int), first=900, depth=16)]
    },
    "table before window": {
        "VOILUTSequence": [look_up_table(np.linspace(0, 1023, 4096).astype(int), first=0, depth=10)],
        "WindowCenter": 100,
        "WindowWidth": 20,
    },
    "modality table": {
        "ModalityLUTSequence": [look_up_table(np.linspace(65535, 0, 4096).astype(int), first=0, depth=16)]
    },
    "modality table, window": {
        "ModalityLUTSequence": [look_up_table(np.linspace(65535, 0, 4096).astype(int), first=0, depth=16)],
        "WindowCenter": 30000,
        "WindowWidth": 40000,
    },
    "padding": {"PixelPaddingValue": 4095},
}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLosslessSV1])
@pytest.mark.parametrize("view", VIEWS)
def test_views_and_their_inverted_twins(view, syntax):
    pixels = ramp(12, signed=False)
    plain = dicom(pixels, syntax=syntax, bits=12, **VIEWS[view])
    twin = dicom(pixels, syntax=syntax, bits=12, **VIEWS[view], PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(decode(plain), as_shown(plain))
    assert np.array_equal(decode(twin), 255 - decode(plain))
    assert decode(plain).min() < 5
    assert decode(plain).max() > 250


@pytest.mark.parametrize("shape", ["IDENTITY", "INVERSE"])
def test_polarity_is_turned_once_whatever_the_presentation_says(xray, shape):
    data = dicom(xray, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape=shape)
    assert np.array_equal(decode(data), 255 - xray)


def test_a_table_of_eight_bits_takes_deep_values():
    """pydicom alone wraps its indices round at 256."""
    pixels = ramp(12, signed=False)
    table = look_up_table(np.arange(4096) // 16, first=0, depth=8)
    assert np.array_equal(decode(dicom(pixels, bits=12, VOILUTSequence=[table])), pixels // 16)


def test_signed_values_find_their_entry():
    pixels = ramp(12, signed=True)
    table = look_up_table(np.arange(4096), first=-2048, depth=12)
    shown = decode(dicom(pixels, bits=12, VOILUTSequence=[table]))
    assert np.array_equal(shown, np.rint((pixels.astype(int) + 2048) * 255 / 4095))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_rescaled_values_find_their_entry(syntax):
    """Implicit VR leaves open whether the first input is signed: the pixels are not, rescaled they are."""
    pixels = ramp(12, signed=False)
    table = look_up_table(np.arange(4096), first=-1024, depth=12)
    rescaled = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    shown = decode(dicom(pixels, syntax=syntax, bits=12, VOILUTSequence=[table], **rescaled))
    assert np.array_equal(shown, np.rint(pixels * (255 / 4095)))


def test_a_falling_slope_shows_small_values_bright():
    pixels = ramp(12, signed=False)
    rescaled = {"RescaleSlope": -1, "RescaleIntercept": 4095, "WindowCenter": 2048, "WindowWidth": 4096}
    falling = decode(dicom(pixels, bits=12, **rescaled))
    rising = decode(dicom(pixels, bits=12, WindowCenter=2048, WindowWidth=4096))
    assert np.abs(falling.astype(int) - (255 - rising)).max() <= 1


@pytest.mark.parametrize("signed", [False, True])
def test_padding_does_not_set_the_range(signed):
    pixels = ramp(10, signed=False).astype(np.int16 if signed else np.uint16)
    whole = decode(dicom(pixels, bits=16))
    for edge, limit in ((-2000, -1990), (30000, 30010)) if signed else ((30000, 30010),):
        padded = pixels.copy()
        padded[:, :3] = edge
        padded[:, 3] = limit
        shown = decode(dicom(padded, PixelPaddingValue=edge, PixelPaddingRangeLimit=limit))
        low, high = int(padded[:, 4:].min()), int(padded[:, 4:].max())
        assert np.array_equal(shown[:, 4:], np.rint((padded[:, 4:].astype(int) - low) * 255 / (high - low)))
        assert (shown[:, :4] == (0 if edge < 0 else 255)).all()
        assert np.abs(shown[:, 4:].astype(int) - whole[:, 4:]).max() < 10


def test_padding_whose_sign_was_lost_is_known():
    pixels = ramp(10, signed=False).astype(np.int16)
    pixels[0, 0], pixels[:, :3] = 1023, -2000
    signed, bits = dicom(pixels, PixelPaddingValue=-2000), dicom(pixels, PixelPaddingValue=2000)
    # -2000 as an unsigned value of 16 bits, in the place of 2000
    at = bits.index(struct.pack("<HH2sH", 0x28, 0x120, b"SS", 2)) + 4
    bits = bits[:at] + b"US" + struct.pack("<HH", 2, 65536 - 2000) + bits[at + 6 :]
    assert np.array_equal(decode(bits), decode(signed))
    assert decode(signed)[:, 3:].max() == 255


@pytest.mark.parametrize(
    "window", [{"WindowCenter": 0, "WindowWidth": 0}, {"WindowCenter": "", "WindowWidth": ""}]
)
def test_a_window_of_no_width_is_none(window):
    pixels = ramp(12, signed=False)
    assert np.array_equal(decode(dicom(pixels, bits=12, **window)), decode(dicom(pixels, bits=12)))


def test_one_value_all_over_is_a_picture_too():
    assert (decode(dicom(np.full((20, 30), 700, np.uint16), bits=12)) == 0).all()


def test_a_large_picture_is_looked_up_in_parts():
    pixels = np.random.default_rng(0).integers(0, 4096, (1500, 1400)).astype(np.uint16)
    assert np.array_equal(decode(dicom(pixels, bits=12)), np.rint(pixels * (255 / 4095)))

"""Pictures at full depth: by their own black and white they show what `decode` gives, and they keep more."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from dicom_files import dicom, look_up_table, palette
from hostile_bytes import damaged, good_files
from hostile_formats import bmps, dicoms, tiffs, webps
from image_files import bmp, pages, png_of, tiff
from picture_checks import check, checked
from specimens import jpeg, png

from xray_infer.errors import ImageError
from xray_infer.images.decode import decode, read_picture
from xray_infer.images.dicom.attributes import read_attributes
from xray_infer.images.dicom.container import open_container
from xray_infer.images.dicom.display import to_display, to_picture
from xray_infer.images.dicom.pixels import stored_pixels
from xray_infer.images.formats import is_dicom
from xray_infer.images.gray import Picture
from xray_infer.images.limits import DEFAULT_LIMITS, Limits

# What pydicom warns of is hidden from users, not from pytest.
pytestmark = pytest.mark.filterwarnings("ignore")

RNG = np.random.default_rng(5)
GRAY = cv2.resize(RNG.integers(0, 256, (9, 7)).astype(np.uint8), (61, 43), interpolation=cv2.INTER_CUBIC)
COLOUR = np.dstack([GRAY, np.roll(GRAY, 9, 1), np.roll(GRAY, 5, 0)])
RGBA = np.dstack([COLOUR, np.tile(np.arange(61, dtype=np.uint8) * 4, (43, 1))])
DEEP = GRAY.astype(np.uint16) * 257 ^ RNG.integers(0, 256, GRAY.shape).astype(np.uint16)
TWELVE = DEEP >> 4
ROWS = b"".join(b"\0" + row.astype(">u2").tobytes() for row in DEEP)
SHIPPED = Path(pydicom.__file__).parent / "data"

SIXTEEN_BITS = {
    "png": png(DEEP),
    "png of 12 bits": png(TWELVE),
    "png of 7 bits": png(DEEP >> 9),
    "png, all black": png(np.zeros_like(DEEP)),
    "png with a transparent level": png_of(ROWS, (61, 43), 16, 0, tRNS=struct.pack(">H", int(DEEP[3, 3]))),
    "tiff": tiff(DEEP),
    "tiff, other byte order": tiff(DEEP, order=">"),
    "tiff, deflated": tiff(DEEP, rows_per_strip=5, compression=8),
    "tiff, white is zero": tiff(DEEP, photometric=0),
    "tiff of 12 bits, white is zero": tiff(TWELVE, photometric=0),
    **{f"tiff, orientation {one}": tiff(DEEP, tags={274: [one]}) for one in range(1, 9)},
    "tiff, white is zero, turned": tiff(DEEP, photometric=0, tags={274: [6]}),
}
EIGHT_BITS = {
    **{f"good {kind}": data for kind, (_, data) in good_files().items() if kind != "16-bit png"},
    "png with a transparent level": png_of(
        b"".join(b"\0" + row.tobytes() for row in GRAY), (61, 43), 8, 0, tRNS=struct.pack(">H", GRAY[3, 3])
    ),
    "png of one bit": png_of(b"\0\xaa\0\x55", (8, 2), 1, 0),
    "png of one pixel": png(GRAY[:1, :1]),
    "png, rgba": png(RGBA),
    "png, 16-bit colour": png(COLOUR.astype(np.uint16) * 257),
    "png, 16-bit rgba": png(RGBA.astype(np.uint16) * 257),
    "tiff": tiff(GRAY),
    "tiff, white is zero": tiff(GRAY, photometric=0),
    "tiff, turned": tiff(GRAY, tags={274: [5]}),
    "tiff of one bit": tiff(GRAY, bits=1, strips=[np.packbits(GRAY > 128, axis=1).tobytes()]),
    "tiff, 16-bit colour": tiff(COLOUR.astype(np.uint16) * 257),
    "tiff, associated alpha": tiff(RGBA.astype(np.uint16) * 257, tags={338: [1]}),
    "tiff, straight alpha": tiff(RGBA, tags={338: [2]}),
    "bmp": bmp(RGBA[:, :60].tobytes(), (60, 43), 32),
    "dicom, colour": dicom(COLOUR),
    "dicom, palette": dicom(GRAY, **palette(RNG.integers(0, 65536, (256, 3)).astype(np.uint16))),
}


@pytest.mark.parametrize("kind", EIGHT_BITS)
def test_eight_bits_and_colour_are_what_decode_gives(kind):
    assert checked(EIGHT_BITS[kind]).values.dtype == np.uint8


@pytest.mark.parametrize("kind", SIXTEEN_BITS)
def test_sixteen_bits_are_shown_as_decode_shows_them(kind):
    assert checked(SIXTEEN_BITS[kind]).values.dtype == np.uint16


def test_sixteen_bits_stay_as_they_are_stored():
    for data in (png(DEEP), tiff(DEEP), tiff(DEEP, order=">")):
        assert np.array_equal(read_picture(data).values, DEEP)
    assert read_picture(png(TWELVE)).white == 4095
    assert read_picture(png(DEEP >> 9)).white == 255
    turned = read_picture(tiff(TWELVE, photometric=0, tags={274: [6]}))
    assert np.array_equal(turned.values, np.rot90(4095 - TWELVE, -1))
    clear = read_picture(SIXTEEN_BITS["png with a transparent level"]).values
    assert np.array_equal(clear, np.where(DEEP[3, 3] == DEEP, 0, DEEP))


@pytest.mark.parametrize("side", [0, 64, 224, 2000])
def test_a_side_reduces_jpegs_as_decode_does(side):
    for data in (jpeg(cv2.resize(GRAY, (1100, 900))), png(TWELVE), dicom(TWELVE, bits=12)):
        check(read_picture(data, side=side), decode(data, side=side))


def test_a_side_makes_jpegs_smaller_and_nothing_else():
    assert read_picture(jpeg(cv2.resize(GRAY, (1100, 900))), side=64).values.shape == (225, 275)
    assert read_picture(png(TWELVE), side=8).values.shape == TWELVE.shape


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(SHIPPED.rglob("*")) if path.is_file() and is_dicom(path.read_bytes())],
    ids=lambda path: path.relative_to(SHIPPED).as_posix(),
)
def test_shipped_dicom(path):
    """Whatever pydicom ships, radiograph or not, or the same refusal."""
    data = path.read_bytes()
    assert outcome(read_picture, data) == outcome(lambda data: decode(data, side=0), data)
    try:
        attributes = read_attributes(open_container(data, DEFAULT_LIMITS))
        stored = stored_pixels(attributes, DEFAULT_LIMITS)
        expected = to_display(stored, attributes)
    except ImageError:
        return
    check(to_picture(stored, attributes), expected)


def outcome(read, data: bytes) -> tuple[type, str]:
    try:
        read(data)
    except ImageError as error:
        return type(error), str(error)
    return Picture, ""


def test_errors_are_those_of_decode(xray):
    rng = np.random.default_rng(0)
    samples = [one.data for kind in (damaged(rng), bmps(), webps(), tiffs(), dicoms()) for one in kind]
    samples += [b"", b"hello", bytes(10**6), pages(tiff(GRAY), tiff(DEEP)), tiff(DEEP.astype(np.float32))]
    samples += [png(xray)[:-20], dicom(GRAY, Modality="CT"), dicom(GRAY, BodyPartExamined="HAND")]
    samples += [
        dicom(TWELVE, bits=12, **wrong)
        for wrong in (
            {"WindowCenter": 9, "WindowWidth": 9, "VOILUTFunction": "CUBIC"},
            {"RescaleSlope": "1e300", "RescaleIntercept": 0},
            {"WindowCenter": "1e308", "WindowWidth": "1.7e308"},
            {"VOILUTSequence": [look_up_table(np.arange(9), first=0, depth=3)]},
        )
    ]
    refused = 0
    for data in samples:
        found, expected = outcome(read_picture, data), outcome(lambda data: decode(data, side=0), data)
        assert found == expected
        refused += bool(expected[1])
    assert refused > 300


def test_limits_hold():
    for data in (png(DEEP), dicom(TWELVE, bits=12)):
        with pytest.raises(ImageError, match="the limit is 100"):
            read_picture(data, limits=Limits(max_pixels=100))


def test_real_files_are_shown_as_decode_shows_them(shared_data):
    files = [
        one for one in sorted((shared_data / "originals").iterdir()) if one.suffix not in (".md", ".csv")
    ]
    assert len(files) == 88
    for path in files:
        checked(path.read_bytes())

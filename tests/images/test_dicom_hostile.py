"""DICOM files that are cut short, that lie, or that ask for more than they may."""

import builtins
import re
import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from approved import approved
from dicom_files import LOSSLESS, NATIVE, dicom, lossless_jpeg
from forgotten import forget_modules
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from xray_infer.errors import ImageError, RejectedError
from xray_infer.images.decode import decode
from xray_infer.images.dicom.pixels import unpacked_length
from xray_infer.images.formats import is_dicom, read_header
from xray_infer.images.limits import Limits

SAYS = approved("xray-infer")

# What pydicom warns of is hidden from users, not from pytest.
pytestmark = pytest.mark.filterwarnings("ignore")

DEEP = (np.add.outer(np.arange(40) * 37, np.arange(50) ** 2) % 4096).astype(np.uint16)
SMALL = Limits(max_pixels=10_000, max_file_bytes=1_000_000)


def implicit_element(group: int, element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", group, element, len(value)) + value


@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS], ids=lambda uid: uid.keyword)
def test_every_truncation_is_an_error(syntax):
    whole = dicom(DEEP, syntax=syntax, bits=12)
    decode(whole)
    # The last eight bytes of an encapsulated file only say that it ends.
    for length in (*range(1, 700), *range(700, len(whole) - 8, 13), len(whole) - 9):
        with pytest.raises(ImageError) as raised:
            decode(whole[:length])
        assert length < 400 or not isinstance(raised.value, RejectedError), length


@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS], ids=lambda uid: uid.keyword)
def test_flipped_bits_never_raise_anything_else(syntax):
    rng = np.random.default_rng(3)
    whole = dicom(DEEP, syntax=syntax, bits=12, WindowCenter=2000, WindowWidth=3000)
    for _ in range(60):
        damaged = bytearray(whole)
        for position in rng.integers(132, len(whole), 6):
            damaged[position] ^= 1 << int(rng.integers(8))
        try:
            decode(bytes(damaged), limits=SMALL)
        except ImageError:
            continue


def test_a_giant_is_refused_before_its_pixels_are_read():
    giant = dicom(DEEP, Rows=65535, Columns=65535)
    with pytest.raises(ImageError, match=SAYS["x-pixels-the-limit"]):
        decode(giant)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless])
def test_a_codestream_of_another_size_is_refused_before_it_is_decoded(syntax):
    other = dicom(DEEP, syntax=syntax, bits=12)
    rows = other.replace(
        struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, 40), struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, 41)
    )
    assert rows != other
    with pytest.raises(ImageError, match=SAYS["codestream-holds-x-shorter"]):
        decode(rows)


def test_a_codestream_that_claims_a_giant_allocates_nothing():
    stream = bytearray(lossless_jpeg(DEEP, 12))
    frame = stream.index(b"\xff\xc3")
    stream[frame + 5 : frame + 9] = b"\xff" * 4
    tracemalloc.start()
    with pytest.raises(ImageError, match="codestream holds 65535 x 65535"):
        decode(dicom(DEEP, syntax=JPEGLosslessSV1, codestream=bytes(stream), bits=12))
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


@pytest.mark.parametrize("end", [2, 9, 17, 30])
def test_a_codestream_that_was_cut_before_it_was_stored(end):
    whole = dicom(DEEP, syntax=JPEG2000Lossless, bits=12)
    start = whole.index(b"\xff\x4f\xff\x51")
    stream = whole[start : whole.rindex(b"\xff\xd9") + 2]
    assert np.array_equal(
        decode(dicom(DEEP, syntax=JPEG2000Lossless, codestream=stream, bits=12)), decode(whole)
    )
    with pytest.raises(ImageError, match=SAYS["tile-part-is-cut"]):
        decode(dicom(DEEP, syntax=JPEG2000Lossless, codestream=stream[:-end], bits=12))
    jpeg = lossless_jpeg(DEEP, 12)[:-end]
    with pytest.raises(ImageError, match=SAYS["end-of-the-image"]):
        decode(dicom(DEEP, syntax=JPEGLosslessSV1, codestream=jpeg, bits=12))


@pytest.mark.parametrize("length", [0, 7, 1, 2**32 - 1])
def test_a_jp2_file_around_the_codestream(length):
    """Not by the book, but seen; its boxes say their lengths."""
    whole = dicom(DEEP, syntax=JPEG2000Lossless, bits=12)
    stream = whole[whole.index(b"\xff\x4f\xff\x51") : whole.rindex(b"\xff\xd9") + 2]
    signature = b"\0\0\0\x0cjP  \r\n\x87\n"
    lying = signature + struct.pack(">I4sQ", length, b"ftyp", 2**64 - 1) + stream
    with pytest.raises(ImageError, match="JPEG 2000"):
        decode(dicom(DEEP, syntax=JPEG2000Lossless, codestream=lying, bits=12))


def test_an_offset_table_does_not_lead_past_the_check():
    """Two codestreams, the second a giant's; the table says that the only frame is the second."""
    good = lossless_jpeg(DEEP, 12)
    giant = bytearray(good)
    giant[giant.index(b"\xff\xc3") + 5 : giant.index(b"\xff\xc3") + 9] = b"\xff" * 4
    data = dicom(
        DEEP,
        syntax=JPEGLosslessSV1,
        codestream=[good, bytes(giant)],
        bits=12,
        ExtendedOffsetTable=struct.pack("<Q", len(good) + len(good) % 2 + 8),
        ExtendedOffsetTableLengths=struct.pack("<Q", len(giant) + len(giant) % 2),
    )
    assert np.array_equal(decode(data), decode(dicom(DEEP, bits=12)))


def test_a_codestream_of_another_kind_is_refused():
    for syntax, stream in ((JPEGLosslessSV1, b"\xff\x4f\xff\x51" + bytes(90)), (JPEG2000Lossless, bytes(90))):
        with pytest.raises(ImageError, match=SAYS["where-there-should-be"]):
            decode(dicom(DEEP, syntax=syntax, codestream=stream, bits=12))


def test_too_little_memory_is_a_reason_too(monkeypatch):
    from xray_infer.images.dicom import pixels

    def has_none(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(pixels, "pixel_array", has_none)
    with pytest.raises(ImageError, match=SAYS["not-enough-memory-for"]):
        decode(dicom(DEEP, bits=12))


def test_runs_that_unpack_to_far_more_are_refused():
    header = struct.pack("<16I", 1, 64, *[0] * 14)
    bomb = header + b"\x81\x00" * 400_000
    with pytest.raises(ImageError, match=SAYS["far-more-than-its"]):
        decode(dicom(DEEP.astype(np.uint8), syntax=RLELossless, codestream=bomb))


@pytest.mark.parametrize("count", [0, 3, 16, 2**32 - 1])
def test_runs_with_a_lying_header(count):
    frame = struct.pack("<16I", count, 64, 70, 2**31, *[0] * 12) + b"\x81\x00" * 40
    with pytest.raises(ImageError, match="RLE segment"):
        decode(dicom(DEEP.astype(np.uint8), syntax=RLELossless, codestream=frame))


def test_unpacked_length_is_that_of_the_runs():
    assert unpacked_length(b"\x02abc\xfez\x80", at_most=100) == 6
    assert unpacked_length(b"\x05ab", at_most=100) == 2
    assert unpacked_length(b"\x81", at_most=100) == 0
    assert unpacked_length(b"\x81z" * 100, at_most=1000) <= 1128


def test_a_deflated_bomb_is_not_unpacked():
    plain = dicom(DEEP, syntax=DeflatedExplicitVRLittleEndian)
    start = plain.index(DeflatedExplicitVRLittleEndian.encode()) + 22
    while plain[start : start + 2] == b"\x02\x00":
        start += 8 + struct.unpack_from("<H", plain, start + 6)[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = plain[:start] + b"".join(packer.compress(bytes(1 << 20)) for _ in range(60)) + packer.flush()
    assert len(bomb) < 100_000
    tracemalloc.start()
    with pytest.raises(ImageError, match=SAYS["inflates-to-more-than"]):
        decode(bomb, limits=SMALL)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_sequences_without_a_bottom_are_an_error():
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    deep = (implicit_element(0x40, 0xA730, b"")[:4] + b"\xff\xff\xff\xff" + item) * 20_000
    begins = b"".join(implicit_element(8, e, b"AB") for e in (0x05, 0x08, 0x60))
    with pytest.raises(ImageError):
        decode(begins + deep)


def test_many_small_elements_cost_no_memory():
    private = b"".join(implicit_element(0x4001, number, b"ab") for number in range(20_000))
    begins = b"".join(implicit_element(8, e, b"AB") for e in (0x05, 0x08, 0x70))
    data = begins + private
    tracemalloc.start()
    with pytest.raises(ImageError):
        decode(data)
    assert tracemalloc.get_traced_memory()[1] < 2 * len(data) + 2e6
    tracemalloc.stop()


@pytest.mark.parametrize("syntax", NATIVE[:3], ids=lambda uid: uid.keyword)
def test_a_file_without_its_preamble_is_known(syntax):
    whole = dicom(DEEP, syntax=syntax, bits=12)
    bare = dicom(DEEP, syntax=syntax, bits=12, preamble=False)
    assert np.array_equal(decode(bare), decode(whole))
    start = 12 + struct.unpack_from("<I", bare, 8)[0]  # after its file meta information
    assert np.array_equal(decode(bare[start:]), decode(whole))


@pytest.mark.parametrize(
    "text", [b"", b"\x08", b"\x08\x00" * 40, b"\x08\x00\x05\x00CS", bytes(200), b"hello" * 50]
)
def test_other_bytes_are_not_taken_for_dicom(text):
    assert not is_dicom(text)


def test_a_preamble_that_is_another_formats_header_is_dicom():
    whole = dicom(DEEP, bits=12)
    dual = b"II*\x00" + whole[4:]
    assert read_header(dual).format == "dicom"
    assert np.array_equal(decode(dual), decode(whole))


@pytest.mark.parametrize(
    ("absent", "syntax"),
    [("pydicom", ExplicitVRLittleEndian), ("", JPEGLSLossless)],
)
def test_a_missing_extra_is_the_reason_of_one_row(monkeypatch, absent, syntax):
    data = dicom(DEEP, syntax=syntax, bits=12)
    if absent:
        forget_modules(monkeypatch, "xray_infer.images.dicom.")
        plain_import = builtins.__import__

        def no_pydicom(name, *rest):
            if name.split(".")[0] == absent:
                raise ModuleNotFoundError(f"No module named {absent!r}", name=absent)
            return plain_import(name, *rest)

        monkeypatch.setattr(builtins, "__import__", no_pydicom)
    else:
        from pydicom.pixels.decoders.base import JPEGLSLosslessDecoder

        monkeypatch.delitem(JPEGLSLosslessDecoder._available, "pyjpegls")
    with pytest.raises(ImageError, match=re.escape("pip install 'xray-infer[dicom]'")) as raised:
        decode(data)
    assert "\n" not in str(raised.value)


def test_nothing_is_loaded_before_the_first_file_and_nothing_is_printed(tmp_path):
    path = tmp_path / "film.dcm"
    # A value that pydicom warns of, and a codestream that its plug-in refuses: it logs the traceback.
    odd = dicom(DEEP, bits=12, PatientBirthDate="1234567", WindowCenter=1500, WindowWidth=3000)
    path.write_bytes(odd.replace(b"1500", b"1,50"))
    stream = bytearray(lossless_jpeg(DEEP, 12))
    stream[-100:-2] = bytes(98)
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(dicom(DEEP, syntax=JPEGLosslessSV1, codestream=bytes(stream), bits=12))
    program = f"""
import sys
from xray_infer.images.decode import decode
from xray_infer.errors import ImageError
assert not [name for name in sys.modules if name.split(".")[0] == "pydicom"]
for path in ({str(path)!r}, {str(broken)!r}):
    try:
        decode(open(path, "rb").read())
    except ImageError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("syntax", "frame"),
    [
        ("1.2.840.10008.1.2.4.50", b"\xff\xd8\xff\xc0\x00"),
        ("1.2.840.10008.1.2.4.80", b"\xff\xd8\xff\xf7\x00\x0b\x08"),
        ("1.2.840.10008.1.2.4.90", b"\xff\x4f\xff\x51\x00"),
    ],
)
def test_a_codestream_that_ends_inside_its_header_is_cut(syntax, frame):
    from xray_infer.images.dicom.pixels import _size_of

    with pytest.raises(ImageError):
        _size_of(frame, syntax)

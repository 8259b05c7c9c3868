"""Every format's layouts, against the values written or Pillow; files that are cut short, or lie."""

import io
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from approved import approved
from image_files import bmp, pages, png_of, tiff
from specimens import jpeg, png

from xray_infer.errors import ImageError, RejectedError
from xray_infer.images.decode import decode
from xray_infer.images.formats import jpeg as jpeg_format
from xray_infer.images.formats import read_header
from xray_infer.images.formats.directory import orientation_of
from xray_infer.images.gray import to_gray
from xray_infer.images.limits import Limits

SAYS = approved("xray-infer")

RNG = np.random.default_rng(11)
GRAY = cv2.resize(RNG.integers(0, 256, (9, 7)).astype(np.uint8), (61, 43), interpolation=cv2.INTER_CUBIC)
COLOUR = np.dstack([GRAY, np.roll(GRAY, 9, 1), np.roll(GRAY, 5, 0)])  # RGB
LUMA = cv2.cvtColor(COLOUR, cv2.COLOR_RGB2GRAY)
DEEP = GRAY.astype(np.uint16) * 257
ALPHA = np.tile(np.arange(61, dtype=np.uint8) * 4, (43, 1))
EXIF_TURNED = b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00" + b"\0" * 4


def pillow():
    return pytest.importorskip("PIL.Image")


def saved(picture, kind, **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def truncations(data):
    return (*range(1, min(len(data), 400)), *range(400, len(data), 97), len(data) - 1)


# TIFF


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (tiff(GRAY), GRAY),
        (tiff(GRAY, photometric=0), 255 - GRAY),
        (tiff(DEEP), GRAY),
        (tiff(DEEP, photometric=0), 255 - GRAY),
        (tiff(GRAY.astype(np.uint16) * 16, photometric=0), 255 - np.rint(GRAY * (16 * 255 / 4095))),
        (tiff(DEEP, order=">"), GRAY),
        (tiff(GRAY, big=True), GRAY),
        (tiff(GRAY, rows_per_strip=5), GRAY),
        (tiff(GRAY, rows_per_strip=5, compression=8), GRAY),
        (tiff(DEEP, rows_per_strip=5, compression=8), GRAY),
        (tiff(COLOUR), LUMA),
        (tiff(COLOUR.astype(np.uint16) * 257), LUMA),
        (tiff(np.dstack([COLOUR, ALPHA]), tags={338: [1]}), LUMA),  # associated: the colours have it already
        (tiff(np.dstack([COLOUR, ALPHA]).astype(np.uint16) * 257, tags={338: [1]}), LUMA),
    ],
)
def test_tiff_layouts(data, expected):
    assert np.array_equal(decode(data), expected)


def test_tiff_alpha_is_laid_over_black_once():
    expected = LUMA * (ALPHA / 255)
    for made in (np.dstack([COLOUR, ALPHA]), np.dstack([COLOUR, ALPHA]).astype(np.uint16) * 257):
        shown = decode(tiff(made, tags={338: [2]}))
        assert np.abs(shown - expected).max() <= 2


def test_tiff_bits():
    packed = np.packbits(GRAY > 128, axis=1)
    one = tiff(GRAY, bits=1, strips=[packed.tobytes()])
    assert np.array_equal(decode(one), (GRAY > 128) * np.uint8(255))
    white = tiff(GRAY, bits=1, photometric=0, strips=[packed.tobytes()])
    assert np.array_equal(decode(white), (GRAY <= 128) * np.uint8(255))


def test_tiff_tiles():
    tiled = np.zeros((64, 64), np.uint8)
    tiled[:43, :61] = GRAY
    strips = [tiled[y : y + 32, x : x + 32].tobytes() for y in (0, 32) for x in (0, 32)]
    tags = {322: [32], 323: [32]}
    assert np.array_equal(decode(tiff(GRAY, tags=tags, strips=strips)), GRAY)
    with pytest.raises(ImageError, match="strips are missing"):
        decode(tiff(GRAY, tags=tags, strips=strips[:3]))
    with pytest.raises(ImageError, match="65536 x 65536 pixels"):
        decode(tiff(GRAY, tags={322: [65536], 323: [65536]}, strips=strips))


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg", None])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "I;16"])
def test_tiff_as_pillow_reads_it(mode, compression):
    image = pillow()
    picture = image.fromarray(DEEP) if mode == "I;16" else image.fromarray(COLOUR).convert(mode)
    if compression == "jpeg" and mode in ("1", "P", "I;16"):
        pytest.skip("not stored as JPEG")
    data = saved(picture, "tiff", compression=compression)
    with image.open(io.BytesIO(data)) as opened:
        theirs = GRAY if mode == "I;16" else np.asarray(opened.convert("RGB").convert("L"))
    assert np.abs(decode(data).astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["tiff", "png", "webp", "jpeg"])
def test_orientation_is_applied_once(kind, orientation):
    image, operations = pillow(), pytest.importorskip("PIL.ImageOps")
    exif = image.Exif()
    exif[0x0112] = orientation
    picture = image.fromarray(GRAY)
    options = {"tiffinfo": {274: orientation}} if kind == "tiff" else {"exif": exif}
    if kind == "webp":
        options["lossless"] = True
    expected = np.asarray(operations.exif_transpose(image.open(io.BytesIO(saved(picture, "png", exif=exif)))))
    shown = decode(saved(picture, kind, **options))
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).max() <= (12 if kind == "jpeg" else 0)
    if kind == "tiff":
        deep = decode(saved(image.fromarray(DEEP), kind, **options))
        assert np.array_equal(deep, expected)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff(GRAY.astype(np.float32), tags={339: [3]}), "floating-point"),
        (tiff(GRAY.astype(np.int16), tags={339: [2]}), "signed"),
        (tiff(GRAY.astype(np.uint32)), "32-bit"),
        (tiff(GRAY, bits=4), "4-bit"),
        (tiff(np.dstack([GRAY, ALPHA])), "2 samples"),
        (tiff(DEEP[..., None].repeat(3, 2), tags={284: [2]}, strips=[DEEP.tobytes()] * 3), "separate planes"),
        (tiff(COLOUR, photometric=8), "photometric interpretation 8"),
        (tiff(GRAY, compression=50000), "compression 50000"),
        (tiff(GRAY, tags={256: [0]}), "0 x 43"),
        (tiff(GRAY, tags={256: [65535], 257: [65535]}), "65535 x 65535"),
        (tiff(GRAY, strips=[GRAY.tobytes()[:-1]]), "a strip is shorter"),
        (tiff(GRAY, rows_per_strip=5, strips=[GRAY[:5].tobytes()] * 5), "strips are missing"),
        (tiff(GRAY, compression=8, strips=[zlib.compress(GRAY.tobytes()[:-9])]), "a strip is shorter"),
        (tiff(GRAY, compression=8, strips=[zlib.compress(GRAY.tobytes())[:-9]]), "a strip is shorter"),
        (tiff(GRAY, compression=8, strips=[zlib.compress(GRAY.tobytes())[:-1] + b"z"]), "cannot be inflated"),
        (tiff(GRAY, tags={254: [1]}), "reduced copy"),
        (b"II*\x00" + b"\0" * 40, "no picture"),
        (b"II*\x00\x08\x00\x00\x00", "truncated TIFF"),
        (b"II+\x00\x08\x00\x00\x00" + b"\xff" * 8, "truncated TIFF"),
    ],
)
def test_tiff_that_would_be_shown_wrongly_is_refused(data, reason):
    with pytest.raises(ImageError, match=reason) as raised:
        decode(data)
    assert not isinstance(raised.value, RejectedError)


def test_a_tiff_of_pages_is_rejected_a_thumbnail_is_none():
    with pytest.raises(RejectedError, match="2 pages"):
        decode(pages(tiff(GRAY), tiff(DEEP)))
    small = tiff(GRAY[::4, ::4], tags={254: [1]})
    assert np.array_equal(decode(pages(tiff(GRAY, rows_per_strip=9), small)), GRAY)


def test_a_tiff_whose_pages_go_round_ends():
    endless = bytearray(tiff(GRAY, tags={254: [0]}))
    (start,) = struct.unpack_from("<I", endless, 4)
    (count,) = struct.unpack_from("<H", endless, start)
    struct.pack_into("<I", endless, start + 2 + 12 * count, start)
    assert np.array_equal(decode(bytes(endless)), GRAY)


# BMP


def padded(rows):
    flat = rows.reshape(rows.shape[0], -1)
    return np.pad(flat, ((0, 0), (0, -flat.shape[1] % 4)))[::-1].tobytes()


@pytest.mark.parametrize("fourth", [0, 77, 255])
@pytest.mark.parametrize("masks", [b"", struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)])
def test_bmp_of_32_bits_ignores_what_most_leave_unset(fourth, masks):
    rows = np.dstack([COLOUR[..., ::-1], np.full_like(GRAY, fourth)])
    made = bmp(padded(rows), (61, 43), 32, compression=3 if masks else 0, masks=masks)
    assert np.array_equal(decode(made), LUMA)


def test_bmp_from_the_top_and_with_the_oldest_header():
    rows = padded(COLOUR[..., ::-1])
    assert np.array_equal(decode(bmp(rows, (61, 43), 24)), LUMA)
    assert np.array_equal(decode(bmp(padded(COLOUR[::-1, :, ::-1]), (61, -43), 24)), LUMA)
    oldest = b"BM" + struct.pack("<IHHI", 26 + len(rows), 0, 0, 26) + struct.pack("<IHHHH", 12, 61, 43, 1, 24)
    assert np.array_equal(decode(oldest + rows), LUMA)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_bmp_as_pillow_reads_it(mode):
    image = pillow()
    data = saved(image.fromarray(COLOUR).convert(mode), "bmp")
    with image.open(io.BytesIO(data)) as opened:
        theirs = np.asarray(opened.convert("RGB").convert("L"))
    assert np.abs(decode(data).astype(int) - theirs).max() <= 1


def test_bmp_of_runs():
    grays = b"".join(bytes((level, level, level, 0)) for level in range(256))
    runs = b"".join(bytes((61, 5 * row, 0, 0)) for row in range(43)) + b"\0\1"
    expected = np.repeat(np.arange(43, dtype=np.uint8)[::-1, None] * 5, 61, 1)
    assert np.array_equal(decode(bmp(runs, (61, 43), 8, compression=1, palette=grays)), expected)
    with pytest.raises(ImageError, match="end of the bitmap"):
        decode(bmp(runs[:-2], (61, 43), 8, compression=1, palette=grays))


def test_bmp_that_holds_another_file_is_refused():
    with pytest.raises(ImageError, match="compression 4"):
        decode(bmp(jpeg(GRAY), (61, 43), 0, compression=4))


# PNG


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_png_of_few_bits(depth):
    levels = GRAY >> (8 - depth)
    per_byte = 8 // depth
    wide = np.pad(levels, ((0, 0), (0, -61 % per_byte)))
    packed = np.zeros((43, wide.shape[1] // per_byte), np.uint8)
    for place in range(per_byte):
        packed |= wide[:, place::per_byte] << (8 - depth * (place + 1))
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    expected = levels * (255 // (2**depth - 1))
    assert np.array_equal(decode(png_of(rows, (61, 43), depth, 0)), expected)
    key = struct.pack(">H", 2**depth - 1)
    shown = decode(png_of(rows, (61, 43), depth, 0, tRNS=key))
    assert np.array_equal(shown, np.where(expected == 255, 0, expected))


def test_png_of_sixteen_bits_with_a_transparent_level():
    deep = GRAY.astype(np.uint16) * 16
    deep[:5] = 65535  # what is no picture must not set the range either
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    shown = decode(png_of(rows, (61, 43), 16, 0, tRNS=b"\xff\xff"))
    assert (shown[:5] == 0).all()
    assert np.array_equal(shown[5:], np.rint(deep[5:] * (255 / 4095)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_as_pillow_reads_it(mode):
    image = pillow()
    picture = image.fromarray(np.dstack([COLOUR, ALPHA])).convert(mode)
    data = saved(picture, "png", **({"transparency": 3} if mode == "P" else {}))
    with image.open(io.BytesIO(data)) as opened:
        black = image.new("RGBA", opened.size, (0, 0, 0, 255))
        theirs = np.asarray(image.alpha_composite(black, opened.convert("RGBA")).convert("RGB").convert("L"))
    assert np.abs(decode(data).astype(int) - theirs).max() <= 1


def test_png_alpha_of_sixteen_bits_does_not_set_the_range():
    colour = np.dstack([COLOUR[..., ::-1].astype(np.uint16) * 16, np.full(GRAY.shape, 65535, np.uint16)])
    assert np.abs(decode(png(colour)).astype(int) - LUMA).max() <= 1
    colour[:7, :, 3] = 0
    assert (decode(png(colour))[:7] == 0).all()


def test_png_that_does_not_begin_with_its_header():
    whole = png(GRAY)
    with pytest.raises(ImageError, match=SAYS["does-not-begin-with"]):
        decode(whole[:8] + whole[33:])


def test_png_whose_last_chunk_claims_a_giant():
    """OpenCV alone allocates the 4 GB."""
    with pytest.raises(ImageError, match="shorter than it says"):
        decode(png(GRAY).replace(b"\0\0\0\0IEND", b"\xff\0\0\0IEND"))


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_animations_are_rejected(kind):
    image = pillow()
    frames = [image.fromarray(np.roll(COLOUR, step, 0)) for step in (0, 5, 9)]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(RejectedError, match="animated"):
        decode(data)


# WebP


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_webp(lossless, alpha):
    image = pillow()
    picture = image.fromarray(np.dstack([COLOUR, ALPHA]) if alpha else COLOUR)
    data = saved(picture, "webp", lossless=lossless, exact=True, quality=95)
    header = read_header(data)
    assert (header.width, header.height) == (61, 43)
    expected = LUMA * (ALPHA / 255 if alpha else 1.0)
    assert np.abs(decode(data) - expected).mean() < (1 if lossless else 6)


# JPEG


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "progressive", "keep_rgb"])
def test_jpeg_as_pillow_reads_it(mode):
    image = pillow()
    picture = image.fromarray(COLOUR).convert("RGB" if mode.islower() else mode)
    options = {mode: True} if mode.islower() else {}
    data = saved(picture, "jpeg", quality=95, **options)
    with image.open(io.BytesIO(data)) as opened:
        theirs = np.asarray(opened.convert("RGB").convert("L"))
    assert np.abs(decode(data).astype(int) - theirs).mean() < 2


@pytest.mark.parametrize("transform", [0, 2])
def test_jpeg_of_four_inks_with_and_without_their_transform(transform):
    """Adobe's marker says whether the inks are YCCK; all such files store them inverted."""
    image = pillow()
    data = bytearray(saved(image.fromarray(COLOUR).convert("CMYK"), "jpeg", quality=95))
    data[data.index(b"Adobe") + 11] = transform
    with image.open(io.BytesIO(bytes(data))) as opened:
        theirs = np.asarray(opened.convert("RGB").convert("L"))
    assert np.abs(decode(bytes(data)).astype(int) - theirs).mean() < 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data, frame: data[: frame + 5] + b"\0\0" + data[frame + 7 :], "61 x 0 pixels"),
        (lambda data, frame: data[: frame + 5] + b"\xff" * 4 + data[frame + 9 :], "65535 x 65535 pixels"),
        (lambda data, frame: data[: frame + 4] + b"\x0c" + data[frame + 5 :], "12-bit JPEG"),
        (lambda data, frame: data[: frame + 1] + b"\xc3" + data[frame + 2 :], "SOF3"),
        (lambda data, frame: data[:frame] + data[frame : frame + 13] + data[frame:], "two frame headers"),
        (lambda data, frame: data[:frame] + data[frame + 13 :], "no picture"),
        (lambda data, frame: data[:-2] + data[data.index(b"\xff\xda") : -2] * 100 + data[-2:], "100 scans"),
        (lambda data, frame: data[:2] + b"\xff" * 200_000, "truncated JPEG"),
        (lambda data, frame: data[:2] + b"\xff\x01" * 200_000, "segments"),
        (lambda data, frame: data[:2] + b"\xff\xfe\x00\x02" * 200_000, "segments"),
    ],
)
def test_jpeg_that_lies_is_refused(change, reason):
    data = jpeg(GRAY)
    with pytest.raises(ImageError, match=reason):
        decode(change(data, data.index(b"\xff\xc0")))


def test_an_end_marker_inside_a_table_is_not_the_end():
    """A progressive JPEG has tables between its scans; a comment there is taken for one."""
    image = pillow()
    data = saved(image.fromarray(GRAY), "jpeg", progressive=True, quality=95)
    later = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    comment = b"\xff\xfe\x00\x06\xff\xd9ab"
    assert np.array_equal(decode(data[:later] + comment + data[later:]), decode(data))
    with pytest.raises(ImageError, match="truncated JPEG"):
        decode(data[:later] + comment)


def test_the_walk_tells_the_frame():
    frame = jpeg_format.walk(jpeg(COLOUR))
    assert (frame.process, frame.precision, frame.height, frame.width, frame.components) == (
        0xC0,
        8,
        43,
        61,
        3,
    )


# All


def made_of_every_kind():
    grays = b"".join(bytes((level, level, level, 0)) for level in range(256))
    made = {
        "jpeg": jpeg(GRAY),
        "png": png(GRAY),
        "png, 16 bits": png(DEEP),
        "tiff": tiff(GRAY, rows_per_strip=9),
        "tiff, deflate": tiff(DEEP, rows_per_strip=9, compression=8),
        "bmp": bmp(padded(COLOUR), (61, 43), 24),
        "bmp, palette": bmp(padded(GRAY), (61, 43), 8, palette=grays),
    }
    for name, quality in (("webp", 90), ("webp, lossless", 101)):
        made[name] = cv2.imencode(".webp", COLOUR, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
    lzw = cv2.imencode(".tiff", GRAY, [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1].tobytes()
    return {**made, "tiff, LZW": lzw}


@pytest.mark.parametrize("kind", made_of_every_kind())
def test_every_truncation_is_an_error(kind):
    data = made_of_every_kind()[kind]
    decode(data)
    for length in truncations(data):
        with pytest.raises(ImageError):
            decode(data[:length])


@pytest.mark.parametrize("kind", made_of_every_kind())
def test_flipped_bits_never_raise_anything_else(kind):
    data = made_of_every_kind()[kind]
    rng = np.random.default_rng(5)
    limits = Limits(max_pixels=1_000_000)
    for _ in range(150):
        damaged = bytearray(data)
        for position in rng.integers(0, len(data), 5):
            damaged[position] ^= 1 << int(rng.integers(8))
        try:
            decode(bytes(damaged), limits=limits)
        except ImageError:
            continue


@pytest.mark.parametrize(
    "data",
    [
        png_of(b"", (65535, 65535), 8, 0),
        tiff(
            GRAY,
            compression=8,
            tags={256: [65535], 257: [65535], 278: [65535]},
            strips=[zlib.compress(b"\1" * 99)],
        ),
        bmp(b"", (65535, 65535), 24),
        bmp(b"\0\1", (65535, 65535), 8, compression=1),
        b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xfe\xff\0" * 2 + b"\0" * 8,
        b"RIFF\x16\0\0\0WEBPVP8L\x0a\0\0\0\x2f\xff\xff\xff\x0f" + b"\0" * 5,
        b"RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0\x10\0\0\x9d\x01\x2a\xff\x3f\xff\x3f",
    ],
)
def test_a_header_that_claims_a_giant_allocates_nothing(data):
    tracemalloc.start()
    with pytest.raises(ImageError, match=r"pixels; the limit is"):
        decode(data)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", EXIF_TURNED[:20]]
)
def test_damaged_metadata_leave_the_picture_as_it_is(exif):
    assert orientation_of(exif) == 1
    assert orientation_of(b"Exif\0\0" + EXIF_TURNED) == 6


@pytest.mark.parametrize("channels", [2, 5])
def test_other_numbers_of_channels_are_refused(channels):
    with pytest.raises(ImageError, match=f"{channels} channels"):
        to_gray(np.zeros((4, 4, channels), np.uint8))

"""Bytes to gray pixels to the model's input."""

import io

import cv2
import numpy as np
import pytest
from specimens import jpeg, png

from xray_infer.errors import ImageError
from xray_infer.images.decode import decode
from xray_infer.images.formats import read_header
from xray_infer.images.gray import to_eight_bits
from xray_infer.images.preprocess import to_input


def test_gray_png_is_exact(xray):
    assert np.array_equal(decode(png(xray)), xray)


def test_sixteen_bit_copy_equals_the_eight_bit_image(xray):
    xray[0, 0] = 255
    assert np.array_equal(decode(png(xray.astype(np.uint16) * 257)), xray)


def test_twelve_bits_in_sixteen_are_scaled_by_twelve():
    deep = np.array([[0, 2048, 4095]], np.uint16)
    assert to_eight_bits(deep).tolist() == [[0, 128, 255]]


def test_eight_bits_in_sixteen_stay_as_they_are():
    assert to_eight_bits(np.array([[0, 7, 200]], np.uint16)).tolist() == [[0, 7, 200]]


def test_float_pixels_are_refused():
    with pytest.raises(ImageError, match="float32 pixels"):
        to_eight_bits(np.zeros((2, 2), np.float32))


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_of_equal_channels_is_gray(xray, channels):
    stacked = np.dstack([xray] * 3 + [np.full_like(xray, 255)])[..., :channels]
    assert np.array_equal(decode(png(stacked)), xray)


def test_transparent_pixels_are_black(xray):
    clear = np.dstack([xray, xray, xray, np.full_like(xray, 255)])
    clear[:10, :, 3] = 0
    gray = decode(png(clear))
    assert gray[:10].max() == 0
    assert np.array_equal(gray[10:], xray[10:])


def test_large_jpeg_is_reduced_but_keeps_twice_the_side(xray):
    large = cv2.resize(xray, (2300, 1900), interpolation=cv2.INTER_CUBIC)
    reduced, full = decode(jpeg(large), side=224), decode(jpeg(large))
    assert full.shape == (1900, 2300)
    assert reduced.shape == (475, 575)
    difference = to_input(reduced, side=224).astype(int) - to_input(full, side=224)
    assert np.abs(difference).mean() < 1


@pytest.mark.parametrize("size", [(300, 260), (1900, 1000)])
def test_exif_rotation_is_applied_once(xray, size):
    image_module = pytest.importorskip("PIL.Image")
    upright = cv2.resize(xray, size[::-1], interpolation=cv2.INTER_CUBIC)
    exif = image_module.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    stream = io.BytesIO()
    turned = np.rot90(upright)  # counter-clockwise
    image_module.fromarray(np.ascontiguousarray(turned)).save(stream, "jpeg", quality=95, exif=exif)
    shown = decode(stream.getvalue(), side=224)
    assert shown.shape[0] > shown.shape[1]
    difference = to_input(shown, side=224).astype(int) - to_input(upright, side=224)
    assert np.abs(difference).mean() < 2


def test_every_truncation_of_a_jpeg_and_a_png_is_an_error(xray):
    for data in (jpeg(xray), png(xray)):
        for length in (*range(1, 200), *range(200, len(data), 997), len(data) - 2):
            with pytest.raises(ImageError):
                decode(data[:length])


def test_a_thumbnail_does_not_hide_a_truncated_jpeg(xray):
    thumbnail = jpeg(xray[:40, :40])
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = b"\xff\xd8" + segment + jpeg(xray)[2:]
    assert decode(whole).shape == xray.shape
    with pytest.raises(ImageError, match="truncated JPEG"):
        decode(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello", "not an image"),
        (b"\xff\xd8\xff\xe0garbage", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "truncated PNG"),
        (b"RIFF\xff\xff\x00\x00WEBPVP8 ", "truncated WebP"),
        (b"RIFF", "not an image"),
        (b"II*\x00" + b"\x00" * 40, "damaged TIFF"),
        (b"BM" + b"\x00" * 60, "not an image"),
    ],
)
def test_what_is_no_image_says_so(data, reason):
    with pytest.raises(ImageError, match=reason):
        decode(data)


def test_a_giant_header_is_refused_before_decoding():
    ihdr = b"\x00\x00\x00\x0dIHDR" + (65535).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00" + b"\x00" * 4
    giant = b"\x89PNG\r\n\x1a\n" + ihdr + b"\x00\x00\x00\x00IEND\xae\x42\x60\x82"
    with pytest.raises(ImageError, match="65535 x 65535 pixels"):
        read_header(giant)


def test_flipped_bits_never_raise_anything_else(xray):
    rng = np.random.default_rng(3)
    for data in (png(xray[:64, :64]), jpeg(xray)):
        for _ in range(150):
            damaged = bytearray(data)
            for position in rng.integers(0, len(data), 8):
                damaged[position] ^= 1 << int(rng.integers(8))
            try:
                decode(bytes(damaged))
            except ImageError:
                continue


@pytest.mark.parametrize("side", [64, 224])
@pytest.mark.parametrize("shape", [(1, 1), (224, 224), (1000, 3), (100, 900), (2000, 2000)])
def test_input_has_one_shape(shape, side):
    made = to_input(np.full(shape, 9, np.uint8), side=side)
    assert made.shape == (side, side, 1)
    assert made.min() == made.max() == 9


@pytest.mark.parametrize("bad", [np.zeros((2, 2)), np.zeros((0, 4), np.uint8), np.zeros((2, 2, 1), np.uint8)])
def test_input_refuses_other_arrays(bad):
    with pytest.raises(ValueError, match="expected a non-empty"):
        to_input(bad, side=224)


def test_real_files_of_every_kind_decode(shared_data):
    """Against Pillow, which shares no code with OpenCV's converters but the codecs."""
    image_module = pytest.importorskip("PIL.Image")
    files = [p for p in sorted((shared_data / "originals").iterdir()) if p.suffix not in (".md", ".csv")]
    assert len(files) == 88
    for path in files:
        ours = decode(path.read_bytes(), side=0)
        with image_module.open(path) as opened:
            theirs = np.asarray(opened.convert("RGB").convert("L"))
        assert ours.shape == theirs.shape, path.name
        assert np.abs(ours.astype(int) - theirs).mean() < 2, path.name

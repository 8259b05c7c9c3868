"""Image files that are wrong, or odd, on purpose: what no encoder writes, put together by hand.

References: W3C PNG (third edition), ITU-T T.81, TIFF 6.0, RIFF and WebP container specification, the
BITMAPINFOHEADER family, DICOM PS3.10.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from hostile_bytes import Expected, Sample, deflated, good_files, picture
from specimens import jpeg, png


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def ihdr(width: int, height: int, *, depth: int = 8, colour: int = 0, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def png_of(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND")


def pngs() -> Iterator[Sample]:
    def sample(what: str, *chunks: bytes, expected: Expected = "bad") -> Sample:
        return Sample(f"png {what}", ".png", png_of(*chunks), expected)

    rows = chunk(b"IDAT", zlib.compress(b"\x00".join([b""] + [bytes(range(100))] * 100)))
    head = ihdr(100, 100)
    bomb = deflated(200)
    for width, height in ((65535, 65535), (2**31 - 1, 2**31 - 1), (2**32 - 1, 2**32 - 1), (20_000, 20_000)):
        yield sample(f"of {width} x {height}", ihdr(width, height), rows)
    for width, height in ((2**31 - 1, 1), (1, 2**31 - 1), (1_000_001, 1), (1, 1_000_001), (150_000, 1300)):
        yield sample(f"of {width} x {height}", ihdr(width, height), rows)
    for width, height in ((0, 0), (0, 100), (100, 0)):
        yield sample(f"of {width} x {height}", ihdr(width, height), rows)
    # Within the limits: it may cost time and memory for its pixels, and no more.
    yield sample(
        "bomb within the limit", ihdr(10_000, 10_000), chunk(b"IDAT", deflated(96)), expected="either"
    )
    deep = ihdr(3000, 3000, depth=16, colour=6)
    yield sample("16-bit rgba bomb within the limit", deep, chunk(b"IDAT", bomb), expected="either")
    yield sample("interlaced bomb", ihdr(4000, 4000, interlace=1), chunk(b"IDAT", bomb), expected="either")
    yield sample("whose rows unpack to 200 MB more", head, chunk(b"IDAT", bomb), expected="either")
    for kind, start in {
        "iCCP": b"x\x00\x00",
        "zTXt": b"Comment\x00\x00",
        "iTXt": b"Comment\x00\x01\x00\x00\x00",
    }.items():
        yield sample(f"{kind} bomb", head, chunk(kind.encode(), start + bomb), rows, expected="either")
    yield sample("of 50,000 comments", head, chunk(b"tEXt", b"a\x00b") * 50_000, rows, expected="either")
    yield sample("of 200,000 empty chunks", head, chunk(b"IDAT") * 200_000, rows, expected="either")
    yield sample("chunk that claims 2 GB", head, struct.pack(">I", 2**31 - 1) + b"IDAT", rows)
    yield sample("chunk that claims 4 GB", head, struct.pack(">I", 2**32 - 1) + b"tEXt", rows)
    yield sample("without pixels", head)
    yield sample("without header", rows)
    yield sample("with half its rows", head, chunk(b"IDAT", zlib.compress(bytes(101 * 50))))
    yield sample("with its end before its pixels", head, chunk(b"IEND"), rows)
    yield sample("with two headers", head, ihdr(30_000, 30_000), rows, expected="either")
    yield sample("with a bad checksum", head[:-1] + b"\x00", rows)
    yield sample("whose pixels have a bad checksum", head, rows[:-1] + b"\x00", expected="either")
    yield sample("with noise for pixels", head, chunk(b"IDAT", np.random.default_rng(3).bytes(5000)))
    yield sample("of filter 9", head, chunk(b"IDAT", zlib.compress((b"\x09" + bytes(100)) * 100)))
    for depth, colour in ((3, 0), (16, 3), (1, 2), (8, 5), (0, 0), (255, 255)):
        yield sample(
            f"of depth {depth} and colour type {colour}", ihdr(100, 100, depth=depth, colour=colour), rows
        )
    yield sample("with a palette missing", ihdr(100, 100, colour=3), rows)
    short = chunk(b"PLTE", bytes(3))
    yield sample("with indices beyond its palette", ihdr(100, 100, colour=3), short, rows, expected="either")
    yield sample("with an unknown critical chunk", head, chunk(b"EVIL", b"x"), rows, expected="either")
    frames = chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 100, 100, 0, 0, 1, 1, 0, 0))
    outside = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 2**30, 2**30, 2**30, 2**30, 1, 0, 3, 3))
    yield sample("animated, of two thousand million frames", head, frames, control, rows, expected="either")
    yield sample("animated, with a frame outside", head, frames, outside, rows, expected="either")
    more = chunk(b"fdAT", struct.pack(">I", 1) + bomb)
    yield sample("animated, with a bomb", head, frames, control, rows, outside, more, expected="either")
    yield Sample("png with a page after its end", ".png", png(picture()) + bytes(4096), "ok")


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def with_size(data: bytes, height: int, width: int) -> bytes:
    """The JPEG with another size in its frame header."""
    start = next(at for at in (data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) if at > 0)
    return data[: start + 5] + struct.pack(">HH", height, width) + data[start + 9 :]


def jpegs() -> Iterator[Sample]:
    whole = jpeg(picture())
    body = whole[2:]
    start = whole.find(b"\xff\xc0")

    def sample(what: str, data: bytes, expected: Expected = "bad") -> Sample:
        return Sample(f"jpeg {what}", ".jpg", data, expected)

    for height, width in ((65500, 65500), (65535, 65535), (0, 0), (0, 120), (110, 0)):
        yield sample(f"of {width} x {height}", with_size(whole, height, width))
    for height, width in ((65535, 1), (1, 65535), (14_000, 14_000), (65500, 3000)):
        yield sample(f"of {width} x {height} with few pixels", with_size(whole, height, width), "either")
    for marker in (0xC1, 0xC3, 0xC5, 0xC9, 0xCA, 0xCB, 0xCF):
        frame = whole[: start + 1] + bytes([marker]) + whole[start + 2 :]
        yield sample(f"of coding process {marker:X}", frame, "either")
    for precision in (0, 2, 12, 16, 255):
        yield sample(f"of {precision} bits", whole[: start + 4] + bytes([precision]) + whole[start + 5 :])
    for count in (0, 2, 4, 255):
        yield sample(f"of {count} components", whole[: start + 9] + bytes([count]) + whole[start + 10 :])
    for factors in (0x00, 0x44, 0xFF):
        odd = whole[: start + 11] + bytes([factors]) + whole[start + 12 :]
        yield sample(f"of sampling factors {factors:X}", odd, "either")
    for kind, marker in {"quantisation": 0xDB, "Huffman": 0xC4}.items():
        at = whole.find(bytes([0xFF, marker]))
        length = struct.unpack_from(">H", whole, at + 2)[0]
        # libjpeg-turbo has Huffman tables of its own, for films of JPEGs.
        expected: Expected = "bad" if marker == 0xDB else "either"
        yield sample(f"without a {kind} table", whole[:at] + whole[at + 2 + length :], expected)
    yield sample("of one scan after another", _many_scans(side=3000, scans=150), "either")
    yield sample("of a megabyte of fill bytes", whole[:2] + b"\xff" * (1 << 20) + body, "either")
    yield sample("of 100,000 empty comments", whole[:2] + segment(0xFE, b"") * 100_000 + body, "either")
    yield sample("of 100 large comments", whole[:2] + segment(0xFE, bytes(65_000)) * 100 + body, "ok")
    yield sample(
        "of 255 ICC pieces", whole[:2] + segment(0xE2, b"ICC_PROFILE\x00\xff\xff") * 255 + body, "ok"
    )
    yield sample("with a segment of length 0", whole[:2] + b"\xff\xfe\x00\x00" + body, "either")
    yield sample("that ends in its header", whole[:start] + b"\xff\xd9")
    yield sample("of nothing but start and end", b"\xff\xd8\xff\xd9")
    yield sample("whose pixels are missing", whole[: whole.find(b"\xff\xda") + 10] + b"\xff\xd9")
    for what, exif in _exifs().items():
        yield sample(f"with {what}", whole[:2] + segment(0xE1, b"Exif\x00\x00" + exif) + body, "ok")


def _exifs() -> dict[str, bytes]:
    orientation = struct.pack("<HHII", 0x0112, 3, 1, 9)
    return {
        "an EXIF orientation of 9": tiff_of(orientation),
        "an EXIF directory that points at itself": tiff_of(orientation, next_directory=8),
        "an EXIF directory outside": b"II*\x00" + struct.pack("<I", 2**32 - 1),
        "an EXIF of 65,535 entries": b"II*\x00\x08\x00\x00\x00\xff\xff" + orientation,
        "an EXIF value of 4 GB": tiff_of(struct.pack("<HHII", 0x0112, 3, 2**32 - 1, 2**32 - 1)),
    }


def _many_scans(*, side: int, scans: int) -> bytes:
    """A progressive JPEG, small as a file, whose every scan passes over all of its coefficients again.

    One code in the Huffman table, of one bit: an end-of-band run of 32,767 blocks.
    """
    frame = segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\x01\x11\x00")
    table = segment(0xC4, b"\x10" + bytes([1]) + bytes(15) + b"\xe0")
    first = segment(0xC4, b"\x00" + bytes([1]) + bytes(15) + b"\x00") + segment(
        0xDA, b"\x01\x01\x00\x00\x00\x00"
    )
    blocks = (side // 8) ** 2
    runs = -(-blocks // 16_384)
    band = segment(0xDA, b"\x01\x01\x00\x01\x3f\x00") + bytes(2 * runs)
    quantisation = segment(0xDB, b"\x00" + b"\x01" * 64)
    zeros = bytes(blocks // 8 + 1)
    return b"\xff\xd8" + quantisation + frame + first + zeros + table + band * scans + b"\xff\xd9"


def entry(tag: int, value: int, *, kind: int = 4, count: int = 1) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


def tiff_of(*entries: bytes, next_directory: int = 0, rest: bytes = b"") -> bytes:
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", next_directory)
    return b"II*\x00\x08\x00\x00\x00" + directory + rest


def tiff_image(width: int, height: int, *, rest: bytes = b"", **changes: int) -> bytes:
    """An uncompressed gray TIFF of one strip after its directory; `changes` by tag, as "t258"."""
    fields = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: height, 279: len(rest)}
    fields |= {int(tag[1:]): value for tag, value in changes.items()}
    if 273 not in {int(tag[1:]) for tag in changes}:
        fields[273] = 8 + 2 + 12 * len(fields) + 4
    fields = {tag: value for tag, value in fields.items() if value >= 0}
    return tiff_of(*(entry(tag, value) for tag, value in sorted(fields.items())), rest=rest)


def tiffs() -> Iterator[Sample]:
    pixels = picture().tobytes()

    def sample(what: str, data: bytes, expected: Expected = "bad") -> Sample:
        return Sample(f"tiff {what}", ".tif", data, expected)

    yield sample("made by hand", tiff_image(120, 110, rest=pixels), "ok")
    for width, height in (
        (65535, 65535),
        (2**32 - 1, 2**32 - 1),
        (2**31, 1),
        (1, 2**32 - 1),
        (20_000, 20_000),
        (0, 0),
        (0, 110),
    ):
        yield sample(f"of {width} x {height}", tiff_image(width, height, rest=pixels))
    yield sample("giant of 64-bit rgba", tiff_image(30_000, 30_000, rest=pixels, t258=64, t277=4))
    yield sample("of 14,000 x 14,000 with few pixels", tiff_image(14_000, 14_000, rest=pixels))
    yield sample("with half its rows", tiff_image(120, 110, rest=pixels[: len(pixels) // 2]))
    for bits in (0, 3, 64, 65535):
        yield sample(f"of {bits} bits", tiff_image(120, 110, rest=pixels, t258=bits))
    for count in (0, 5, 65535):
        yield sample(f"of {count} samples", tiff_image(120, 110, rest=pixels, t277=count))
    for rows in (0, 1, 2**32 - 1):
        yield sample(f"of {rows} rows a strip", tiff_image(120, 110, rest=pixels, t278=rows), "either")
    for compression in (0, 2, 3, 4, 5, 6, 7, 8, 32773, 34712, 50001, 65535):
        odd = tiff_image(120, 110, rest=pixels, t259=compression)
        packbits = compression == 32773  # in which any bytes are something
        yield sample(f"of compression {compression} and none of it", odd, "either" if packbits else "bad")
    for what, changes in {
        "with pixels beyond its end": {"t273": 2**31},
        "with pixels in its header": {"t273": 0},
        "with a strip of 4 GB": {"t279": 2**32 - 1},
        "without strips": {"t273": -1},
    }.items():
        yield sample(what, tiff_image(120, 110, rest=pixels, **changes), "either")
    tiles = {"t322": 2**31 - 16, "t323": 2**31 - 16, "t324": 8, "t325": 2**31, "t278": -1, "t273": -1}
    yield sample("of tiles of two thousand million pixels", tiff_image(120, 110, rest=pixels, **tiles))
    small = {**tiles, "t322": 16, "t323": 16, "t325": 256}
    yield sample("of a million tiles", tiff_image(14_000, 14_000, rest=pixels, **small))
    yield sample("bomb", tiff_image(50_000, 1000, rest=deflated(48), t259=8), "either")
    yield sample("bomb beyond the limit", tiff_image(100_000, 3000, rest=deflated(287), t259=8))
    size = [entry(256, 120), entry(257, 110)]
    yield sample("whose directory points at itself", tiff_of(*size, next_directory=8))
    loop = tiff_image(120, 110, rest=pixels)
    end = 8 + 2 + 12 * 9
    yield sample("of endless pages", loop[:end] + struct.pack("<I", 8) + loop[end + 4 :], "either")
    yield sample("of a directory outside", b"II*\x00" + struct.pack("<I", 2**32 - 1))
    yield sample("of 65,535 tags", tiff_of(*(entry(tag, 1) for tag in range(65_535))))
    yield sample("that claims 65,535 tags", b"II*\x00\x08\x00\x00\x00\xff\xff" + entry(256, 120))
    yield sample("with a tag of 4 GB", tiff_of(*size, entry(273, 8, count=2**32 - 1)))
    yield sample("of unknown types", tiff_of(*(entry(tag, 1, kind=99) for tag in range(250, 290))))
    yield sample("of 64-bit offsets", b"II+\x00\x08\x00\x00\x00" + struct.pack("<QQ", 16, 2**63))
    yield sample("big-endian with a small-endian directory", b"MM\x00*" + loop[4:])


def bmps() -> Iterator[Sample]:
    def bmp(
        width: int,
        height: int,
        *,
        bits: int = 8,
        compression: int = 0,
        header: int = 40,
        colours: int = 0,
        offset: int = 1078,
        rest: bytes = bytes(1024 + 120 * 110),
    ) -> bytes:
        info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, 0, 0, 0, colours, 0)
        return b"BM" + struct.pack("<IHHI", 54 + len(rest), 0, 0, offset) + info + rest

    def sample(what: str, data: bytes, expected: Expected = "bad") -> Sample:
        return Sample(f"bmp {what}", ".bmp", data, expected)

    yield sample("from its last row up", bmp(120, -110), "ok")
    for width, height in (
        (65535, 65535),
        (2**31 - 1, 2**31 - 1),
        (2**31 - 1, 1),
        (-120, 110),
        (-(2**31), -(2**31)),
        (120, -(2**31)),
        (20_000, 20_000),
        (0, 0),
        (0, 110),
        (120, 0),
    ):
        yield sample(f"of {width} x {height}", bmp(width, height))
    yield sample("of 14,000 x 14,000 with few pixels", bmp(14_000, 14_000))
    yield sample("with half its rows", bmp(120, 110, rest=bytes(1024 + 60 * 110)))
    for bits in (0, 3, 64, 65535):
        yield sample(f"of {bits} bits", bmp(120, 110, bits=bits))
    for compression in (4, 5, 99, 2**32 - 1):
        yield sample(f"of compression {compression}", bmp(120, 110, compression=compression))
    noise = bytes(1024) + np.random.default_rng(4).bytes(20_000)
    for compression, bits in ((1, 8), (2, 4), (1, 24), (3, 16), (3, 32)):
        odd = bmp(120, 110, bits=bits, compression=compression, rest=noise)
        yield sample(f"of compression {compression} at {bits} bits and noise", odd, "either")
    end = bytes(1024) + b"\x00\x01"
    yield sample("of runs beyond the limit", bmp(20_000, 20_000, compression=1, rest=end))
    yield sample("of few runs", bmp(5000, 5000, compression=1, rest=end), "either")
    runs = bytes(1024) + b"\xff\x00" * 40_000
    yield sample("of runs beyond its width", bmp(120, 110, compression=1, rest=runs), "either")
    jumps = bytes(1024) + b"\x00\x02\xff\xff" * 20_000
    yield sample("of jumps beyond its height", bmp(120, 110, compression=1, rest=jumps), "either")
    for header in (0, 12, 39, 2**32 - 1):
        yield sample(f"of a header of {header} bytes", bmp(120, 110, header=header), "either")
    yield sample("of 4 thousand million colours", bmp(120, 110, colours=2**32 - 1), "either")
    for offset in (0, 14, 2**31, 2**32 - 1):
        yield sample(f"of pixels at byte {offset}", bmp(120, 110, offset=offset), "either")


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def webp_chunk(kind: bytes, data: bytes, size: int | None = None) -> bytes:
    return kind + struct.pack("<I", len(data) if size is None else size) + data + b"\x00" * (len(data) % 2)


def webps() -> Iterator[Sample]:
    files = good_files()
    lossy, lossless = (files[kind][1][12:] for kind in ("lossy webp", "lossless webp"))
    bits = lossy[8 : 8 + struct.unpack_from("<I", lossy, 4)[0]]

    def sample(what: str, data: bytes, expected: Expected = "bad") -> Sample:
        return Sample(f"webp {what}", ".webp", data, expected)

    def canvas(width: int, height: int, flags: int = 0) -> bytes:
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        return webp_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sides)

    for width, height in ((16384, 16384), (2**24, 2**24), (2**24, 1)):
        yield sample(f"with a canvas of {width} x {height}", riff(canvas(width, height), lossy))
    giant = bits[:6] + struct.pack("<HH", 16383, 16383) + bits[10:]
    yield sample("of 16383 x 16383", riff(webp_chunk(b"VP8 ", giant)))
    yield sample("of 0 x 0", riff(webp_chunk(b"VP8 ", bits[:6] + bytes(4) + bits[10:])))
    packed = lossless[8:]
    yield sample(
        "lossless of 16384 x 16384", riff(webp_chunk(b"VP8L", packed[:1] + b"\xff" * 4 + packed[5:]))
    )
    for part in (10, len(bits) // 2, len(bits) - 30):
        yield sample(f"whose pixels end after {part} bytes", riff(webp_chunk(b"VP8 ", bits[:part])))
        yield sample(
            f"that says so, with {part} bytes", riff(webp_chunk(b"VP8 ", bits[:part], size=len(bits)))
        )
    yield sample("without chunks", riff())
    yield sample("of unknown chunks", riff(*[webp_chunk(b"EVIL", b"x")] * 50_000))
    yield sample("with a chunk of 4 GB", riff(webp_chunk(b"VP8 ", bits, size=2**32 - 1)))
    yield sample("that claims 4 GB", riff(lossy, size=2**32 - 10))
    yield sample("that claims nothing", riff(lossy, size=0), "either")
    alpha = webp_chunk(b"ALPH", b"\x01" + np.random.default_rng(5).bytes(500))
    yield sample("with noise for transparency", riff(canvas(120, 110, 0x10), alpha, lossy), "either")
    frame = bytes(6) + (119).to_bytes(3, "little") + (109).to_bytes(3, "little") + bytes(4)
    start = webp_chunk(b"ANIM", bytes(6))
    film = [webp_chunk(b"ANMF", frame + lossy)] * 300
    yield sample("animated, of 300 frames", riff(canvas(120, 110, 2), start, *film), "either")
    outside = webp_chunk(b"ANMF", b"\xff" * 12 + bytes(4) + lossy)
    yield sample("animated, with a frame outside", riff(canvas(120, 110, 2), start, outside), "either")
    wide = riff(canvas(16384, 16384, 2), start, *film)
    yield sample("animated, on a canvas beyond the limit", wide)


def dicoms() -> Iterator[Sample]:
    """With a preamble, as DICOM files have; whether they are read depends on an extra. All are damaged."""

    def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
        return struct.pack("<HH2sH", group, number, kind, len(value)) + value

    def dicom(*elements: bytes, syntax: bytes = b"1.2.840.10008.1.2.1\x00") -> bytes:
        meta = element(2, 0x10, b"UI", syntax)
        length = element(2, 0, b"UL", struct.pack("<I", len(meta)))
        return bytes(128) + b"DICM" + length + meta + b"".join(elements)

    def image(rows: int, columns: int, *, frames: bytes = b"1 ", pixels: bytes = bytes(100)) -> list[bytes]:
        return [
            element(0x28, 2, b"US", struct.pack("<H", 1)),
            element(0x28, 4, b"CS", b"MONOCHROME2 "),
            element(0x28, 8, b"IS", frames),
            element(0x28, 0x10, b"US", struct.pack("<H", rows)),
            element(0x28, 0x11, b"US", struct.pack("<H", columns)),
            element(0x28, 0x100, b"US", struct.pack("<H", 16)),
            element(0x28, 0x101, b"US", struct.pack("<H", 12)),
            element(0x28, 0x102, b"US", struct.pack("<H", 11)),
            element(0x28, 0x103, b"US", struct.pack("<H", 0)),
            struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, len(pixels)) + pixels,
        ]

    def sample(what: str, data: bytes, suffix: str = ".png") -> Sample:
        return Sample(f"dicom {what}", suffix, data)

    yield sample("of a preamble alone", bytes(128) + b"DICM")
    yield sample("and noise", bytes(128) + b"DICM" + np.random.default_rng(6).bytes(3000), ".jpg")
    yield sample("without pixels", dicom(*image(100, 100)[:-1]))
    yield sample("with few pixels", dicom(*image(100, 100)))
    yield sample("of 65,535 x 65,535", dicom(*image(65535, 65535)))
    yield sample("of 0 x 0", dicom(*image(0, 0)))
    yield sample("of two thousand million frames", dicom(*image(10, 10, frames=b"2147483647")))
    yield sample("of an unknown syntax", dicom(*image(5, 10), syntax=b"1.2.3.4.5.6"), ".tif")
    packed = zlib.compressobj(wbits=-15)
    deflate = packed.compress(b"".join(image(100, 100)) + bytes(1 << 26)) + packed.flush()
    yield sample("that is a deflate bomb", dicom(deflate, syntax=b"1.2.840.10008.1.2.1.99"))
    sequence = struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 2**32 - 1) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 2**32 - 1
    )
    yield sample("of 5,000 nested sequences", dicom(sequence * 5000))
    yield sample("with an element of 4 GB", dicom(struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 2**32 - 2)))

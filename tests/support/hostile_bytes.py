"""Files that are damaged, empty or of another kind. What is wrong within a format is in `hostile_formats`."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from specimens import jpeg, png

Expected = Literal["ok", "bad", "either"]


@dataclass(frozen=True, slots=True)
class Sample:
    """`expected` is the row's status: ok, anything else (bad), or either where a decoder may choose."""

    what: str
    suffix: str
    data: bytes
    expected: Expected = "bad"


def picture(seed: int = 0, height: int = 110, width: int = 120) -> np.ndarray:
    """A smooth gray picture, uint8."""
    rough = np.random.default_rng(seed).integers(0, 256, (9, 9)).astype(np.uint8)
    return cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(suffix: str, pixels: np.ndarray, *settings: int) -> bytes:
    done, data = cv2.imencode(suffix, pixels, settings)
    assert done
    return data.tobytes()


def good_files() -> dict[str, tuple[str, bytes]]:
    """One valid file of each kind that is read: name -> (suffix, content)."""
    gray = picture()
    colour = np.dstack([picture(seed) for seed in range(3)])
    return {
        "jpeg": (".jpg", jpeg(gray)),
        "colour jpeg": (".jpeg", jpeg(colour)),
        "progressive jpeg": (".jpg", encoded(".jpg", gray, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        "png": (".png", png(gray)),
        "16-bit png": (".png", png(gray.astype(np.uint16) * 257)),
        "rgba png": (".png", png(np.dstack([colour, gray]))),
        "tiff": (".tif", encoded(".tif", gray, cv2.IMWRITE_TIFF_COMPRESSION, 1)),
        "lzw tiff": (".tiff", encoded(".tif", colour, cv2.IMWRITE_TIFF_COMPRESSION, 5)),
        "lossy webp": (".webp", encoded(".webp", colour, cv2.IMWRITE_WEBP_QUALITY, 80)),
        "lossless webp": (".webp", encoded(".webp", colour, cv2.IMWRITE_WEBP_QUALITY, 101)),
        "bmp": (".bmp", encoded(".bmp", gray)),
        "colour bmp": (".bmp", encoded(".bmp", colour)),
    }


def damaged(rng: np.random.Generator) -> Iterator[Sample]:
    """Good files cut short at many offsets, with bits flipped, and as bad copies leave them."""
    for kind, (suffix, data) in good_files().items():
        size = len(data)
        for cut in (2, 9, 20, 33, 60, size // 4, size // 2, size * 3 // 4, size * 9 // 10, size - 40):
            yield Sample(f"{kind} cut at byte {cut}", suffix, data[:cut])
        for flips in (1, 1, 4, 16, 64):
            mangled = bytearray(data)
            for position in rng.integers(0, size, flips):
                mangled[position] ^= 1 << int(rng.integers(8))
            yield Sample(f"{kind} with {flips} flipped bits", suffix, bytes(mangled), "either")
        third = size // 3
        copies = {
            "a lost block": data[:third] + bytes(third) + data[2 * third :],
            "a missing block": data[:third] + data[2 * third :],
            "line ends converted": data.replace(b"\n", b"\r\n"),
            "its halves swapped": data[size // 2 :] + data[: size // 2],
            "its bytes taken for text": data.decode("latin-1").encode("utf-8"),
        }
        for what, copy in copies.items():
            fatal = what.startswith("its ") or (what.startswith("line") and kind.endswith("png"))
            yield Sample(f"{kind} with {what}", suffix, copy, "bad" if fatal else "either")


def without_content() -> Iterator[Sample]:
    """Files that hold nothing, or one thing over and over."""
    for suffix in (".png", ".jpg", ".tif", ".webp", ".bmp"):
        yield Sample("zero bytes", suffix, b"")
    yield Sample("one byte", ".png", b"\x89")
    yield Sample("only NUL", ".png", bytes(1 << 20))
    yield Sample("only FF", ".jpg", b"\xff" * (1 << 20))
    yield Sample("noise", ".jpg", np.random.default_rng(1).bytes(1 << 18))
    for suffix, magic in {".png": b"\x89PNG\r\n\x1a\n", ".jpg": b"\xff\xd8\xff", ".bmp": b"BM"}.items():
        yield Sample("only the signature", suffix, magic)
        yield Sample("the signature and noise", suffix, magic + np.random.default_rng(2).bytes(5000))


def foreign() -> Iterator[Sample]:
    """Other kinds of file under an image's suffix, and images under another image's."""
    files = good_files()
    for kind, wrong in {
        "jpeg": ".png",
        "png": ".jpg",
        "tiff": ".png",
        "bmp": ".tif",
        "lossy webp": ".jpg",
    }.items():
        yield Sample(f"a {kind} with the suffix of another", wrong, files[kind][1], "ok")
    gif = encoded(".gif", np.dstack([picture()] * 3))
    yield Sample("gif", ".png", gif, "either")
    yield Sample("gif of 65,535 x 65,535", ".png", gif[:6] + b"\xff\xff\xff\xff" + gif[10:])
    texts = {
        "html": "<!doctype html><title>login</title>",
        "html error page": "<html><body>404 Not Found</body></html>",
        "svg": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "svg with a billion laughs": '<!DOCTYPE a [<!ENTITY l "l">'
        + "".join(f'<!ENTITY l{n} "{f"&l{n - 1 or str()};" * 10}">' for n in range(1, 10))
        + "]><svg>&l9;</svg>",
        "svg that reads a file": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
        "pdf": "%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
        "postscript": "%!PS-Adobe-3.0\n{} loop\n",
        "shell script": "#!/bin/sh\nexit 1\n",
        "git-lfs pointer": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "csv": "path,status\n=1+1,ok\n",
        "pnm of 65,535 x 65,535": "P5\n65535 65535\n255\n",
        "radiance hdr": "#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 99999 +X 99999\n",
    }
    for what, text in texts.items():
        yield Sample(what, ".png", text.encode(), "bad")
    yield Sample("utf-16 text", ".jpg", "image".encode("utf-16"))
    for what, magic in {
        "windows program": b"MZ\x90\x00",
        "elf program": b"\x7fELF\x02\x01\x01",
        "python pickle": b"\x80\x04cos\nsystem\n",
        "openexr": b"\x76\x2f\x31\x01",
        "jpeg 2000": b"\x00\x00\x00\x0cjP  \r\n\x87\n",
        "avif": b"\x00\x00\x00\x20ftypavif\x00\x00\x00\x00avifmif1",
        "photoshop": b"8BPS\x00\x01",
        "icon": b"\x00\x00\x01\x00\x01\x00",
        "sun raster": b"\x59\xa6\x6a\x95",
    }.items():
        yield Sample(what, ".jpg", magic + bytes(300))
    yield from _archives(files["jpeg"][1])


def _archives(inner: bytes) -> Iterator[Sample]:
    def zipped(name: str, data: bytes) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        return stream.getvalue()

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../x.jpg"))
    nested = inner
    for _ in range(60):
        nested = zipped("again.zip", nested)
    yield Sample("zip of an image", ".jpg", zipped("x.jpg", inner))
    yield Sample("zip in zip, 60 deep", ".png", nested)
    yield Sample("zip bomb", ".png", zipped("x.png", bytes(50 << 20)))
    yield Sample("tar that climbs out", ".png", stream.getvalue())
    yield Sample("gzip bomb", ".tif", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + deflated(200)[2:])
    yield Sample("jpeg that is a zip as well", ".jpg", inner + zipped("x.js", b"alert(1)"), "ok")
    yield Sample("jpeg with html after its end", ".jpg", inner + b"<script>alert(1)</script>", "ok")
    yield Sample("two jpegs after each other", ".jpg", inner + inner, "ok")
    yield Sample("jpeg after a page of NUL", ".jpg", bytes(4096) + inner)


def deflated(megabytes: int) -> bytes:
    """A zlib stream of so many MB of zeros, a thousandth of their size, made without unpacking them."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return (
        b"\x78\xda" + block * megabytes + b"\x03\x00" + struct.pack(">I", (megabytes << 20) % 65521 << 16 | 1)
    )

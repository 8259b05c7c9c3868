"""Coverage-guided fuzzing of the decoders: no input may raise anything but ImageError, nor take much memory.

    pip install atheris
    python tests/support/fuzz_decode.py CORPUS -max_total_time=600

CORPUS is a folder of inputs, made and filled with seeds where it does not exist; it grows. What follows goes
to libFuzzer. A failing input is written to the working folder, with its traceback on the screen; `python
tests/support/fuzz_decode.py FILE` runs one file again. Not run by pytest, but for a test of its seeds.
"""

from __future__ import annotations

import contextlib
import hashlib
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xray_infer.images.limits import Limits

MAX_PIXELS = 250_000
MAX_FILE_BYTES = 4 << 20
# Beyond what a picture of so many pixels can need in any decoder; a bomb needs more.
MOST_GROWTH_MB = 200
MAX_LENGTH = 64 << 10


def one_input(data: bytes) -> None:
    """Decode one input, DICOM also past what rejects it. Raises what a user would see as a crash."""
    from xray_infer.errors import ImageError
    from xray_infer.images.decode import decode
    from xray_infer.images.formats import is_dicom
    from xray_infer.images.limits import Limits

    limits = Limits(max_pixels=MAX_PIXELS, max_file_bytes=MAX_FILE_BYTES)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        gray = decode(data, limits=limits)
        assert gray.ndim == 2
        assert 0 < gray.size <= MAX_PIXELS
    except ImageError as error:
        if len(str(error).splitlines()) != 1:
            raise AssertionError(f"not one line: {error}") from error
    if is_dicom(data):
        with contextlib.suppress(ImageError):
            show(data, limits)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
    assert grown_mb < MOST_GROWTH_MB, f"one input took {grown_mb:.0f} MB"


def show(data: bytes, limits: Limits) -> None:
    """Decode a DICOM file whatever it is of: most mutants say that they are no radiograph."""
    from xray_infer.images.dicom.attributes import read_attributes
    from xray_infer.images.dicom.container import open_container
    from xray_infer.images.dicom.display import to_display
    from xray_infer.images.dicom.pixels import stored_pixels

    attributes = read_attributes(open_container(data, limits))
    to_display(stored_pixels(attributes, limits), attributes)


def seeds() -> Iterator[bytes]:
    """Yield small files of every format and kind that the tests make, and those that pydicom ships."""
    import cv2
    import numpy as np
    import pydicom
    from dicom_files import LOSSLESS, NATIVE, dicom, look_up_table, palette
    from image_files import bmp, png_of, tiff

    gray = np.add.outer(np.arange(40) * 4, np.arange(48) * 2).astype(np.uint8)
    colour = np.dstack([gray, gray[::-1], gray[:, ::-1]])
    deep = gray.astype(np.uint16) * 16
    for pixels in (gray, colour, deep):
        yield from (cv2.imencode(kind, pixels)[1].tobytes() for kind in (".png", ".tiff"))
    for pixels in (gray, colour):
        yield from (cv2.imencode(kind, pixels)[1].tobytes() for kind in (".jpg", ".bmp", ".webp"))
    progressive = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    yield cv2.imencode(".jpg", colour, progressive)[1].tobytes()
    yield cv2.imencode(".webp", colour, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    yield tiff(gray, rows_per_strip=5, compression=8)
    yield tiff(deep, photometric=0, order=">", big=True)
    yield png_of(b"".join(b"\0" + row.tobytes() for row in gray), (48, 40), 8, 0, tRNS=b"\0\7")
    yield bmp(bytes((48, 9, 0, 0)) * 40 + b"\0\1", (48, 40), 8, compression=1, palette=bytes(1024))
    table = look_up_table(np.arange(0, 4096, 64), first=0, depth=12)
    for syntax in (*NATIVE, *LOSSLESS):
        yield dicom(deep, syntax=syntax, bits=12, WindowCenter=2000, WindowWidth=3000)
        yield dicom(deep, syntax=syntax, bits=12, VOILUTSequence=[table], ModalityLUTSequence=[table])
        yield dicom(deep, syntax=syntax, bits=12, preamble=False, PixelPaddingValue=0, RescaleSlope=2)
    yield dicom(gray, **palette(np.arange(768, dtype=np.uint16).reshape(256, 3)))
    for path in sorted(Path(pydicom.__file__).parent.joinpath("data").rglob("*")):
        if path.is_file() and path.stat().st_size < MAX_LENGTH and path.suffix in (".dcm", ""):
            yield path.read_bytes()


def main() -> None:
    """Run one file, or fuzz from a corpus."""
    corpus = Path(sys.argv[1])
    if corpus.is_file():
        one_input(corpus.read_bytes())
        return
    import atheris

    with atheris.instrument_imports(include=["xray_infer", "pydicom"]):
        import xray_infer.images.decode
        import xray_infer.images.dicom.reading  # noqa: F401
    if not corpus.exists():
        corpus.mkdir(parents=True)
        for data in seeds():
            (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    options = [f"-max_len={MAX_LENGTH}", "-rss_limit_mb=2048", "-timeout=30"]
    atheris.Setup([sys.argv[0], *options, *sys.argv[1:]], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

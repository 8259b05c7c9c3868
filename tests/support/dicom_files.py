"""DICOM files made for the tests: any pixels, attributes, and transfer syntax that can be encoded here."""

from __future__ import annotations

import io
import struct
from typing import Any, Literal

import cv2
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

CR_CLASS = "1.2.840.10008.5.1.4.1.1.1"
NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
# Gray of any depth comes back from these as it was.
LOSSLESS = (RLELossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless)


def dataset(pixels: np.ndarray, *, bits: int | None = None, **attributes: Any) -> Dataset:
    """A chest radiograph of 8 or 16 bit integers, [H, W] or [H, W, 3], as a data set without its pixels."""
    made = Dataset()
    made.SOPClassUID = CR_CLASS
    made.SOPInstanceUID = "1.2.3.4"
    made.Modality = "CR"
    made.BodyPartExamined = "CHEST"
    made.ViewPosition = "PA"
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    made.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated = 8 * pixels.itemsize
    made.BitsStored = bits or made.BitsAllocated
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in attributes.items():
        if value is None:
            del made[name]
        else:
            setattr(made, name, value)
    return made


def dicom(
    pixels: np.ndarray,
    *,
    syntax: str = ExplicitVRLittleEndian,
    codestream: bytes | list[bytes] | None = None,
    bits: int | None = None,
    preamble: bool = True,
    **attributes: Any,
) -> bytes:
    """The same as a file; `codestream` stands for the encoded pixels, an attribute of None is left out."""
    made = dataset(pixels, bits=bits, **attributes)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID(syntax)
    made.file_meta.MediaStorageSOPClassUID = made.get("SOPClassUID", CR_CLASS)
    made.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    _set_pixels(made, pixels, syntax, codestream)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue() if preamble else stream.getvalue()[132:]


def _set_pixels(
    made: Dataset, pixels: np.ndarray, syntax: str, codestream: bytes | list[bytes] | None
) -> None:
    if syntax in NATIVE:
        order: Literal["<", ">"] = ">" if syntax == ExplicitVRBigEndian else "<"
        raw = (
            codestream
            if isinstance(codestream, bytes) and codestream
            else pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        )
        made.PixelData = raw + b"\0" * (len(raw) % 2)
        made["PixelData"].VR = "OW" if pixels.itemsize == 2 else "OB"
        return
    if codestream is None and syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEGLSNearLossless):
        plugins: dict[str, str] = {RLELossless: "pydicom", JPEG2000Lossless: "pylibjpeg"}
        plugin = plugins.get(syntax, "pyjpegls")
        options: dict[str, Any] = {"jls_error": 2} if syntax == JPEGLSNearLossless else {}
        made.compress(syntax, np.ascontiguousarray(pixels), encoding_plugin=plugin, **options)
        return
    if codestream is None and syntax == JPEGBaseline8Bit:
        codestream = cv2.imencode(".jpg", pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tobytes()
    if codestream is None:
        codestream = lossless_jpeg(pixels, made.BitsStored)
    made.PixelData = encapsulate(codestream if isinstance(codestream, list) else [codestream], has_bot=False)
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True


def lossless_jpeg(pixels: np.ndarray, bits: int) -> bytes:
    """Encode gray by JPEG's process 14, predictor 1 (ITU-T T.81 annex H); all codes are 5 bits long."""
    values = pixels.astype(np.int64) & (1 << bits) - 1  # two's complement, of the bits that are stored
    predicted = np.empty_like(values)
    predicted[:, 1:] = values[:, :-1]
    predicted[1:, 0] = values[:-1, 0]
    predicted[0, 0] = 1 << (bits - 1)
    out = []
    for difference in (values - predicted).ravel().tolist():
        difference = (difference + 32768) % 65536 - 32768
        category = abs(difference).bit_length()
        out.append(f"{category:05b}")
        if 0 < category < 16:
            out.append(f"{difference if difference > 0 else difference + (1 << category) - 1:0{category}b}")
    coded = "".join(out)
    coded += "1" * (-len(coded) % 8)
    scan = int(coded, 2).to_bytes(len(coded) // 8, "big").replace(b"\xff", b"\xff\x00")
    height, width = pixels.shape
    frame = struct.pack(">BHHBBBB", bits, height, width, 1, 1, 0x11, 0)
    table = b"\0" + bytes(17 if length == 5 else 0 for length in range(1, 17)) + bytes(range(17))
    start = struct.pack(">BBBBBB", 1, 1, 0, 1, 0, 0)
    parts = ((0xC3, frame), (0xC4, table), (0xDA, start))
    segments = b"".join(struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body for kind, body in parts)
    return b"\xff\xd8" + segments + scan + b"\xff\xd9"


def look_up_table(entries: np.ndarray, *, first: int, depth: int) -> Dataset:
    """One item of a modality or VOI LUT sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, depth])
    item.add_new("LUTData", "US", [int(entry) for entry in entries])
    item.ModalityLUTType = "US"
    return item


def palette(colours: np.ndarray) -> dict[str, Any]:
    """The attributes of a palette, uint16 [N, 3]."""
    names = ("Red", "Green", "Blue")
    found: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for index, name in enumerate(names):
        found[f"{name}PaletteColorLookupTableDescriptor"] = [len(colours), 0, 16]
        found[f"{name}PaletteColorLookupTableData"] = colours[:, index].astype("<u2").tobytes()
    return found


def coded(meaning: str) -> list[Dataset]:
    """A code sequence of one item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99TEST", meaning
    return [item]

"""What a film's file tells of where it comes from, without a look at its pixels.

By these a class may be told from another though no lung is looked at: of another scanner, another archive,
another program that made the copies. They are what `meaning` holds a head against.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from xray_infer.images.decode import dicom_extra
from xray_infer.images.formats import read_header
from xray_infer.images.limits import DEFAULT_LIMITS, Limits

# DICOM's keywords, with what a person calls them.
DEVICE: Final = {
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "device model",
    "StationName": "station",
    "DeviceSerialNumber": "device's serial number",
    "InstitutionName": "institution",
}
CODING: Final = {
    "BitsStored": "bits stored",
    "PhotometricInterpretation": "photometric interpretation",
    "Modality": "modality",
    "SoftwareVersions": "software",
}
PATIENT: Final = "PatientID"
LAST_GROUP: Final = 0x0028  # no pixels
SHORT: Final = 12  # characters of a digest

_QUANTISATION, _SCAN = 0xDB, 0xDA
_STANDS_ALONE: Final = frozenset((0x01, *range(0xD0, 0xDA)))
_PNG_COLOURS: Final = {0: "gray", 2: "RGB", 3: "palette", 4: "gray with alpha", 6: "RGBA"}


@dataclass(frozen=True, slots=True)
class FilmFacts:
    """Facts of one file: `named` by what they are called, and its size in pixels.

    Its length in bytes is none: how well a picture packs depends on what it shows.
    `patient` is a digest of DICOM's PatientID, so that none is kept; empty where there is none.
    """

    format: str
    width: int
    height: int
    named: Mapping[str, str] = field(default_factory=dict)
    patient: str = ""


def film_facts(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> FilmFacts:
    """Return the facts of an image file's bytes, which can be decoded. Raises ImageError."""
    header = read_header(data, limits=limits)
    if header.format == "dicom":
        return _of_dicom(data, limits)
    look = LOOKS.get(header.format)
    named = {} if look is None else look(data)
    return FilmFacts(header.format, header.width, header.height, named)


def _of_dicom(data: bytes, limits: Limits) -> FilmFacts:
    with dicom_extra():
        from xray_infer.images.dicom.attributes import read_attributes
        from xray_infer.images.dicom.container import open_container
    container = open_container(data, limits)
    keywords = (*DEVICE, *CODING, PATIENT, "Rows", "Columns")
    found = read_attributes(container, keywords, last_group=LAST_GROUP)
    named = {title: found.text(keyword) for keyword, title in (DEVICE | CODING).items()}
    named["transfer syntax"] = container.transfer_syntax
    patient = found.text(PATIENT)
    digest = hashlib.sha256(patient.encode()).hexdigest() if patient else ""
    width, height = found.integer("Columns", 0), found.integer("Rows", 0)
    return FilmFacts("dicom", width, height, named, digest)


def _of_jpeg(data: bytes) -> dict[str, str]:
    """Return what tells one encoder and its quality from another."""
    markers, tables = [], hashlib.sha256()
    components = 0
    for marker, content in _segments(data):
        markers.append(f"{marker:02x}")
        if marker == _QUANTISATION:
            tables.update(content)
        if 0xC0 <= marker <= 0xC2:
            components = content[5]
    order = hashlib.sha256(" ".join(markers).encode()).hexdigest()[:SHORT]
    return {
        "JPEG quantisation tables": tables.hexdigest()[:SHORT],
        "order of JPEG segments": order,
        "colour": "gray" if components == 1 else "colour",
    }


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the marker and the content of each segment in front of the first scan."""
    position = 2
    while position + 4 <= len(data):
        marker = data[position + 1]
        if marker in (0xFF, *_STANDS_ALONE):
            position += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        yield marker, data[position + 4 : position + 2 + length]
        if marker == _SCAN:
            return
        position += 2 + length


def _of_png(data: bytes) -> dict[str, str]:
    return {"bits": str(data[24]), "colour": _PNG_COLOURS.get(data[25], str(data[25]))}


LOOKS: Final[dict[str, Callable[[bytes], dict[str, str]]]] = {"jpeg": _of_jpeg, "png": _of_png}

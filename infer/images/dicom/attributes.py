"""A data set's attributes, read thriftily, as plain values.

Only the elements that are asked for are kept: a hostile file of a million small ones costs time, not memory.
pydicom converts values when they are first looked at; each look is guarded.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from xray_infer.errors import ImageError, one_line
from xray_infer.images.dicom.container import Container
from xray_infer.images.dicom.guard import guarded

_UNDEFINED: Final = 0xFFFFFFFF
_LAST_GROUP: Final = 0xFFFF
_LONGEST: Final = 64  # of a UID, and of what the standard allows in all the other text that is read here
# Not the extended offset table: one frame needs none, and it could lead past the frame that is checked.
_KEPT: Final = (
    "SOPClassUID",
    "ImageType",
    "Modality",
    "PresentationIntentType",
    "BodyPartExamined",
    "AnatomicRegionSequence",
    "ViewPosition",
    "ViewCodeSequence",
    "PatientOrientation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "VOILUTFunction",
    "WindowCenter",
    "WindowWidth",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "Manufacturer",
    "ManufacturerModelName",
    "StationName",
)


@dataclass(frozen=True, slots=True)
class Attributes:
    """A data set, for pydicom's functions, and a way to look at its values.

    `storage_class` is the SOP class UID: the data set's, or else the file's.
    """

    dataset: Dataset
    storage_class: str = ""

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.dataset

    def text(self, keyword: str) -> str:
        """Return a value in capitals, one line, several joined by a backslash; empty where there is none."""
        with guarded(f"its {keyword}"):
            value = self.dataset.get(keyword)
            parts = [value] if value is None or isinstance(value, str | int | float) else list(value)
            joined = "\\".join("" if part is None else str(part).strip().upper() for part in parts)
        return one_line(joined, longest=_LONGEST)

    def integer(self, keyword: str, default: int | None = None) -> int:
        """Return a whole number, or the default where there is none. Raises ImageError without either."""
        with guarded(f"its {keyword}"):
            value = self.dataset.get(keyword)
            if value is not None and value != "":
                return int(value)
        if default is None:
            raise ImageError(f"damaged DICOM: it has no {keyword}")
        return default

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Return all numbers of a value; empty where there are none."""
        with guarded(f"its {keyword}"):
            value = self.dataset.get(keyword)
            if value is None or value == "":
                return ()
            return tuple(float(part) for part in (value if hasattr(value, "__len__") else [value]))

    def meanings(self, keyword: str) -> str:
        """Return what the codes of a sequence mean, in capitals, in one line."""
        with guarded(f"its {keyword}"):
            items = self.dataset.get(keyword) or ()
            joined = " ".join(str(item.get("CodeMeaning", "")).upper() for item in items)
        return one_line(joined, longest=_LONGEST)


def read_attributes(
    container: Container, keywords: Iterable[str] = _KEPT, *, last_group: int = _LAST_GROUP
) -> Attributes:
    """Read these elements of the data set, up to the end of a group; by default what an image needs.

    Raises ImageError for a data set that is damaged, or cut inside an element.
    """
    stream, size = io.BytesIO(container.data), len(container.data)  # shares the bytes, copies none
    stream.seek(container.start)

    def watch(tag: BaseTag, representation: object, length: int) -> bool:
        """Called by pydicom at each element, in front of its value, which it would take short as it is."""
        if tag.group > last_group:
            return True
        if length != _UNDEFINED and stream.tell() + length > size:
            raise ImageError("truncated DICOM: it ends inside an element")
        return False

    with guarded("its data set"):
        dataset = read_dataset(
            stream,
            container.implicit,
            container.little_endian,
            stop_when=watch,
            specific_tags=[Tag(keyword) for keyword in keywords],
        )
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = UID(container.transfer_syntax)
    found = Attributes(dataset)
    return Attributes(dataset, found.text("SOPClassUID") or container.storage_class)

"""What an object made of a DICOM image takes over from it: whose it is, of which study, and how it is meant.

Text is copied as Unicode and written in UTF-8 (ISO_IR 192), whatever the source's character set: it reads the
same, needs no escape sequences, and every receiver has known it since 2004. What a value must be to mean
anything (a date, a code word, a number) is checked and left out where it is not; names and identifiers are
copied as they are, however long: an archive files by them.

The header is read in the same guarded way as for decoding, without its pixels: by pydicom in Python alone, no
codec. With `--isolate` this happens in the main process, on bytes that a child has decoded to a good end.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from xray_infer.errors import ImageError
from xray_infer.images.dicom.attributes import read_attributes
from xray_infer.images.dicom.container import open_container
from xray_infer.images.dicom.guard import guarded
from xray_infer.images.limits import Limits

CHARACTER_SET: Final = "ISO_IR 192"
# Of the Patient, General Study, Patient Study and Clinical Trial modules (PS3.3 C.7.1, C.7.2) what says whose
# it is; not what tells of visits. The time zone says how dates and times among them are meant (C.12.1).
COPIED: Final = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientSex",
    "EthnicGroup",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "StudyDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "TimezoneOffsetFromUTC",
)
# Of the image itself; a picture made of it inherits these.
OF_THE_IMAGE: Final = (
    "PatientOrientation",
    "RecognizableVisualFeatures",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
_NAMING: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_NUMBERS: Final = ("SeriesNumber", "InstanceNumber")
_SIZES: Final = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
_LAST_GROUP: Final = 0x0028
_OLD_MARKS: Final = {"DA": ".", "TM": ":"}  # ACR-NEMA wrote 1993.08.22 and 10:11:12

# Transfer syntaxes that are always lossy, with their method (C.7.6.1.1.5.1).
_LOSSY: Final = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
}


def _is_date(text: str) -> bool:
    try:
        return bool(re.fullmatch(r"\d{8}", text) and datetime.strptime(text, "%Y%m%d"))
    except ValueError:
        return False


def _like(pattern: str) -> Callable[[str], bool]:
    found = re.compile(pattern)
    return lambda text: found.fullmatch(text) is not None


# By value representation (PS3.5 section 6.2).
_CHECKS: Final[Mapping[str, Callable[[str], bool]]] = {
    # Not to the letter: a component that begins with 0 is wrong, and names the image all the same.
    "UI": _like(r"(?=.{1,64}$)\d+(\.\d+)+"),
    "DA": _is_date,
    "TM": _like(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?"),
    "AS": _like(r"\d{3}[DWMY]"),
    "CS": _like(r"[A-Z0-9_ ]{1,16}"),
    "DS": _like(r"(?=.{1,16}$)[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"),
    "IS": _like(r"[+-]?\d{1,10}"),
    **dict.fromkeys(("LO", "SH", "PN", "ST", "LT", "UT", "UC", "UR"), lambda text: True),
}
# What one attribute's values must be besides.
_ENUMERATED: Final[Mapping[str, Callable[[str], bool]]] = {
    "PatientSex": _like("[MFO]"),
    "PatientIdentityRemoved": _like("YES|NO"),
    "RecognizableVisualFeatures": _like("YES|NO"),
    "LossyImageCompression": _like("00|01"),
    "TimezoneOffsetFromUTC": _like(r"[+-](0\d|1[0-4])[0-5]\d"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Original:
    """A source image. `copied` and `image` hold what COPIED and OF_THE_IMAGE name, where it has it.

    `sop_class`, `sop_instance`, `study` and `series` are its UIDs; `number` places it in its study.
    """

    sop_class: str
    sop_instance: str
    study: str
    series: str
    number: int
    copied: Dataset
    image: Dataset

    def reference(self) -> Dataset:
        """Return an item that refers to it (SOP Instance Reference, PS3.3 table 10-11)."""
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = self.sop_class, self.sop_instance
        return item

    def evidence(self) -> Dataset:
        """Return what a structured report needs of an image that it refers to."""
        item = Dataset()
        item.SOPClassUID, item.SOPInstanceUID = self.sop_class, self.sop_instance
        item.StudyInstanceUID, item.SeriesInstanceUID = self.study, self.series
        return item


def read_original(data: bytes, limits: Limits) -> Original:
    """Read a DICOM file's header. Raises ImageError where it is damaged, or nothing can refer to it."""
    container = open_container(data, limits)
    wanted = (*COPIED, *OF_THE_IMAGE, *_NAMING, *_NUMBERS, *_SIZES)
    attributes = read_attributes(container, wanted, last_group=_LAST_GROUP)
    found = attributes.dataset
    uids = [_text(found, keyword) for keyword in _NAMING]
    uids[0] = uids[0] or container.storage_class
    for keyword, uid in zip(_NAMING, uids, strict=True):
        if not _CHECKS["UI"](uid):
            raise ImageError(f"nothing can refer to it: {'a wrong' if uid else 'no'} {keyword}")
    image = _copy(found, OF_THE_IMAGE)
    method = _LOSSY.get(container.transfer_syntax)
    if method and image.get("LossyImageCompression") != "01":
        image.LossyImageCompression, image.LossyImageCompressionMethod = "01", method
        image.LossyImageCompressionRatio = f"{_ratio(found, len(data)):.4g}"
    sop_class, sop_instance, study, series = uids
    return Original(sop_class, sop_instance, study, series, _number(found), _copy(found, COPIED), image)


def _text(found: Dataset, keyword: str) -> str:
    """Return a value as text; empty where it is missing or cannot be made out."""
    try:
        with guarded(f"its {keyword}"):
            return str(found.get(keyword) or "").rstrip("\0 ")
    except ImageError:
        return ""


def _copy(found: Dataset, keywords: Iterable[str]) -> Dataset:
    """Return a data set of the elements of these keywords that are there and mean something."""
    made = Dataset()
    for keyword in keywords:
        try:
            with guarded(f"its {keyword}"):
                if keyword in found:
                    _copy_element(found, keyword, made)
        except ImageError:
            continue  # this one cannot be made out; the others can
    return made


def _copy_element(found: Dataset, keyword: str, made: Dataset) -> None:
    value: Any = found[keyword].value
    representation = dictionary_VR(keyword)  # the file may give a wrong one
    if representation == "SQ":
        items = [_copy(item, [one.keyword for one in item if one.keyword]) for item in value]
        setattr(made, keyword, items)
        return
    several = isinstance(value, MultiValue)
    texts = ["" if part is None else str(part).strip("\0 ") for part in (value if several else [value])]
    if representation in _OLD_MARKS:
        texts = [text.replace(_OLD_MARKS[representation], "") for text in texts]
    checks = [_CHECKS.get(representation), _ENUMERATED.get(keyword, bool)]
    if all(not text or (check and check(text)) for check in checks for text in texts):
        setattr(made, keyword, texts if several else texts[0])


def _integer(found: Dataset, keyword: str) -> int | None:
    """Return a whole number from 0 to 999,999, None for anything else."""
    text = _text(found, keyword)
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else None


def _ratio(found: Dataset, encoded_bytes: int) -> float:
    """Return by how much the image was compressed, of its size in memory and that of its file."""
    bits = math.prod(_integer(found, keyword) or 1 for keyword in _SIZES)
    return max(1.0, bits / 8 / encoded_bytes)


def _number(found: Dataset) -> int:
    """Return a number that orders an image in its study as its series' and its own number do, from 1 on."""
    series, own = (_integer(found, keyword) or 0 for keyword in _NUMBERS)
    return 1000 * series + (own if 0 < own < 1000 else 1)

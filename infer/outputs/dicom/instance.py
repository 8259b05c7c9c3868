"""What every DICOM object made here has in common: its program, its series, its UID and its bytes.

**Series.** The heat maps that one model makes for a study are one series, the reports another, as an
archive's users expect of results beside the images. A series UID is the digest of study, model, runtime,
options and version of the program: a resumed run goes on in the series that it began, another model's results
stand in a series of their own.

**Objects.** An object's UID is the digest of all that it holds but the time of its making. A UID names one
instance (PS3.5 section 9, PS3.3 C.12.1), whose content must not differ from copy to copy. So other pixels,
another answer or a corrected patient's name give another UID, and the same run again gives the same one: an
archive that gets it twice has it once. What could differ under it is the date (ContentDate,
InstanceCreationDate); so an object that already stands is left as it was made, see `outputs.dicom.objects`.
Only a run into another folder makes it with another date, and an archive then keeps either.

UIDs are made of SHA-512 digests below the root of pydicom, which anyone may use (PS3.5 annex B).
"""

from __future__ import annotations

import hashlib
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import highdicom
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from xray_infer import __version__
from xray_infer.outputs.dicom.original import CHARACTER_SET, Original
from xray_infer.run.results import Row

# As of pydicom, see `guard`: a person who classifies a folder cannot mend the names in it.
warnings.filterwarnings("ignore", module=r"highdicom\b")
logging.getLogger("highdicom").addHandler(logging.NullHandler())

PROGRAM: Final = "xray-infer"
EQUIPMENT: Final[Mapping[str, Any]] = {"manufacturer": PROGRAM, "manufacturer_model_name": PROGRAM}
_MOST_TEXT: Final = 64  # characters of a value of LO
# What says when an object was made, at any depth.
_TIMES: Final = frozenset(
    (
        "InstanceCreationDate",
        "InstanceCreationTime",
        "ContentDate",
        "ContentTime",
        "DateOfSecondaryCapture",
        "TimeOfSecondaryCapture",
        "SOPInstanceUID",
    )
)


@dataclass(frozen=True, slots=True)
class Program:
    """This program with one model and the options that change what it says, each as one line of text."""

    model_version: str
    options: tuple[str, ...]

    def series_uid(self, kind: str, original: Original, row: Row) -> UID:
        """Return the UID of the series of a kind of objects in the source's study."""
        return uid_of(kind, original.study, *self.facts(row))

    def device_uid(self, row: Row) -> UID:
        """Return the UID of the program with this model."""
        return uid_of("device", *self.facts(row))

    def facts(self, row: Row) -> tuple[str, ...]:
        """Return what distinguishes it from another program."""
        return (__version__, row.model, self.model_version, row.model_sha256, row.runtime, *self.options)

    def software(self, row: Row) -> list[str]:
        """Return the versions of what had a part in the result."""
        return [
            f"{PROGRAM} {__version__}",
            f"model {row.model} {self.model_version}"[:_MOST_TEXT],
            f"highdicom {highdicom.__version__}",
        ]


def uid_of(*facts: str) -> UID:
    """Return the UID that stands for these facts, and for no others."""
    return generate_uid(entropy_srcs=[f"{len(fact)}:{fact}" for fact in (PROGRAM, *facts)])


def finish(made: Dataset, original: Original, software: Sequence[str]) -> None:
    """Give an object what it has of its original, the time of its making and, at last, its UID."""
    made.SoftwareVersions = list(software)
    made.update(original.copied)
    made.SpecificCharacterSet = CHARACTER_SET
    if "ContributingEquipmentSequence" in made:  # highdicom names itself there, with the time
        del made.ContributingEquipmentSequence
    now = datetime.now(_zone(original))
    made.InstanceCreationDate = made.ContentDate = f"{now:%Y%m%d}"
    made.InstanceCreationTime = made.ContentTime = f"{now:%H%M%S}"
    digest = hashlib.sha512()
    _feed(digest, made)
    made.SOPInstanceUID = uid_of(digest.hexdigest())
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID


def _zone(original: Original) -> timezone | None:
    """Return the time zone that all times of the object are in, None for this machine's."""
    offset = str(original.copied.get("TimezoneOffsetFromUTC", ""))
    if not offset:
        return None
    minutes = 60 * int(offset[1:3]) + int(offset[3:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def _feed(digest: Any, made: Dataset) -> None:
    """Add every element to a digest, but the times of making."""
    for element in made:
        if element.keyword in _TIMES:
            continue
        digest.update(f"{element.tag:08x}{element.VR}".encode())
        if element.VR == "SQ":
            for item in element.value:
                digest.update(b"(")
                _feed(digest, item)
            digest.update(b")")
            continue
        value = (
            element.value
            if isinstance(element.value, bytes)
            else str(element.value).encode("utf-8", "replace")
        )
        digest.update(f"{len(value)}:".encode())
        digest.update(value)


def to_bytes(made: Dataset) -> bytes:
    """Return an object as the bytes of a DICOM file (PS3.10)."""
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()

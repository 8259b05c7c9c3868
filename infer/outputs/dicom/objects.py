"""The objects of `--dicom-out`: for each DICOM image with an answer, its heat map and its report.

An object that already stands with the same UID is left as it is, with its date: see `instance`. What no
objects can be made for keeps its row; it is counted, the first few by name, and tried again by a run that
goes on. Other images are passed over and counted.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from xray_infer.errors import ImageError
from xray_infer.images.dicom.guard import guarded
from xray_infer.images.formats import HEAD_BYTES, image_format
from xray_infer.images.limits import DEFAULT_LIMITS, Limits
from xray_infer.outputs.dicom.instance import Program, to_bytes
from xray_infer.outputs.dicom.original import read_original
from xray_infer.outputs.dicom.secondary_capture import LONGEST_SIDE, heatmap_image
from xray_infer.outputs.dicom.structured_report import classification_report
from xray_infer.outputs.heatmaps.methods import DEFAULT_METHOD, METHODS, heatmaps_for, maps_by
from xray_infer.outputs.heatmaps.overlay import draw_overlay
from xray_infer.outputs.naming import file_for, write_file
from xray_infer.outputs.shrinking import shrunk
from xray_infer.run.artifact import OVERLAY_DICOM_SUFFIX, REPORT_DICOM_SUFFIX, Artifact
from xray_infer.run.results import Classified, printable_name
from xray_infer.run.sources.selection import PICTURES

MOST_NAMED: Final = 5


@dataclass(slots=True)
class PassedOver:
    """What got no objects, in constant memory: `others` are no DICOM, `unfit` are; `first` says why not."""

    others: int = 0
    unfit: int = 0
    first: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def other(self) -> None:
        """Count an image that is not DICOM."""
        with self._lock:
            self.others += 1

    def refuse(self, name: str, reason: str) -> None:
        """Count a DICOM file."""
        with self._lock:
            self.unfit += 1
            if len(self.first) < MOST_NAMED:
                self.first.append(f"{printable_name(name)}: {reason}")


@dataclass(frozen=True, slots=True)
class DicomObjects(Artifact):
    """See `Artifact`. `method` is one of METHODS, `limits` are those of reading the images."""

    folder: Path
    program: Program
    limits: Limits = DEFAULT_LIMITS
    method: str = DEFAULT_METHOD
    passed_over: PassedOver = field(default_factory=PassedOver)

    def facts(self) -> Mapping[str, Any]:
        """Return the folder and the method."""
        return {"dicom_out": str(self.folder.resolve()), "heatmap_method": self.method}

    def make(self, classified: Classified) -> None:
        """Write one image's objects. Raises OutputError."""
        if image_format(classified.data[:HEAD_BYTES]) != "dicom":
            self.passed_over.other()
            return
        name = classified.item.name
        try:
            image, report = self._objects(classified)
        except ImageError as error:
            self.passed_over.refuse(name, str(error))
            return
        for path, (uid, data) in zip(self._paths(name), (image, report), strict=True):
            if _uid_in(path) != uid:
                write_file(path, data)

    def _objects(self, classified: Classified) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
        """Return UID and bytes of heat map and report. Raises ImageError where they cannot be made."""
        original = read_original(classified.data, self.limits)
        row, maps = classified.row, maps_by(self.method, classified)
        (heatmap,) = heatmaps_for("predicted", maps, METHODS[self.method], row)
        overlay = np.ascontiguousarray(
            draw_overlay(shrunk(classified.pixels, LONGEST_SIDE), heatmap, row)[..., ::-1]
        )
        # highdicom raises what it likes of values that it does not: that costs this file its objects only.
        with guarded("objects cannot be made of its header"):
            image = heatmap_image(overlay, original, heatmap=heatmap, row=row, program=self.program)
            report = classification_report(original, image, row=row, program=self.program)
            return _encoded(image), _encoded(report)

    def stands(self, name: str) -> bool:
        """Say whether an item's objects are there; true for what has a picture's suffix, which gets none."""
        if os.path.splitext(name)[1].lower() in PICTURES:
            return True
        return all(path.is_file() for path in self._paths(name))

    def _paths(self, name: str) -> tuple[Path, Path]:
        heatmap, report = (
            file_for(self.folder, name, suffix) for suffix in (OVERLAY_DICOM_SUFFIX, REPORT_DICOM_SUFFIX)
        )
        return heatmap, report

    def closing_lines(self) -> Iterator[str]:
        """Yield for how many inputs no objects were written, and why."""
        passed = self.passed_over
        if passed.others:
            what = "image is not DICOM: no DICOM objects for it"
            if passed.others > 1:
                what = "images are not DICOM: no DICOM objects for them"
            yield f"{passed.others:,} {what}"
        if passed.unfit:
            more = "" if passed.unfit <= MOST_NAMED else "; ..."
            them = "file was classified, but no DICOM output was written for it"
            if passed.unfit > 1:
                them = "files were classified, but no DICOM output was written for them"
            yield f"{passed.unfit:,} DICOM {them}: {'; '.join(passed.first)}{more}"

    def record(self) -> Mapping[str, Any]:
        """Return the same for the run's record."""
        passed = self.passed_over
        return {
            "dicom_out": {"not_dicom": passed.others, "without_objects": passed.unfit, "first": passed.first}
        }


def _encoded(made: Dataset) -> tuple[str, bytes]:
    return str(made.SOPInstanceUID), to_bytes(made)


def _uid_in(path: Path) -> str:
    """Return the UID of the object that stands there, empty where there is none that can be read."""
    if not path.is_file():
        return ""
    try:
        with guarded("an object of an earlier run"):
            found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
            return str(found.get("SOPInstanceUID", ""))
    except ImageError:
        return ""

"""DICOM objects of results for tests: radiographs of a study, and what is made of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner, Result
from dicom_files import dicom
from numpy.typing import NDArray

from xray_infer.cli import main
from xray_infer.run.sources.folder import FileItem

hd = pytest.importorskip("highdicom")

from xray_infer.model.runtimes import ModelOutput  # noqa: E402
from xray_infer.outputs.dicom.instance import Program  # noqa: E402
from xray_infer.outputs.dicom.objects import DicomObjects  # noqa: E402
from xray_infer.run.results import Classified, RowMaker, Rules  # noqa: E402

ROOT = "1.2.826.0.1.3680043.8.498."
STUDY: dict[str, Any] = {
    "StudyInstanceUID": ROOT + "1",
    "SeriesInstanceUID": ROOT + "2",
    "SOPInstanceUID": ROOT + "3",
    "PatientName": "Doe^Jane",
    "PatientID": "4711",
    "PatientBirthDate": "19501224",
    "PatientSex": "F",
    "PatientAge": "073Y",
    "StudyDate": "20240229",
    "StudyTime": "101112.5",
    "AccessionNumber": "A-1",
    "StudyID": "S1",
    "StudyDescription": "Thorax",
    "ReferringPhysicianName": "Roe^Richard",
    "PatientOrientation": ["L", "F"],
    "SeriesNumber": 2,
    "InstanceNumber": 7,
}
TYPE_2 = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("ReferringPhysicianName", "StudyID", "AccessionNumber"),
)


def film(pixels: np.ndarray, **changes: Any) -> bytes:
    """A radiograph with everything that a study has; what is None it lacks."""
    given = {**STUDY, **changes}
    lacks_uid: dict[str, Any] = {"SOPInstanceUID": None} if given["SOPInstanceUID"] is None else {}
    return dicom(pixels, **{name: value for name, value in given.items() if value is not None}, **lacks_uid)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def objects(folder: Path) -> dict[str, pydicom.Dataset]:
    """All objects of a folder by their path in it."""
    return {path.relative_to(folder).as_posix(): pydicom.dcmread(path) for path in folder.rglob("*.dcm")}


def no_more(inputs: NDArray[np.uint8]) -> ModelOutput:
    raise AssertionError("nothing is classified anew")


def classified(data: bytes, pixels: np.ndarray, name: str = "a.dcm") -> Classified:
    """An answer, as the engine hands it over."""
    row = RowMaker("tiny", "ab" * 32, "runtime 1", Rules(2.0, 0.4)).judged(name, (0.5, 0.3, 0.2), 1.25)
    cam = np.random.default_rng(3).normal(size=(7, 7, 3)).astype(np.float32)
    item = FileItem(Path(name), name)
    return Classified(item, data, pixels, np.zeros((224, 224, 1), np.uint8), row, cam, no_more)


def making(folder: Path, **changes: Any) -> DicomObjects:
    return replace(DicomObjects(folder, Program("0.1", ("ood_threshold=2", "min_confidence=0.4"))), **changes)


def made(folder: Path, data: bytes, pixels: np.ndarray) -> tuple[pydicom.Dataset, pydicom.Dataset]:
    """The two objects of one image."""
    making(folder).make(classified(data, pixels))
    return pydicom.dcmread(folder / "a.dcm.heatmap.dcm"), pydicom.dcmread(folder / "a.dcm.report.dcm")


def said_in(report: pydicom.Dataset) -> tuple[set[str], set[tuple[str, str]]]:
    """All texts and all codes of a report, whatever it is made of."""
    texts, named = set(), set()
    for element in report.iterall():
        if element.keyword == "TextValue":
            texts.add(str(element.value))
        elif element.keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence"):
            named |= {(item.CodingSchemeDesignator, item.CodeValue) for item in element.value}
    return texts, named

"""What a DICOM file says of the device that took it, on its way to the alarm."""

import numpy as np
import pytest

from xray_infer.images.limits import DEFAULT_LIMITS, MOST_STATION
from xray_infer.images.preprocess import STUDY

pytest.importorskip("pydicom")

from dicom_files import dicom
from specimens import png

from xray_infer.images.decode import prepare
from xray_infer.images.isolation import IsolatedPrepare
from xray_infer.run.engine import Engine, Task
from xray_infer.run.settings import EngineOptions


def station_of(data: bytes) -> str:
    return prepare(data, STUDY, limits=DEFAULT_LIMITS).station


def test_it_is_manufacturer_model_and_name(xray):
    data = dicom(xray, Manufacturer="Acme ", ManufacturerModelName="Ray 9", StationName="Room 2")
    assert station_of(data) == "ACME RAY 9 ROOM 2"
    assert station_of(dicom(xray, StationName="Room 2")) == "ROOM 2"
    assert station_of(dicom(xray)) == ""
    assert station_of(png(xray)) == ""


def test_a_long_or_odd_value_is_one_short_line(xray):
    found = station_of(dicom(xray, Manufacturer="A" * 64, ManufacturerModelName="B" * 64, StationName="C"))
    assert len(found) <= MOST_STATION
    assert "\n" not in station_of(dicom(xray, StationName="Room\\2"))


def test_a_process_of_its_own_tells_it_too(xray):
    data = dicom(xray, Manufacturer="Müller", SpecificCharacterSet="ISO_IR 192", StationName="R2")
    with IsolatedPrepare(STUDY) as isolated:
        assert isolated(data).station == station_of(data)
        assert isolated(png(xray)).station == ""


@pytest.mark.parametrize("isolate_s", [None, 60.0])
def test_it_reaches_the_row(xray, make_tiny_onnx, tmp_path, isolate_s):
    from specimens import example_manifest
    from tiny_alarm import example_alarm

    from xray_infer.model.runtimes import find_model
    from xray_infer.run.sources.folder import FileItem

    path = tmp_path / "film.dcm"
    path.write_bytes(dicom(xray, StationName="Room 2"))
    model = find_model(make_tiny_onnx(example_manifest(alarm=example_alarm().to_record())))
    with Engine(model, EngineOptions(workers=1, isolate_s=isolate_s)) as engine:
        (outcome,) = engine.run([Task(FileItem(path, "film.dcm"))])
    assert outcome.row.station == "ROOM 2"
    found = np.frombuffer(outcome.row.position, "<f2")
    assert found.shape == (1,)
    assert "station" not in outcome.row.values()

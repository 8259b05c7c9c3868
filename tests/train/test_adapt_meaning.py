"""Labels whose figure would mean nothing: confounded in eight ways, and mixed in the same ways."""

import csv
from dataclasses import replace

import cv2
import numpy as np
import pytest
from approved import approved

pytest.importorskip("onnx")
pytest.importorskip("pydicom")

from adapt_films import film, plant_films, texture_model
from click.testing import CliRunner
from dicom_files import dicom
from specimens import png

from xray_infer.model.embedding import read_onnx_manifest
from xray_infer.train.adapt.film_facts import film_facts
from xray_infer.train.adapt.head_file import open_head
from xray_infer.train.adapt.meaning import own_share
from xray_infer.train.cli import main

SAYS = approved("xray-train")
COUNT = 16
NAMES = ("sick", "well")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return texture_model(tmp_path_factory.mktemp("model") / "textures.onnx")


@pytest.fixture
def run(model, tmp_path):
    def run(data, *options):
        arguments = ["adapt", data, "--model", model, "--out", tmp_path / "clinic.onnx", *options]
        return CliRunner().invoke(main, [str(one) for one in arguments])

    return run


def enlarged(pixels, times):
    return cv2.resize(pixels, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST)


def jpeg_of(pixels, quality):
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def station(pixels, name, number):
    return dicom(pixels, StationName=name, Manufacturer="Maker", PatientID=f"{name}{number}")


# What is done to a film of one place or the other, by what it is known.
WAYS = {
    "size in pixels": lambda pixels, place, number: png(enlarged(pixels, 1 + place)),
    "file format": lambda pixels, place, number: jpeg_of(pixels, 98) if place else png(pixels),
    "JPEG quantisation tables": lambda pixels, place, number: jpeg_of(pixels, 98 - 3 * place),
    "bits": lambda pixels, place, number: png(pixels.astype(np.uint16) * 257) if place else png(pixels),
    "colour": lambda pixels, place, number: png(np.dstack([pixels] * 3)) if place else png(pixels),
    "station": lambda pixels, place, number: station(pixels, ("ROOM1", "ROOM2")[place], number),
    "manufacturer": lambda pixels, place, number: dicom(
        pixels, Manufacturer=("A", "B")[place], PatientID=f"{place}{number}"
    ),
    "institution": lambda pixels, place, number: dicom(
        pixels, InstitutionName=("North", "South")[place], PatientID=f"{place}{number}"
    ),
}


def planted(root, way, *, mixed):
    """Write films, each class from a place of its own, or half of each from either."""
    for kind, name in enumerate(NAMES):
        (root / name).mkdir(parents=True)
        for number in range(COUNT):
            place = number % 2 if mixed else kind
            (root / name / f"{number}").write_bytes(WAYS[way](film(kind, number), place, number))
    return root


@pytest.mark.parametrize("way", WAYS)
def test_a_class_from_a_place_of_its_own_is_refused(run, tmp_path, way):
    data = planted(tmp_path / "films", way, mixed=False)
    result = run(data)
    assert result.exit_code == 2
    assert not (tmp_path / "clinic.onnx").exists()
    told = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    for name in NAMES:
        (line,) = [one for one in told if f"100 % of the films of '{name}'" in one]
        assert way in line
    assert any(SAYS["facts-of-the-files"] in line for line in told)
    assert SAYS["no-file-was-written"] in result.stderr.splitlines()[-1]
    forced = run(data, "--force")
    assert forced.exit_code == 0, forced.output
    adaptation = read_onnx_manifest(tmp_path / "clinic.onnx").adaptation
    assert adaptation.forced
    assert [f"warning: {one}" for one in adaptation.doubts] == told


@pytest.mark.parametrize("way", WAYS)
def test_the_same_places_for_both_classes_are_no_reason(run, tmp_path, way):
    result = run(planted(tmp_path / "films", way, mixed=True))
    assert result.exit_code == 0, result.output
    assert "warning" not in result.output
    assert read_onnx_manifest(tmp_path / "clinic.onnx").adaptation.doubts == ()


def listed(root, source):
    """Write films into one folder, and a manifest that says from which source each is."""
    (root / "all").mkdir(parents=True)
    with (root / "manifest.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("file", "label", "source"))
        for kind, name in enumerate(NAMES):
            for number in range(COUNT):
                file = root / "all" / f"{name}{number}.png"
                file.write_bytes(png(film(kind, number)))
                table.writerow((f"all/{file.name}", name, source(kind, number)))
    return root


@pytest.mark.parametrize(
    ("source", "refused", "told"),
    [
        (lambda kind, number: ("archive", "ward")[kind], True, "100 % of the films of 'sick'"),
        (lambda kind, number: ("archive", "ward")[kind] if number else "ward", True, "94 % of the films of"),
        (
            lambda kind, number: "archive" if kind == 0 and number % 4 else "ward",
            False,
            "75 % of the films of",
        ),
        (lambda kind, number: ("archive", "ward")[number % 2], False, None),
        (lambda kind, number: f"source {kind} {number}", False, None),  # names that name no place
        (lambda kind, number: "", False, None),
    ],
)
def test_the_source_of_a_manifest(run, tmp_path, source, refused, told):
    result = run(listed(tmp_path / "films", source))
    assert result.exit_code == (2 if refused else 0), result.output
    assert ("(source " in result.output) == (told is not None)
    assert told is None or told in result.output


def test_folders_of_a_manifest_are_a_warning_and_those_called_as_a_class_are_not(run, tmp_path):
    root = tmp_path / "films"
    for folders, warned in ((("north", "south"), True), (("Sick", "WELL"), False)):
        with_rows = []
        for kind, name in enumerate(NAMES):
            (root / folders[kind]).mkdir(parents=True)
            for number in range(COUNT):
                (root / folders[kind] / f"{number}.png").write_bytes(png(film(kind, number)))
                with_rows.append(f"{folders[kind]}/{number}.png,{name}")
        (root / "manifest.csv").write_text("\n".join(["file,label", *with_rows]))
        result = run(root)
        assert result.exit_code == 0, result.output
        assert ("(folder " in result.stdout) == warned


def test_a_mark_in_the_corner_is_no_better_than_20x20_pixels(run, tmp_path):
    """Both classes have the same texture."""
    root = tmp_path / "films"
    for kind, name in enumerate(NAMES):
        (root / name).mkdir(parents=True)
        for number in range(COUNT):
            pixels = film(0, number + 20 * kind)
            if kind:
                pixels[2:14, 2:14] = 255
            (root / name / f"{number}.png").write_bytes(png(pixels))
    result = run(root)
    assert SAYS["not-clearly-better-than"] in result.output


def test_labels_that_the_films_do_not_tell_are_refused(run, tmp_path):
    root = tmp_path / "films"
    for kind, name in enumerate(NAMES):
        (root / name).mkdir(parents=True)
        for number in range(COUNT):
            (root / name / f"{number}.png").write_bytes(png(film(0, number + 20 * kind)))
    result = run(root)
    assert result.exit_code == 2
    assert SAYS["which-may-be-guessing"] in result.stderr


def test_the_old_head_may_do_as_well(run, tmp_path, model):
    run(plant_films(tmp_path / "first"))
    clinic = (tmp_path / "clinic.onnx").rename(tmp_path / "first.onnx")
    trained = replace(read_onnx_manifest(clinic), adaptation=None)  # as if it had not been fitted to films
    clinic.write_bytes(open_head(clinic.read_bytes(), "onnx").embed(clinic.read_bytes(), trained))
    result = run(plant_films(tmp_path / "films", count=20), "--model", clinic)
    assert result.exit_code == 0, result.output
    assert SAYS["the-model-as-it"] in result.stdout


def test_patients_of_dicom_headers_stay_together(run, tmp_path):
    """Four patients a class are too few, however many films of them there are."""
    root = tmp_path / "films"
    for kind, name in enumerate(NAMES):
        (root / name).mkdir(parents=True)
        for number in range(COUNT):
            data = dicom(film(kind, number), PatientID=f"{name} {number % 4}")
            (root / name / f"{number}").write_bytes(data)
    result = run(root)
    assert result.exit_code == 2
    assert SAYS["has-films-of-4-patients"] in result.stderr


def test_a_given_patient_stands_above_dicoms(run, tmp_path):
    """Files that were anonymised under one number are of one patient, until it is said whose they are."""
    root = tmp_path / "films"
    for kind, name in enumerate(NAMES):
        (root / name).mkdir(parents=True)
        for number in range(COUNT):
            path = root / name / f"p{kind}{number}_film"
            path.write_bytes(dicom(film(kind, number), PatientID="ANONYMOUS"))
    result = run(root)
    assert result.exit_code == 2
    assert SAYS["column-patient-id-or"] in result.stderr
    assert run(root, "--patient-pattern", r"(p\d+)_").exit_code == 0
    assert read_onnx_manifest(tmp_path / "clinic.onnx").adaptation.groups == 2 * COUNT


def test_what_is_a_classs_own():
    mine = np.array([True] * 10 + [False] * 10)
    assert own_share(["a"] * 10 + ["b"] * 10, mine) == (1.0, ["a"])
    assert own_share(["a"] * 20, mine) == (0.0, [])
    assert own_share(["a"] * 6 + ["b"] * 4 + ["b"] * 10, mine) == (0.6, ["a"])
    assert own_share([str(one) for one in range(20)], mine) == (0.0, [])
    few = np.array([True] * 95 + [False] * 5)  # of 20 films, one of another class would be expected
    assert own_share([str(one // 20) for one in range(100)], few)[0] == 0


def test_facts_of_a_file():
    pixels = film(0, 0)
    one, other = film_facts(jpeg_of(pixels, 98)), film_facts(jpeg_of(film(1, 1), 98))
    assert one == other
    assert one.named["colour"] == "gray"
    assert film_facts(jpeg_of(pixels, 97)).named != one.named
    found = film_facts(dicom(pixels, StationName="Room 1", PatientID="Jane"))
    assert (found.format, found.width, found.height, found.named["station"]) == ("dicom", 64, 64, "ROOM 1")
    assert "Jane" not in str(found)
    assert found.patient == film_facts(dicom(film(1, 1), PatientID="Jane")).patient != ""
    assert film_facts(png(pixels)).named == {"bits": "8", "colour": "gray"}

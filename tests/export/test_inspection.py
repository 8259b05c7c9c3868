"""What `xray-train inspect` finds in a data set."""

import csv
import json

import cv2
import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from specimens import png

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError
from xray_infer.train.data.leaks import inspect
from xray_infer.train.data_cli import inspect_command

SAYS = approved("xray-export")


def quiet(line):
    pass


def plant(root, rows):
    """Write a manifest, and a picture for every file in it that is not there; equal seeds, equal pictures."""
    for number, row in enumerate(rows):
        seed = row.pop("seed", number)
        if seed is not None and not (root / row["file"]).exists():
            rough = np.random.default_rng(seed).integers(0, 256, (9, 9)).astype(np.uint8)
            (root / row["file"]).write_bytes(
                png(cv2.resize(rough, (120, 110), interpolation=cv2.INTER_CUBIC))
            )
    with (root / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0], restval="")
        writer.writeheader()
        writer.writerows(rows)
    return root


def clean_rows(**more):
    return [
        {"file": f"{label}{n}.png", "label": label, "split": split, "patient_id": "", "source": "s", **more}
        for label in CLASS_NAMES
        for n, split in enumerate(("train", "train", "val", "test"))
    ]


def test_clean_data_has_nothing_to_mend(tmp_path):
    found = inspect(plant(tmp_path, clean_rows()), report=quiet)
    assert not found.to_mend
    assert found.images == 12
    assert found.splits == {
        "train": dict.fromkeys(CLASS_NAMES, 2),
        "val": dict.fromkeys(CLASS_NAMES, 1),
        "test": dict.fromkeys(CLASS_NAMES, 1),
    }
    assert found.sources == {"s": dict.fromkeys(CLASS_NAMES, 4)}
    assert (found.copies, found.leaks, found.shortcut) == ((), (), None)
    assert "cannot be told" in found.warnings[0]


def test_every_unreadable_file_is_listed(tmp_path):
    rows = clean_rows()
    for name in ("gone.png", "empty.png", "broken.png"):
        rows.append(
            {"file": name, "label": "covid", "split": "train", "patient_id": "", "source": "", "seed": None}
        )
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "broken.png").write_bytes(png(np.zeros((50, 50), np.uint8))[:60])
    found = inspect(plant(tmp_path, rows), report=quiet)
    assert set(found.unreadable) == {"gone.png", "empty.png", "broken.png"}
    assert "No such file" in found.unreadable["gone.png"]
    assert "empty" in found.unreadable["empty.png"]
    assert found.to_mend
    assert found.images == 15
    assert SAYS["gone-png-cannot-be"] in found.as_text()


def test_copies_conflicts_and_leaks_are_named(tmp_path):
    rows = clean_rows()
    base = {"patient_id": "", "source": "s"}
    rows += [
        {"file": "twin.png", "label": "normal", "split": "test", "seed": 0, **base},  # of covid0, in train
        {"file": "near.png", "label": "covid", "split": "train", "seed": None, **base},  # of covid1, in train
    ]
    rows[5]["patient_id"] = rows[6]["patient_id"] = "P7"  # pneumonia1 in train, pneumonia2 in val
    plant(tmp_path, clean_rows())
    pixels = cv2.imread(str(tmp_path / "covid1.png"), cv2.IMREAD_GRAYSCALE)
    (tmp_path / "near.png").write_bytes(png(cv2.resize(pixels, (90, 80), interpolation=cv2.INTER_AREA)))
    found = inspect(plant(tmp_path, rows), report=quiet)

    pairs = {(pair.first, pair.second): pair.kind for pair in found.copies}
    assert pairs == {("covid0.png", "twin.png"): "identical", ("covid1.png", "near.png"): "near"}
    assert [(pair.first, pair.second) for pair in found.conflicts] == [("covid0.png", "twin.png")]
    leaks = {leak.reasons: leak.files for leak in found.leaks}
    assert leaks == {
        ("identical",): {"train": ("covid0.png",), "test": ("twin.png",)},
        ("patient",): {"train": (f"{CLASS_NAMES[1]}1.png",), "val": (f"{CLASS_NAMES[1]}2.png",)},
    }
    text = found.as_text()
    assert SAYS["covid-png-and-twin"] in text
    assert "by patient: train: " in text


def test_a_leak_through_a_copy_of_a_copy_is_found(tmp_path):
    """The near pair's own sides agree; the second file of the same bytes stands elsewhere."""
    rows = clean_rows()
    plant(tmp_path, clean_rows())
    pixels = cv2.imread(str(tmp_path / "covid0.png"), cv2.IMREAD_GRAYSCALE)
    for name, split in (("near.png", "train"), ("far.png", "val")):
        (tmp_path / name).write_bytes(png(cv2.resize(pixels, (90, 80), interpolation=cv2.INTER_AREA)))
        rows.append(
            {"file": name, "label": "covid", "split": split, "patient_id": "", "source": "s", "seed": None}
        )
    found = inspect(plant(tmp_path, rows), report=quiet)
    (leak,) = found.leaks
    assert leak.files == {"train": ("covid0.png", "near.png"), "val": ("far.png",)}


def test_patients_of_a_pattern_leak_too(tmp_path):
    root = plant(tmp_path, clean_rows())
    found = inspect(root, patient_pattern="^(covid)", report=quiet)
    (leak,) = found.leaks
    assert leak.reasons == ("patient",)
    assert sum(map(len, leak.files.values())) == 4


def test_without_a_split_there_is_no_leak(labelled_tree):
    twin = labelled_tree / "covid" / "twin.png"
    twin.write_bytes((labelled_tree / "covid" / "0.png").read_bytes())
    found = inspect(labelled_tree, report=quiet)
    assert (len(found.copies), found.leaks, found.to_mend) == (1, (), False)
    assert found.splits == {"no split": {"covid": 11, CLASS_NAMES[1]: 10, CLASS_NAMES[2]: 10}}
    assert any("no split yet" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("sources", "accuracy", "cramers_v"),
    [(("a", "b", "c"), 1.0, 1.0), (("a", "a", "b"), 2 / 3, 1.0), ((None, None, None), 1 / 3, 0.0)],
)
def test_the_shortcut_by_source_is_measured(tmp_path, sources, accuracy, cramers_v):
    rows = clean_rows()
    for n, row in enumerate(rows):
        row["source"] = sources[n // 4] or "ab"[n % 2]
    shortcut = inspect(plant(tmp_path, rows), report=quiet).shortcut
    assert shortcut.accuracy == pytest.approx(accuracy)
    assert shortcut.majority == pytest.approx(1 / 3)
    assert shortcut.cramers_v == pytest.approx(cramers_v)


def test_uneven_classes_are_warned_of(tmp_path):
    rows = [row for row in clean_rows() if row["label"] != "normal" or row["file"] == "normal0.png"]
    assert any(
        "4.0 times as many" in warning for warning in inspect(plant(tmp_path, rows), report=quiet).warnings
    )


def test_the_command_prints_json_and_tells_by_its_exit_status(tmp_path):
    root = plant(tmp_path, clean_rows())
    clean = CliRunner().invoke(inspect_command, [str(root), "--json", "-"])
    assert clean.exit_code == 0, clean.output
    assert json.loads(clean.stdout)["to_mend"] is False
    (root / "covid0.png").unlink()
    record = root / "found.json"
    bad = CliRunner().invoke(inspect_command, [str(root), "--json", str(record)])
    assert bad.exit_code == 1
    assert SAYS["covid-png-cannot-be"] in bad.stdout
    assert list(json.loads(record.read_text())["unreadable"]) == ["covid0.png"]
    nowhere = CliRunner().invoke(inspect_command, [str(root / "nowhere")])
    assert (nowhere.exit_code, nowhere.stderr.count("\n")) == (2, 1)


def test_a_faulty_manifest_is_an_error(tmp_path):
    (tmp_path / "manifest.csv").write_text("file,label\nx.png,flu\n")
    with pytest.raises(DataError, match="all images are of one class, 'flu'"):
        inspect(tmp_path, report=quiet)


def test_the_real_data_set_has_one_copy_on_two_sides(shared_data):
    """A film with arrows and a caption, beside the same film without: its makers' search missed it."""
    found = inspect(shared_data / "cxr3", report=quiet)
    assert [(pair.first, pair.second) for pair in found.copies] == [
        ("images/covid_0175.jpg", "images/covid_0420.jpg")
    ]
    assert len(found.leaks) == 1
    assert found.shortcut.accuracy == pytest.approx(0.832, abs=0.001)


def test_data_of_which_nothing_can_be_read_is_still_reported(tmp_path):
    (tmp_path / "manifest.csv").write_text("file,label\ngone.png,covid\nlost.png,normal\n")
    found = inspect(tmp_path, patient_pattern="(x)", report=quiet)
    assert (found.images, list(found.unreadable), found.to_mend) == (2, ["gone.png", "lost.png"], True)
    assert SAYS["images-of-them-cannot"] in found.as_text()

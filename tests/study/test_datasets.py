"""Labelled images: manifests and trees, with a split or without."""

import csv
import dataclasses
import hashlib
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from approved import approved
from specimens import jpeg, png

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError
from xray_infer.images.preprocess import Preprocessing
from xray_infer.study.class_choice import parse_class_choice
from xray_infer.study.datasets import (
    Dataset,
    LabelledImage,
    check_split,
    list_images,
    read_dataset,
    read_images,
    read_input,
    split_images,
)
from xray_infer.train.data.splits import write_manifest as write_split

SAYS = approved("xray-train")


def test_a_tree_may_lack_a_split(labelled_tree):
    dataset = read_images(labelled_tree)
    assert not dataset.has_split
    assert len(dataset.images) == 30
    assert len({image.digest for image in dataset.images}) == 30
    with pytest.raises(DataError, match=SAYS["has-no-split-xray"]):
        read_dataset(labelled_tree)


def test_a_split_is_for_all_images_or_none(tmp_path, xray):
    (tmp_path / "a.png").write_bytes(png(xray))
    rows = [{"file": "a.png", "label": name, "split": "train" * (name != "normal")} for name in CLASS_NAMES]
    write_manifest(tmp_path / "manifest.csv", rows)
    with pytest.raises(DataError, match=SAYS["has-no-split-others"]):
        read_images(tmp_path)


def test_unreadable_files_are_left_out_where_they_are_asked_for(labelled_tree):
    gone = labelled_tree / "covid" / "gone.png"
    gone.symlink_to(labelled_tree / "nowhere.png")
    with pytest.raises(DataError, match=SAYS["gone-png-cannot-be"]):
        read_images(labelled_tree)
    unreadable: dict[Path, str] = {}
    assert len(read_images(labelled_tree, unreadable=unreadable).images) == 30
    assert unreadable == {gone: SAYS["cannot-be-read-no"]}


def test_a_source_is_named_by_its_column_or_by_a_tag(tmp_path, xray):
    (tmp_path / "a.png").write_bytes(png(xray))
    rows = [
        {"file": "a.png", "label": "covid", "source": "mine", "note": "[theirs] x", "patient_id": "P1"},
        {"file": "a.png", "label": "normal", "source": "", "note": "[theirs] x", "patient_id": ""},
        {"file": "a.png", "label": "normal", "source": "", "note": "see [theirs]", "patient_id": ""},
    ]
    write_manifest(tmp_path / "manifest.csv", rows)
    images = read_images(tmp_path).images
    assert [image.source for image in images] == ["mine", "theirs", ""]
    assert [image.patient for image in images] == ["P1", "", ""]


def test_a_domain_is_named_by_the_first_column_that_says_anything(tmp_path, xray):
    (tmp_path / "a.png").write_bytes(png(xray))
    row = {"file": "a.png", "label": "covid", "domain": "", "hospital": "", "source": "", "note": ""}
    other = {"file": "a.png", "label": "normal"}
    changes = (
        ({"domain": "d", "hospital": "h", "source": "s"}, "domain", "d"),
        ({"hospital": "h", "source": "s"}, "hospital", "h"),
        ({"source": "s"}, "source", "s"),
        ({"note": "[tag] x"}, "source", "tag"),
        ({}, "", ""),
    )
    for change, column, name in changes:
        write_manifest(tmp_path / "manifest.csv", [{**row, **change}, {**row, **change, **other}])
        dataset = read_images(tmp_path)
        assert (dataset.domains_from, dataset.images[0].domain) == (column, name)
    write_manifest(tmp_path / "manifest.csv", [{**row, "domain": "d"}, {**row, "hospital": "h", **other}])
    dataset = read_images(tmp_path)
    assert [image.domain for image in dataset.images] == ["d", ""]  # one column for all
    assert dataset.domains == ("d",)


def test_a_tree_may_give_its_own_split(tmp_path, xray):
    for number, split in enumerate(("train", "val", "test")):
        for index, name in enumerate(CLASS_NAMES):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            (folder / "x.png").write_bytes(png(xray // (1 + index + 3 * number)))
    counts = read_dataset(tmp_path).counts()
    assert all(counts[split] == dict.fromkeys(CLASS_NAMES, 1) for split in ("train", "val", "test"))


def write_manifest(path, rows):
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_a_manifest_is_read_with_its_split_and_groups(tmp_path, xray):
    (tmp_path / "a.jpg").write_bytes(jpeg(xray))
    rows = [
        {"file": "a.jpg", "label": name, "split": split, "group_id": f"g{name}"}
        for name in CLASS_NAMES
        for split in ("train", "test")
    ]
    write_manifest(tmp_path / "manifest.csv", rows)
    dataset = read_dataset(tmp_path)
    assert read_dataset(tmp_path / "manifest.csv") == dataset
    assert [image.split for image in dataset.images] == ["train", "test"] * 3
    assert {image.group for image in dataset.images} == {"gcovid", "gpneumonia", "gnormal"}
    for side in (64, 224):
        assert read_input(dataset.images[0], Preprocessing(side=side)).shape == (side, side, 1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"file": "a.png", "label": "all", "split": "train"}, "the class name 'all' means something else"),
        ({"file": "a.png", "label": "normal", "split": "train"}, "all images are of one class, 'normal'"),
        ({"file": "a.png", "label": "covid", "split": "training"}, "unknown split 'training'"),
        ({"file": "gone.png", "label": "covid", "split": "train"}, "gone.png: cannot be read"),
        ({"file": "", "label": "covid", "split": "train"}, "'file' and 'label' are needed"),
        ({"file": "a.png", "label": "covid", "split": "val"}, "no training images of class 'covid'"),
    ],
)
def test_a_faulty_manifest_says_what_is_wrong(tmp_path, xray, row, message):
    (tmp_path / "a.png").write_bytes(png(xray))
    write_manifest(tmp_path / "manifest.csv", [{"file": "a.png", "label": "normal", "split": "train"}, row])
    with pytest.raises(DataError, match=message):
        read_dataset(tmp_path)


def test_other_places_say_what_is_expected(tmp_path, folder):
    with pytest.raises(DataError, match="No such file"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"expected .*/<class>/<image>"):
        read_dataset(folder)


def test_the_real_data_set_keeps_groups_apart(shared_data):
    dataset = read_dataset(shared_data / "cxr3")
    assert sum(sum(row.values()) for row in dataset.counts().values()) == 3281
    splits: dict[str, set[str]] = {}
    for image in dataset.images:
        splits.setdefault(image.group, set()).add(image.split)
    assert all(len(sides) == 1 for sides in splits.values())


def test_a_split_without_images_is_one_sentence(labelled_tree):
    dataset = read_images(labelled_tree)
    sentence = (
        "no images in the split 'val', which training needs; "
        "make a split that has some (xray-train split), and train with it"
    )
    for data, start in ((dataset, f"{labelled_tree}: "), (Dataset(dataset.images, dataset.classes), "")):
        with pytest.raises(DataError) as caught:
            split_images(data, "val", use="which training needs")
        assert str(caught.value) == start + sentence


NAMES = ["Viral Pneumonia", "COVID", "Tuberkulose \u00e4", "Normal"]


@pytest.fixture
def any_classes(tmp_path, xray):
    """A tree of four classes, with one, two, three and four images."""
    for place, name in enumerate(NAMES):
        (tmp_path / "any" / name).mkdir(parents=True)
        for number in range(place + 1):
            changed = np.roll(xray, 10 * place + number, axis=0)
            (tmp_path / "any" / name / f"{number}.png").write_bytes(png(changed))
    return tmp_path / "any"


def test_classes_are_those_of_the_data(any_classes, tmp_path):
    dataset = read_images(any_classes)
    assert dataset.classes == ("COVID", "Normal", "Tuberkulose \u00e4", "Viral Pneumonia")
    assert {image.path.parent.name: dataset.classes[image.label] for image in dataset.images} == {
        name: name for name in NAMES
    }
    split = dataclasses.replace(
        dataset, images=tuple(dataclasses.replace(one, split="train") for one in dataset.images)
    )
    write_split(split, tmp_path / "split.csv")
    assert read_dataset(tmp_path / "split.csv") == dataclasses.replace(
        split, images=read_dataset(tmp_path / "split.csv").images
    )
    assert read_dataset(tmp_path / "split.csv").digest == split.digest


def test_classes_that_are_expected_have_the_order_of_the_model(any_classes):
    dataset = read_images(any_classes, classes=NAMES)
    assert dataset.classes == tuple(NAMES)
    assert {image.label for image in dataset.images if image.path.parent.name == "COVID"} == {1}
    assert dataset.digest == read_images(any_classes).digest
    with pytest.raises(DataError, match=r"Normal/0\.png: unknown class 'Normal'; expected one of Viral"):
        read_images(any_classes, classes=NAMES[:3])
    assert len(read_images(any_classes, classes=[*NAMES, "fifth"]).images) == 10
    more = Dataset((), (*NAMES, "fifth"))
    with pytest.raises(DataError, match=r"no training images of class 'Viral Pneumonia'; .*, fifth$"):
        check_split(more, any_classes)


def test_classes_are_chosen_renamed_and_merged(any_classes):
    lines: list[str] = []
    choice = parse_class_choice("pneumonia=Viral Pneumonia+COVID, Normal")
    dataset = read_images(any_classes, choice=choice, report=lines.append)
    assert dataset.classes == ("pneumonia", "Normal")
    assert Counter(dataset.classes[image.label] for image in dataset.images) == {"pneumonia": 3, "Normal": 4}
    assert lines == ["images of no class in --classes, left out: 3 (Tuberkulose \u00e4 3)"]
    with pytest.raises(DataError, match="no class 'covid', which --classes names; there are COVID, Normal"):
        read_images(any_classes, choice=parse_class_choice("covid,Normal"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not NAME"),
        ("COVID", "1 classes; a model has 2 to 50"),
        ("A+B,C", "is not NAME or NAME=NAME"),
        ("x=A=B,C", "is not NAME or NAME=NAME"),
        ("A,", "'' is not NAME"),
        ("A,x=A", "'A' is named twice"),
        ("a,A", "two classes are called 'A'"),
        ('"A,B', "is not NAME or NAME=NAME"),
        ("predicted,A", "means something else here"),
    ],
)
def test_a_choice_that_cannot_be_is_one_line(text, message):
    with pytest.raises(ValueError, match=message):
        parse_class_choice(text)


def test_names_with_signs_are_quoted():
    choice = parse_class_choice('"PCR+, sick"="A=B"+C , D')
    assert choice.parts == {"PCR+, sick": ("A=B", "C"), "D": ("D",)}
    assert choice.labels == {"A=B": 0, "C": 0, "D": 1}


def test_the_digest_is_that_of_the_names_and_for_the_study_what_it_was():
    def digest(classes, labels=(0, 1, 2)):
        images = (LabelledImage(Path(f"{at}"), label, f"d{at}", "train") for at, label in enumerate(labels))
        return Dataset(tuple(images), classes).digest

    before = hashlib.sha256(b"d0 0 train\nd1 1 train\nd2 2 train").hexdigest()
    assert digest(CLASS_NAMES) == before
    assert digest(("normal", "covid", "pneumonia"), (1, 2, 0)) == before  # whatever their order
    assert digest(("a", "b", "c")) != before
    assert digest(("a", "b", "c")) != digest(("a", "b", "d"))
    assert digest(("b", "a", "c"), (1, 0, 2)) == digest(("a", "b", "c"))


def test_a_tree_whose_folders_are_splits_has_no_classes(tmp_path, xray):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.png").write_bytes(png(xray))
    with pytest.raises(DataError, match=r"expected .*/<class>/<image>"):
        read_images(tmp_path)


def test_names_that_differ_by_capitals_alone_are_to_be_merged(tmp_path, xray):
    for name in ("Normal", "normal", "COVID"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(png(xray))
    with pytest.raises(DataError, match=r"two classes are called .* --classes chooses and merges"):
        read_images(tmp_path)
    merged = read_images(tmp_path, choice=parse_class_choice("normal=Normal+normal,COVID"))
    assert merged.classes == ("normal", "COVID")


def test_files_are_listed_whatever_their_classes(tmp_path, xray):
    rows = [{"file": f"{number}.png", "label": f"class {number}"} for number in range(60)]
    write_manifest(tmp_path / "manifest.csv", rows)
    assert len(list_images(tmp_path).images) == 60
    with pytest.raises(DataError, match=r"60 classes; a model has 2 to 50; .* and 48 more"):
        read_images(tmp_path)


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_a_table_that_a_spreadsheet_saved(labelled_tree, between):
    """With a byte order mark, the separator of some countries, and rows that were emptied at its end."""
    expected = read_images(labelled_tree)
    lines = ["file,label"]
    for image in expected.images:
        lines.append(f"{image.path.relative_to(labelled_tree)},{expected.classes[image.label]}")
    table = labelled_tree / "films.csv"
    text = "\r\n".join([*lines, ",", ",", ""]).replace(",", between)
    table.write_text(text, encoding="utf-8-sig", newline="")
    found = read_images(table)
    assert found.digest == expected.digest
    assert found.classes == expected.classes


def test_a_table_in_another_encoding_is_to_be_saved_anew(tmp_path):
    table = tmp_path / "films.csv"
    table.write_bytes("file,label\na.png,kränk\n".encode("cp1252"))
    with pytest.raises(DataError, match=SAYS["save-the-table-as"]) as told:
        read_images(table)
    assert str(told.value).startswith(str(table))


def test_a_name_that_no_file_can_have_is_left_out(labelled_tree):
    table = labelled_tree / "films.csv"
    files = [f"{name}/{path.name}" for name in CLASS_NAMES for path in (labelled_tree / name).iterdir()]
    rows = [f"{file},{file.partition('/')[0]}" for file in (*files, "covid/\0.png")]
    table.write_text("\n".join(["file,label", *rows]))
    unreadable: dict[Path, str] = {}
    assert len(read_images(table, unreadable=unreadable).images) == 30
    assert list(unreadable.values()) == ["cannot be read: not a possible name"]


def test_a_class_whose_name_breaks_a_line_is_told_of_in_one(labelled_tree):
    (labelled_tree / "covid").rename(labelled_tree / "co\nvid")
    with pytest.raises(DataError) as told:
        read_images(labelled_tree)
    assert "\n" not in str(told.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_a_pipe_is_not_waited_for(labelled_tree):
    pipe = labelled_tree / "covid" / "pipe.png"
    os.mkfifo(pipe)
    unreadable: dict[Path, str] = {}
    assert len(read_images(labelled_tree, unreadable=unreadable).images) == 30
    assert unreadable == {pipe: "cannot be read: not a regular file"}


def test_an_accent_of_its_own_makes_no_other_class(labelled_tree):
    """Some systems write the a and its dots as two characters."""
    (labelled_tree / "covid").rename(labelled_tree / "kra\u0308nk")
    found = read_images(labelled_tree, choice=parse_class_choice("kr\u00e4nk,normal"))
    assert found.classes == ("kr\u00e4nk", "normal")

"""Labelled images: manifests and trees, with a split or without."""

import csv
from pathlib import Path

import pytest
from approved import approved
from specimens import jpeg, png

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError
from xray_infer.images.preprocess import Preprocessing
from xray_infer.study.datasets import Dataset, read_dataset, read_images, read_input, split_images

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
    changes = (
        ({"domain": "d", "hospital": "h", "source": "s"}, "domain", "d"),
        ({"hospital": "h", "source": "s"}, "hospital", "h"),
        ({"source": "s"}, "source", "s"),
        ({"note": "[tag] x"}, "source", "tag"),
        ({}, "", ""),
    )
    for change, column, name in changes:
        write_manifest(tmp_path / "manifest.csv", [{**row, **change}])
        dataset = read_images(tmp_path)
        assert (dataset.domains_from, dataset.images[0].domain) == (column, name)
    write_manifest(tmp_path / "manifest.csv", [{**row, "domain": "d"}, {**row, "hospital": "h"}])
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
        ({"file": "a.png", "label": "flu", "split": "train"}, "unknown class 'flu'"),
        ({"file": "a.png", "label": "covid", "split": "training"}, "unknown split 'training'"),
        ({"file": "gone.png", "label": "covid", "split": "train"}, "gone.png: cannot be read"),
        ({"file": "", "label": "covid", "split": "train"}, "'file' and 'label' are needed"),
        ({"file": "a.png", "label": "covid", "split": "train"}, "no training images of class 'pneumonia'"),
    ],
)
def test_a_faulty_manifest_says_what_is_wrong(tmp_path, xray, row, message):
    (tmp_path / "a.png").write_bytes(png(xray))
    write_manifest(tmp_path / "manifest.csv", [row])
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
    for data, start in ((dataset, f"{labelled_tree}: "), (Dataset(dataset.images), "")):
        with pytest.raises(DataError) as caught:
            split_images(data, "val", use="which training needs")
        assert str(caught.value) == start + sentence

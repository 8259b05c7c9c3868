"""Groups that must not be divided, and the splits that keep to them."""

import os
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from specimens import png

from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError
from xray_infer.study.datasets import Dataset, LabelledImage, read_dataset, read_images
from xray_infer.train.data.groups import find_duplicates, group_images, join
from xray_infer.train.data.splits import SHARES, grouped_split, random_split, write_manifest
from xray_infer.train.data_cli import split_command

SAYS = approved("xray-train")


def quiet(line):
    pass


def film(seed):
    """Two lungs and a spine that all films share, and ribs and texture that are its own: uint8 [300, 260]."""
    rng = np.random.default_rng(seed)
    common = np.full((300, 260), 150, np.float32)
    for centre in (75, 185):
        cv2.ellipse(common, (centre, 150), (45, 100), 0, 0, 360, 60, -1)
    cv2.rectangle(common, (120, 0), (140, 299), 200, -1)
    own = sum(
        cv2.resize(
            rng.normal(size=(cells, cells)).astype(np.float32), (260, 300), interpolation=cv2.INTER_CUBIC
        )
        * strength
        for cells, strength in ((6, 12), (14, 12), (30, 8))
    )
    return np.clip(cv2.GaussianBlur(common, (0, 0), 4) + own, 0, 255).astype(np.uint8)


COPIES = {
    "recompressed": lambda p: cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 50])[1].tobytes(),
    "shrunk": lambda p: png(cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)),
    "squeezed": lambda p: png(cv2.resize(p, (256, 256), interpolation=cv2.INTER_AREA)),
    "brighter": lambda p: png(np.clip(p.astype(float) * 0.85 + 20, 0, 255).astype(np.uint8)),
    "cropped": lambda p: png(p[9:-9, 8:-8]),
    "mirrored": lambda p: png(np.ascontiguousarray(p[:, ::-1])),
    "inverted": lambda p: png(255 - p),
}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Thirty films, ten a class, as a Dataset without splits or groups."""
    root = tmp_path_factory.mktemp("films")
    for number in range(30):
        folder = root / CLASS_NAMES[number % 3]
        folder.mkdir(exist_ok=True)
        (folder / f"p{number // 6}_{number}.png").write_bytes(png(film(number)))
    return read_images(root)


def listed(label, count, *, per_group=1, source="", start=0):
    """Images that exist in a list only."""
    return [
        LabelledImage(
            Path(f"{label}{source}{start + n}.png"), label, f"{label}-{source}-{start + n}",
            group=f"{label}{source}{(start + n) // per_group}", source=source,
        )
        for n in range(count)
    ]  # fmt: skip


@pytest.fixture
def without_pixels(monkeypatch):
    """Let groups come from the listing alone."""
    monkeypatch.setattr("xray_infer.train.data.groups.find_duplicates", lambda images, **options: ((), {}))


def shares(images, of=len):
    count = Counter(image.split for image in images)
    return {split: count[split] / of(images) for split in SHARES}


def sides(dataset, key):
    found = defaultdict(set)
    for image in dataset.images:
        found[key(image)].add(image.split)
    return found


def test_films_that_only_look_alike_stay_apart(films):
    grouping = group_images(films, report=quiet)
    assert grouping.pairs == ()
    assert len({image.group for image in grouping.dataset.images}) == 30


def test_films_of_like_hashes_are_told_apart_by_their_pixels(films, monkeypatch):
    monkeypatch.setattr("xray_infer.train.data.groups.MAX_DISTANCE", 144)  # every pair is compared
    lines = []
    assert find_duplicates(films.images, report=lines.append) == ((), {})
    assert f"{3 * 30 * 29 // 2} pairs" in lines[-1]


def test_copies_are_found_across_blocks_of_the_pair_matrix(films, tmp_path, monkeypatch):
    monkeypatch.setattr("xray_infer.train.data.groups.HASH_ROWS", 8)
    copies = []
    for number in (2, 20):
        path = tmp_path / f"{number}.png"
        path.write_bytes(COPIES["shrunk"](cv2.imread(str(films.images[number].path), cv2.IMREAD_GRAYSCALE)))
        copies.append(LabelledImage(path, 0, str(number)))
    pairs, _ = find_duplicates([*films.images, *copies], report=quiet)
    assert [(pair.first, pair.second) for pair in pairs] == [(2, 30), (20, 31)]


@pytest.mark.parametrize("change", COPIES)
def test_a_changed_copy_is_joined_across_classes_and_sources(films, tmp_path, change):
    original = films.images[3]
    path = tmp_path / f"copy{'.jpg' if change == 'recompressed' else '.png'}"
    path.write_bytes(COPIES[change](cv2.imread(str(original.path), cv2.IMREAD_GRAYSCALE)))
    copy = LabelledImage(path, 2 - original.label, "another digest", source="elsewhere")
    grouping = group_images(Dataset((*films.images, copy), CLASS_NAMES), report=quiet)
    (pair,) = grouping.pairs
    kind = change if change in ("mirrored", "inverted") else "near"
    assert (pair.first, pair.second, pair.kind) == (3, 30, kind)
    assert grouping.dataset.images[3].group == grouping.dataset.images[30].group
    assert len({image.group for image in grouping.dataset.images}) == 30


def test_identical_files_are_joined_across_classes(films):
    first = films.images[0]
    twins = [replace(first, label=label) for label in (1, 2)]
    grouping = group_images(Dataset((*films.images, *twins), CLASS_NAMES), report=quiet)
    assert [(pair.first, pair.second, pair.kind) for pair in grouping.pairs] == [
        (0, 30, "identical"),
        (0, 31, "identical"),
    ]
    assert grouping.dataset.images[0].group == grouping.dataset.images[31].group


def test_flat_pictures_are_not_copies_of_each_other(films, tmp_path):
    flat = []
    for level in (0, 90, 255):
        path = tmp_path / f"{level}.png"
        path.write_bytes(png(np.full((80, 80), level, np.uint8)))
        flat.append(LabelledImage(path, 0, str(level)))
    assert find_duplicates(flat, report=quiet) == ((), {})


def test_patients_are_joined_by_the_manifest_or_by_the_file_name(films):
    images = tuple(replace(image, patient="known" * (n in (0, 29))) for n, image in enumerate(films.images))
    grouped = group_images(Dataset(images, CLASS_NAMES), report=quiet).dataset.images
    assert grouped[0].group == grouped[29].group
    assert len({image.group for image in grouped}) == 29

    named = group_images(films, patient_pattern=r"(p\d+)_", report=quiet).dataset.images
    assert len({image.group for image in named}) == 5
    assert all(image.patient == image.path.name.split("_")[0] for image in named)
    assert len({image.group for image in named if image.patient == "p1"}) == 1


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(p", "not a regular expression"), (r"p\d+", "in brackets"), ("(zebra)", "no file name matches")],
)
def test_a_useless_patient_pattern_is_refused(films, pattern, message):
    with pytest.raises(DataError, match=message):
        group_images(films, patient_pattern=pattern, report=quiet)


def test_an_unreadable_image_is_named(films, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    broken = LabelledImage(tmp_path / "broken.png", 0, "x")
    with pytest.raises(DataError, match=r"broken\.png: .*remove it"):
        group_images(Dataset((*films.images, broken), CLASS_NAMES), report=quiet)


def test_joins_are_transitive_and_numbered_by_appearance():
    assert join(6, [(4, 5), (1, 3), (3, 5)]) == [0, 1, 2, 1, 1, 1]


@pytest.mark.usefixtures("without_pixels")
def test_groups_stay_whole_and_shares_are_kept():
    images = listed(0, 200, per_group=4) + listed(1, 300) + listed(2, 90, per_group=3)
    dataset = grouped_split(Dataset(tuple(images), CLASS_NAMES), seed=3, report=quiet)
    assert all(len(found) == 1 for found in sides(dataset, lambda image: image.group).values())
    for label, slack in ((0, 0.021), (1, 0.004), (2, 0.035)):
        found = shares([image for image in dataset.images if image.label == label])
        assert all(abs(found[split] - share) <= slack for split, share in SHARES.items()), found
    assert [image.path for image in dataset.images] == [image.path for image in images]


@pytest.mark.usefixtures("without_pixels")
def test_each_source_of_a_class_is_dealt_by_shares():
    images = listed(0, 100, source="a") + listed(0, 40, source="b") + listed(1, 60, source="a")
    images += [image for n in range(20) for image in listed(2, 4, source=f"small{n}")]
    dataset = grouped_split(Dataset(tuple(images), CLASS_NAMES), seed=0, report=quiet)
    for label, source, count in ((0, "a", 10), (0, "b", 4), (1, "a", 6)):
        found = Counter(i.split for i in dataset.images if (i.label, i.source) == (label, source))
        assert abs(found["val"] - count) <= 1
        assert abs(found["test"] - count) <= 1
    # Sources too small for a share of their own must not all go to training.
    small = Counter(image.split for image in dataset.images if image.label == 2)
    assert abs(small["val"] - 8) <= 2
    assert abs(small["test"] - 8) <= 2


@pytest.mark.usefixtures("without_pixels")
def test_large_and_small_groups_go_to_every_split():
    images = listed(0, 200, per_group=5) + listed(0, 200, start=1000) + listed(1, 20) + listed(2, 20)
    dataset = grouped_split(Dataset(tuple(images), CLASS_NAMES), seed=1, report=quiet)
    sizes = Counter(image.group for image in dataset.images)
    for split in ("val", "test"):
        assert {sizes[image.group] for image in dataset.split(split) if image.label == 0} == {1, 5}


@pytest.mark.usefixtures("without_pixels")
def test_little_data_still_has_every_class_in_every_split():
    # Three groups a class, one of them large: shares alone would leave val and test empty.
    images = [
        replace(image, group=f"{label}-{max(n - 7, 0)}")
        for label in range(3)
        for n, image in enumerate(listed(label, 10))
    ]
    dataset = grouped_split(Dataset(tuple(images), CLASS_NAMES), seed=0, report=quiet)
    assert all(min(row.values()) >= 1 for row in dataset.counts().values())
    pairs = [replace(image, group=str(n % 2)) for n, image in enumerate(listed(0, 10))]
    with pytest.raises(DataError, match=SAYS["covid-has-too-few"]):
        grouped_split(Dataset(tuple(pairs), CLASS_NAMES), seed=0, report=quiet)


def test_ten_a_class_become_eight_one_one_and_the_seed_decides(films):
    dataset = grouped_split(films, seed=0, report=quiet)
    assert dataset.counts() == {
        "train": dict.fromkeys(CLASS_NAMES, 8),
        "val": dict.fromkeys(CLASS_NAMES, 1),
        "test": dict.fromkeys(CLASS_NAMES, 1),
    }
    assert grouped_split(films, seed=0, report=quiet) == dataset
    assert grouped_split(films, seed=1, report=quiet).digest != dataset.digest


def test_copies_of_a_file_never_stand_on_two_sides(films):
    images = tuple(image for image in films.images for _ in range(4))
    for seed in range(3):
        dataset = grouped_split(Dataset(images, CLASS_NAMES), seed=seed, report=quiet)
        assert all(len(found) == 1 for found in sides(dataset, lambda image: image.digest).values())


def test_a_random_split_divides_groups_and_keeps_the_order():
    images = tuple(listed(0, 200, per_group=4) + listed(1, 100, per_group=4) + listed(2, 100, per_group=4))
    dataset = random_split(Dataset(images, CLASS_NAMES), seed=0)
    assert [replace(image, split="") for image in dataset.images] == list(images)
    assert dataset.counts()["test"] == {"covid": 20, CLASS_NAMES[1]: 10, CLASS_NAMES[2]: 10}
    divided = [found for found in sides(dataset, lambda image: image.group).values() if len(found) > 1]
    assert len(divided) > 30
    assert random_split(Dataset(images, CLASS_NAMES), seed=0) == dataset
    assert random_split(Dataset(images, CLASS_NAMES), seed=1) != dataset


@pytest.mark.parametrize("column", ["source", "domain", "hospital", ""])
def test_a_manifest_reads_back_exactly(films, tmp_path, column):
    """Domains that are the sources are not written twice; those of hospitals become the column domain."""
    source, domain = 'a "quoted", source' if column else "", f"a {column}" if column else ""
    marked = tuple(
        replace(image, source=source, patient=f"p{n % 7}", domain=source if column == "source" else domain)
        for n, image in enumerate(films.images)
    )
    dataset = grouped_split(Dataset(marked, CLASS_NAMES, domains_from=column), seed=0, report=quiet)
    assert dataset.domains_from == column
    out = tmp_path / "new folder" / "split.csv"
    write_manifest(dataset, out)
    again = read_dataset(out)
    assert again.digest == dataset.digest
    assert again.domains_from == column.replace("hospital", "domain")
    for before, after in zip(dataset.images, again.images, strict=True):
        assert replace(after, path=before.path) == before
        assert after.path.samefile(before.path)
    assert ",/" not in out.read_text()
    assert not out.read_text().startswith("/")


def test_a_manifest_in_a_linked_folder_finds_its_images(films, tmp_path):
    (tmp_path / "deep" / "real").mkdir(parents=True)
    os.symlink(tmp_path / "deep" / "real", tmp_path / "link")
    out = tmp_path / "link" / "split.csv"
    write_manifest(random_split(films, seed=0), out)
    assert len(read_dataset(out).images) == 30


def test_the_command_writes_a_split_once(films, tmp_path):
    root, out = films.images[0].path.parent.parent, tmp_path / "split.csv"
    first = CliRunner().invoke(split_command, [str(root), "--out", str(out)])
    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines()[1].split() == ["train", "8", "8", "8"]
    assert read_dataset(out).counts()["test"]["covid"] == 1
    refused = CliRunner().invoke(split_command, [str(root), "--out", str(out)])
    assert (refused.exit_code, SAYS["a-model-may-depend"] in refused.stderr) == (2, True)
    own = CliRunner().invoke(split_command, [str(out), "--out", str(out), "--again"])
    assert (own.exit_code, "would replace the manifest" in own.stderr) == (2, True)
    dealt = CliRunner().invoke(split_command, [str(out), "--out", str(tmp_path / "b.csv")])
    assert (dealt.exit_code, "has a split already" in dealt.stderr) == (2, True)
    again = CliRunner().invoke(
        split_command, [str(out), "--out", str(tmp_path / "b.csv"), "--again", "--seed", "5"]
    )
    assert again.exit_code == 0
    assert read_dataset(tmp_path / "b.csv").digest != read_dataset(out).digest

"""`xray-train lungs`: films marked by cascades, and a small detector that learns from the marks."""

import csv
import json
import zipfile

import cv2
import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from specimens import png

from xray_infer.errors import DataError, MissingExtraError
from xray_infer.images.lungs import normalised, read_network
from xray_infer.train.cli import main
from xray_infer.train.lung_detector import marking
from xray_infer.train.lung_detector.lung_films import list_films, read_without_lungs
from xray_infer.train.lung_detector.marking import Marked, overlap, read_boxes, write_boxes

SAYS = approved("xray-train")


def drawn_film(rng) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Two dark fields in a gray body, and the box around them."""
    gray = np.full((120, 100), 170, np.uint8)
    x, y = rng.integers(8, 20), rng.integers(10, 30)
    width, height = rng.integers(56, 72), rng.integers(56, 80)
    cv2.rectangle(gray, (x, y), (x + width // 2 - 6, y + height - 1), 60, -1)
    cv2.rectangle(gray, (x + width // 2 + 6, y), (x + width - 1, y + height - 1), 60, -1)
    gray += rng.integers(0, 20, gray.shape).astype(np.uint8)
    return gray, (x / 100, y / 120, (x + width) / 100, (y + height) / 120)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """96 drawn films in two domains, their boxes, and pictures without lungs in a CSV."""
    folder, rng = tmp_path_factory.mktemp("films"), np.random.default_rng(0)
    films, marked = [], []
    for number in range(96):
        gray, edges = drawn_film(rng)
        (folder / f"{number}.png").write_bytes(png(gray))
        films.append(
            (f"{number}.png", "normal", "val" if number % 6 == 0 else "train", "ab"[number % 16 == 3])
        )
        marked.append(Marked(f"{number}.png", edges, 0.95))
    others = []
    for number in range(12):
        (folder / f"o{number}.png").write_bytes(png(rng.integers(0, 256, (70, 90)).astype(np.uint8)))
        others.append((f"o{number}.png", "not-frontal-chest" if number else "other-abnormal", "extra", "c"))
    for name, rows in (("manifest.csv", films), ("extra.csv", others)):
        with (folder / name).open("w", newline="") as stream:
            csv.writer(stream).writerows([("file", "label", "split", "domain"), *rows])
    write_boxes(marked, folder / "boxes.csv")
    return folder


def fit(data, out, *more):
    arguments = ["lungs", "fit", data / "manifest.csv", "--boxes", data / "boxes.csv", "--out", out, *more]
    return CliRunner().invoke(main, [str(one) for one in arguments])


class FakeCascade:
    """Sees one lung in each half of whatever it is shown."""

    def __init__(self, path):
        self.left = "left" in path

    def detectMultiScale(self, gray, step, neighbours):
        height, width = gray.shape
        x = width // 2 if self.left else width // 10
        return [(x, height // 5, 4 * width // 10, height // 2), (x, 0, 2, 2)]


def test_mark_writes_a_row_a_film(data, tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "CascadeClassifier", FakeCascade, raising=False)
    monkeypatch.setattr(marking, "find_spec", lambda name: type("Spec", (), {"origin": __file__}))
    out = tmp_path / "boxes.csv"
    result = CliRunner().invoke(main, ["lungs", "mark", str(data / "manifest.csv"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "96 of 96 films, lungs found in 96" in result.stderr
    boxes, _ = read_boxes(out)
    assert list(boxes) == [film.name for film in list_films(data / "manifest.csv")]
    assert boxes["3.png"].edges == pytest.approx((0.1, 0.2, 0.9, 0.7), abs=0.02)
    assert boxes["3.png"].agreement == pytest.approx(1, abs=0.05)


def test_a_film_in_which_the_cascades_find_nothing_has_an_empty_row(data, tmp_path, monkeypatch):
    class Blind(FakeCascade):
        def detectMultiScale(self, gray, step, neighbours):
            return ()

    monkeypatch.setattr(cv2, "CascadeClassifier", Blind, raising=False)
    monkeypatch.setattr(marking, "find_spec", lambda name: type("Spec", (), {"origin": __file__}))
    marked = marking.mark(list_films(data / "manifest.csv")[:2])
    assert marked == [Marked("0.png", None, 0.0), Marked("1.png", None, 0.0)]
    write_boxes(marked, tmp_path / "boxes.csv")
    assert list(read_boxes(tmp_path / "boxes.csv")[0].values()) == marked


def test_an_opencv_without_cascades_is_one_line(data, tmp_path, monkeypatch):
    monkeypatch.delattr(cv2, "CascadeClassifier", raising=False)
    arguments = ["lungs", "mark", str(data / "manifest.csv"), "--out", str(tmp_path / "b.csv")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert SAYS["no-haar-cascades"] in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_the_cascades_themselves_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(cv2, "CascadeClassifier", FakeCascade, raising=False)
    monkeypatch.setattr(marking, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"xray-infer\[lungs\]"):
        marking.load_cascades()


def test_overlap_is_intersection_over_union():
    first = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0.5, 1.0]])
    second = np.array([[0, 0, 1, 1], [2, 2, 3, 3], [0.25, 0, 0.75, 1]])
    assert overlap(first, second) == pytest.approx([1, 0, 1 / 3])


def test_photographs_and_the_right_rows_of_a_list_have_no_lungs(data, tmp_path):
    with zipfile.ZipFile(tmp_path / "photographs.zip", "w") as zipped:
        for split, count in (("train", 3), ("val", 2)):
            for number in range(count):
                zipped.writestr(f"{split}/cat/{number}.webp", png(np.full((40, 40), 9 * number, np.uint8)))
    found = read_without_lungs([data / "extra.csv", tmp_path / "photographs.zip"], side=32)
    assert found.photographs.shape == (3, 32, 32)
    assert len(found.train) + len(found.judge) == 11 + 2
    assert 0 < len(found.train) < 11
    assert found.judge_kinds[-2:] == ("photographs", "photographs")
    with pytest.raises(DataError, match="no pictures without lungs"):
        read_without_lungs([data / "manifest.csv"], side=32)


def test_a_detector_learns_from_the_marks_and_says_how_well(data, tmp_path):
    pytest.importorskip("torch", reason="the extra [lungs] is not installed")
    out = tmp_path / "lungs.npz"
    result = fit(data, out, "--negatives", data / "extra.csv", "--epochs", "80")
    assert result.exit_code == 0, result.output
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["films_that_teach"] == 80
    assert record["figures"]["films"] == 16
    assert record["figures"]["overlap_mean"] > 0.6
    assert record["figures"]["found_without_lungs"].keys() == {"not-frontal-chest"}
    assert "IoU with the cascades on 16 films" in result.stdout
    again = tmp_path / "again.npz"
    assert fit(data, again, "--negatives", data / "extra.csv", "--epochs", "80").exit_code == 0
    assert again.read_bytes() == out.read_bytes()


def test_a_domain_left_out_judges(data, tmp_path):
    pytest.importorskip("torch", reason="the extra [lungs] is not installed")
    out = tmp_path / "lungs.npz"
    assert fit(data, out, "--leave-out", "b", "--epochs", "1").exit_code == 0
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["left_out"] == "b"
    assert record["figures"]["films"] == 6
    result = fit(data, out, "--leave-out", "z", "--epochs", "1")
    assert result.exit_code == 2
    assert SAYS["films-teach-and-judge"] in result.stderr


def test_boxes_of_another_manifest_are_refused(data, tmp_path):
    pytest.importorskip("torch", reason="the extra [lungs] is not installed")
    lines = (data / "boxes.csv").read_text().splitlines()
    (tmp_path / "boxes.csv").write_text("\n".join(lines[:5]) + "\n")
    result = fit(data, tmp_path / "lungs.npz", "--boxes", tmp_path / "boxes.csv")
    assert result.exit_code == 2
    assert "has no row for 4.png" in result.stderr
    (tmp_path / "boxes.csv").write_text("a,b\n1,2\n")
    assert "not a CSV of boxes" in fit(data, tmp_path / "n.npz", "--boxes", tmp_path / "boxes.csv").stderr


def test_the_file_computes_what_torch_computes(tmp_path):
    torch = pytest.importorskip("torch", reason="the extra [lungs] is not installed")
    from xray_infer.train.lung_detector.box_network import BoxNetwork, NetworkConfig, answers, write_network

    torch.manual_seed(0)
    network = BoxNetwork(NetworkConfig())
    write_network(network, tmp_path / "lungs.npz")
    with (tmp_path / "lungs.npz").open("rb") as stream:
        read = read_network(stream)
    pictures = (
        np.random.default_rng(0)
        .integers(0, 256, (5, network.config.side, network.config.side))
        .astype(np.uint8)
    )
    boxes, logits = answers(network, pictures)
    for picture, box, logit in zip(pictures, boxes, logits, strict=True):
        found, there = read(normalised(picture))
        assert found == pytest.approx(box, abs=1e-3)
        assert there == pytest.approx(logit, abs=1e-3)


def test_a_view_takes_its_box_along():
    from xray_infer.train.lung_detector.box_views import USUAL, _geometry

    picture = np.zeros((96, 96), np.uint8)
    picture[30:70, 20:60] = 255
    rng = np.random.default_rng(0)
    for _ in range(20):
        view, box = _geometry(picture, np.array([20, 30, 60, 70]) / 96, rng, 64, USUAL)
        if (box < 0.1).any() or (box > 0.9).any() or (view == 255).all(axis=0).any():
            continue
        rows, columns = np.nonzero(view > 250)
        assert np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) == pytest.approx(
            64 * box, abs=4
        )

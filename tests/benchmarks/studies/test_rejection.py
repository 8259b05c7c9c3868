"""The study of rejection, on a tiny model whose score is easily worked out, and its pictures."""

import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from specimens import example_manifest, png

from benchmarks.studies.ood_images.altered import ALTERED
from benchmarks.studies.ood_images.drawn import DRAWN
from benchmarks.studies.rejection import main
from xray_infer.classes import CLASS_NAMES
from xray_infer.errors import DataError
from xray_infer.images.preprocess import STUDY
from xray_infer.model.manifest import OUTPUT_NAMES, SCORE_NAME
from xray_infer.model.manifest_parts import Rejection
from xray_infer.study.datasets import read_dataset, read_input

SAYS = approved("xray-bench")


@pytest.fixture
def scoring_onnx(split_tree, make_tiny_onnx, tmp_path):
    """The tiny model with a score: how far the mean gray level is from 128. The threshold is 40."""
    onnx = pytest.importorskip("onnx")
    digest = read_dataset(split_tree).digest
    manifest = example_manifest(
        training={"data_sha256": digest},
        output_names=(*OUTPUT_NAMES, SCORE_NAME),
        thresholds={SCORE_NAME: 40.0},
        rejection=Rejection(false_rejection=0.01),
    )
    model = onnx.load(make_tiny_onnx(manifest))
    add = onnx.helper.make_node
    constants = {"all": np.array([1, 2, 3], np.int64), "middle": np.float32(128)}
    for name, values in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values), name))
    model.graph.node.extend(
        [
            add("ReduceMean", ["float", "all"], ["mean"], keepdims=0),
            add("Sub", ["mean", "middle"], ["difference"]),
            add("Abs", ["difference"], [SCORE_NAME]),
        ]
    )
    score = onnx.helper.make_tensor_value_info(SCORE_NAME, onnx.TensorProto.FLOAT, ["batch"])
    model.graph.output.append(score)
    path = tmp_path / "scoring.onnx"
    onnx.save(model, path)
    return path


def _rows(markdown):
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in markdown.splitlines() if "|" in line
    ]
    return {one[0]: one[1:] for one in cells[2:]}


def test_rejection_tells_each_set_apart(scoring_onnx, split_tree, tmp_path):
    white = tmp_path / "white"
    white.mkdir()
    for name in "ab":
        (white / f"{name}.png").write_bytes(png(np.full((50, 50), 255, np.uint8)))
    (white / "notes.png").write_text("no image")
    extra = tmp_path / "extra.csv"
    extra.write_text("file,label,note\nwhite/a.png,hand,[bones] left\nwhite/b.png,lateral,\n")
    arguments = [
        scoring_onnx,
        "--data",
        split_tree,
        "--count",
        4,
        "--ood",
        f"white={white}",
        "--extra",
        extra,
    ]
    first, second = (CliRunner().invoke(main, [str(one) for one in arguments]) for _ in range(2))
    assert first.exit_code == 0, first.stderr
    assert first.stdout == second.stdout  # what is drawn is drawn by a seed
    rows = _rows(first.stdout)
    assert rows["white"][0] == "2"
    assert rows["white"][1].startswith("2 = 100.0% (34.2%-100.0%)")  # Wilson's interval
    assert rows["white"][2:] == ["0", "1.0000", "127.00", "0.0%", ""]
    assert rows["hand, bones"][:2] == rows["lateral"][:2] == ["1", "1 = 100.0% (20.7%-100.0%)"]
    assert rows["val images"][0] == rows["test images"][0] == "3"
    assert rows["test images"][3] == ""
    assert rows["test images"][5] == "100.0%"
    assert {*DRAWN, *(f"X-rays {name}" for name in ALTERED)} < rows.keys()
    assert rows["X-rays negatives"][0] == "3"
    assert [rows[f"of both, {name}"][0] for name in CLASS_NAMES] == ["2"] * 3
    test = read_dataset(split_tree).split("test")
    levels = [abs(float(read_input(one, STUDY).mean()) - 128) for one in test]
    assert rows["test images"][4] == f"{np.median(levels):.2f}"
    # A mean gray level does not change when a picture is turned.
    assert rows["X-rays upside down"][4] == rows["test images"][4]
    assert "Threshold 40.000" in first.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ood", "photos"], "--ood photos: expected NAME=FOLDER"),
        (["--ood", "photos=nowhere"], "nowhere"),
        (["--extra", "nowhere.csv"], "nowhere.csv: not a manifest with the columns file, label and note"),
        (["--runtime", "litert"], "litert does not read this file"),
    ],
)
def test_rejection_refuses_in_one_line(scoring_onnx, split_tree, options, message):
    result = CliRunner().invoke(
        main, [str(scoring_onnx), "--data", str(split_tree), "--count", "1", *options]
    )
    assert result.exit_code == 2
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "lists no images"),
        (b"file,label,note\n", "lists no images"),
        (b"file,label,note\n,hand,[a]\n", "a row names no file"),
        (b"file,label,note\n\0,hand,[a]\n", "a row names no file"),
        (b"\xb0\xff", "not a manifest with the columns"),
        (b"name,label\na.png,hand\n", "not a manifest with the columns"),
    ],
)
def test_a_manifest_that_says_nothing_is_one_line(tmp_path, content, message):
    from benchmarks.studies.rejection import listed_sets

    (tmp_path / "extra.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        listed_sets(tmp_path / "extra.csv")


def test_what_has_no_lungs_is_refused_by_a_model_of_lungs():
    from benchmarks.studies.rejection import Answers, table

    score, sure = np.array([1, 1, 9], np.float32), np.array([0.9, 0.5, 0.9], np.float32)
    one = Answers("films", score, sure, np.array([False, True, False]))
    assert one.refused(2.0).tolist() == [False, True, True]
    row = _rows(table([one, one], 2.0, 0.95))["films"]
    assert row == ["3", row[1], "1", "", "1.00", "0.0%", "0.90"]
    assert row[1].startswith("2 = 66.7%")
    assert one.part("first", np.array([True, False, False])).refused(2.0).tolist() == [False]


def test_rejection_needs_a_score(tiny_onnx, split_tree):
    result = CliRunner().invoke(main, [str(tiny_onnx), "--data", str(split_tree)])
    assert result.exit_code == 2
    assert result.stderr == SAYS["rejection-has-no-ood"].format(tiny_onnx=tiny_onnx)


@pytest.mark.parametrize("kind", DRAWN)
def test_what_is_drawn_is_a_gray_picture_that_varies(kind):
    rng = np.random.default_rng(0)
    pictures = [DRAWN[kind](rng) for _ in range(4)]
    for picture in pictures:
        assert (picture.dtype, picture.ndim) == (np.uint8, 2)
        assert STUDY(picture).pixels.shape == (224, 224, 1)
    assert len({picture.tobytes() for picture in pictures}) == 4


@pytest.mark.parametrize("way", ALTERED)
@pytest.mark.parametrize("shape", [(300, 260), (40, 500), (2, 2)])
def test_what_is_altered_is_another_picture_of_the_same(way, shape):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(3)]
    before = [one.copy() for one in pictures]
    first, again = (ALTERED[way](pictures, 1, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first, again)
    assert (first.dtype, first.ndim) == (np.uint8, 2)
    assert not np.array_equal(first, pictures[1])
    assert STUDY(np.ascontiguousarray(first)).pixels.shape == (224, 224, 1)
    assert all(np.array_equal(one, other) for one, other in zip(pictures, before, strict=True))

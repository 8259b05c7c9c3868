"""xray-export where it cannot go on: a full disk, a closed folder, missing images. One line, no half file."""

import errno
import json
import os
import re
import shutil
import tempfile
from types import SimpleNamespace

import pytest
from approved import approved

pytest.importorskip("tensorflow")
pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")

from click.testing import CliRunner
from full_disk import fill_disk
from specimens import ordinary_user
from tiny_densenet import METHOD
from training_records import DAMAGES, example_record

from xray_infer.errors import ModelError, OutputError
from xray_infer.export.cli import main
from xray_infer.export.exporter import scratch_errors
from xray_infer.export.recipes import RECIPES
from xray_infer.study.datasets import read_images
from xray_infer.study.training_record import write_training_record

SAYS = approved("xray-export")

pytestmark = pytest.mark.tensorflow

REFERENCE = f"{METHOD}.reference.npz"
INT8 = ("--quantize", "fp32,int8", "--calibrate", "minmax", "--mixed", "none")


def run(model, out, *options, data=None):
    arguments = [model, "--data", data or model.parent / "data", "--out", out, "--format", "onnx", *options]
    return CliRunner().invoke(main, [*map(str, arguments), "--calibration-images", "6"])


def assert_refused(result, message):
    """One line that matches, after those on progress, and exit status 2."""
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    *progress, last = result.stderr.splitlines()
    assert re.fullmatch(f"xray-export: {message}", last), last
    assert not [line for line in progress if line.startswith(("xray-export:", "Traceback"))]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("room", [0, 1000])
def test_no_space_for_the_reference_answers(tiny_keras, tmp_path, monkeypatch, room):
    fill_disk(monkeypatch, tmp_path, room=room)
    message = rf".*{REFERENCE}: cannot be written: No space left on device; free some space or .*"
    assert_refused(run(tiny_keras, tmp_path), message)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("times", [0.5, 1.5], ids=["at-first", "with-its-certificate"])
def test_no_space_for_the_model_leaves_the_earlier_one(
    tiny_keras, tiny_exports, tmp_path, monkeypatch, times
):
    name = f"{METHOD}-fp32.onnx"
    (tmp_path / name).write_bytes(b"an earlier model")
    size = (tiny_exports[0] / name).stat().st_size
    fill_disk(monkeypatch, tmp_path, names="*.onnx", room=int(times * size))
    message = rf".*/{name}: cannot be written: No space left on device; free some space or .*"
    assert_refused(run(tiny_keras, tmp_path), message)
    assert names_in(tmp_path) == [name, REFERENCE]
    assert (tmp_path / name).read_bytes() == b"an earlier model"


@pytest.mark.parametrize(
    ("names", "refused", "finished"),
    [
        ("model.onnx", "int8-static", ["fp32"]),
        ("candidate.onnx", "int8-static", ["fp32"]),
        ("scored.onnx", "fp32", []),
    ],
    ids=["calibrating", "trying", "scoring"],
)
def test_no_space_for_its_own_files(tiny_keras, tmp_path, monkeypatch, names, refused, finished):
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    fill_disk(monkeypatch, scratch, names=names, room=1000)
    message = (
        rf".*/{METHOD}-{refused}\.onnx: cannot be made: temporary folder {scratch}: "
        "No space left on device; free some space there, or name another folder in TMPDIR"
    )
    assert_refused(run(tiny_keras, out, *INT8), message)
    # What was finished stays.
    assert names_in(out) == [*(f"{METHOD}-{recipe}.onnx" for recipe in finished), REFERENCE]
    assert not list(scratch.glob("xray-export-*"))


@pytest.mark.parametrize("free", [0, 10**12])
def test_a_converter_that_stumbles_is_no_bug_where_the_disk_is_full(tiny_keras, tmp_path, monkeypatch, free):
    """Native code may cut its own file short without a word, and fail later in a way of its own."""

    def stumble(source):
        raise ValueError("wire format was corrupt")

    monkeypatch.setitem(RECIPES, ("onnx", "fp32"), stumble)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    result = run(tiny_keras, tmp_path)
    if free:
        assert result.exit_code == 70
        assert SAYS["a-fault-of-this"] in result.stderr
    else:
        message = r".*-fp32\.onnx: cannot be made: temporary folder .*: 0\.0 MB free, .* MB wanted; .* TMPDIR"
        assert_refused(result, message)
    assert names_in(tmp_path) == [REFERENCE]


def test_other_errors_of_a_conversion_stay_what_they_are(tiny_keras, tmp_path, monkeypatch):
    for error in (ModelError("refused"), OSError(errno.ENOMEM, "no memory"), OSError("no number")):
        with pytest.raises(type(error)) as caught, scratch_errors(tmp_path / "x.onnx", model=tiny_keras):
            raise error
        assert caught.value is error
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with (
        pytest.raises(OutputError, match=SAYS["x-onnx-cannot-be"]),
        scratch_errors(tmp_path / "x.onnx", model=tiny_keras),
    ):
        raise FileNotFoundError(errno.ENOENT, "none")


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="POSIX permissions")
def test_a_folder_without_permission_is_refused_before_the_work(tiny_keras, tiny_exports, tmp_path):
    """`tiny_exports` has loaded what an ordinary user may not be able to load."""
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o555)
    with ordinary_user(tiny_keras, out):
        existing, new = run(tiny_keras, out), run(tiny_keras, out / "new")
    advice = "Permission denied; choose a folder that you may write to"
    assert_refused(existing, rf"{out}: cannot write to the folder: {advice}")
    assert_refused(new, rf"{out}/new: cannot make the folder: {advice}")
    for result in (existing, new):
        assert "reference" not in result.stderr
    assert names_in(out) == []


@pytest.mark.parametrize(("reason", "damage"), DAMAGES.items(), ids=DAMAGES)
def test_a_damaged_training_record(tmp_path, reason, damage):
    model = tmp_path / "fine_tuning.keras"
    model.write_bytes(b"weights")
    record = model.with_suffix(".json")
    write_training_record(record, example_record())
    damage(record)
    advice = "train this method again: xray-train DATA --out RUN --resume"
    assert_refused(run(model, tmp_path / "out"), f"{re.escape(f'{record}: {reason}')}.*{advice}")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def retrained(tiny_keras, tmp_path):
    """Return a function: a copy of the model, as if trained on the data less some rows of its manifest."""

    def make(keep):
        folder = tmp_path / "trained"
        shutil.copytree(tiny_keras.parent, folder)
        manifest = folder / "data" / "manifest.csv"
        header, *rows = manifest.read_text().splitlines()
        manifest.write_text("\n".join([header, *filter(keep, rows)]) + "\n")
        record = folder / f"{METHOD}.json"
        facts = json.loads(record.read_text()) | {"data_sha256": read_images(folder / "data").digest}
        record.write_text(json.dumps(facts))
        return folder / tiny_keras.name

    return make


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            "train",
            "no training images of class 'covid'; the split 'train' needs some of every class: "
            "covid, pneumonia, normal",
        ),
        (
            "val",
            "no images in the split 'val', on which int8's choices are made; make .* train with it",
        ),
        (
            "test",
            "no images in the split 'test', which judge every file; make .* train with it",
        ),
    ],
)
def test_data_without_one_of_the_splits(retrained, tmp_path, split, message):
    model = retrained(lambda row: f",{split}," not in row)
    out = tmp_path / "out"
    assert_refused(run(model, out), rf"{model.parent / 'data'}: {message}")
    assert not out.exists()


def test_missing_or_empty_data(tiny_keras, tmp_path):
    (tmp_path / "empty").mkdir()
    expected = r"expected a manifest\.csv or .*/<class>/<image>"
    for name, reason in (("none", "No such file or directory"), ("empty", "no images in this folder .*")):
        result = run(tiny_keras, tmp_path / "out", data=tmp_path / name)
        assert_refused(result, rf"{tmp_path / name}: {reason}; {expected}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", ": No such file or directory; calibrate with a folder of images or a manifest"),
        ("empty", ": no images in this folder .*; calibrate with a folder of images or a manifest"),
        ("classes", r": no images in this folder .*; expected a manifest\.csv or .*/<class>/<image>"),
        ("rows.csv", ": the manifest lists no images"),
        ("lost.csv", "|.*/gone.png: cannot be read: No such file or directory"),
    ],
)
def test_missing_or_empty_calibration_data(tiny_keras, tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "classes" / "covid").mkdir(parents=True)
    (tmp_path / "rows.csv").write_text("file,label\n")
    (tmp_path / "lost.csv").write_text("file,label\ngone.png,covid\n")
    out = tmp_path / "out"
    result = run(tiny_keras, out, *INT8, "--calibration-data", tmp_path / name)
    assert_refused(result, rf"({tmp_path / name}{message})")
    assert not out.exists()


def test_a_calibration_image_that_cannot_be_read(tiny_keras, tmp_path):
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "text.png").write_text("no picture")
    out = tmp_path / "out"
    result = run(tiny_keras, out, *INT8, "--calibration-data", tmp_path / "films")
    assert_refused(result, r".*/films/text\.png: not an image .*; remove it from the data")
    assert names_in(out) == [f"{METHOD}-fp32.onnx", REFERENCE]

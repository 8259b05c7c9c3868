"""The command xray-infer: from a folder to its rows."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from specimens import example_manifest, jpeg, ordinary_user, png

from xray_infer.classes import CLASS_NAMES
from xray_infer.cli import main
from xray_infer.model.manifest import OUTPUTS
from xray_infer.model.runtimes import find_model
from xray_infer.run.engine import classify
from xray_infer.run.results import columns
from xray_infer.run.settings import EngineOptions
from xray_infer.run.sources.folder import FileItem, local_source

COLUMNS = columns(CLASS_NAMES)

SAYS = approved("xray-infer")


def run(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


GOOD = ["film0.png", "film1.png", "film2.png", "ward b/film0.jpg", "ward b/film1.jpg", "ward b/film2.jpg"]


def test_a_folder_gives_one_row_an_image_in_order(folder, tiny_onnx, tmp_path):
    out = tmp_path / "results.csv"
    result = run(folder, "--model", tiny_onnx, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    rows = rows_of(out)
    assert tuple(rows[0]) == tuple(COLUMNS)
    assert [row["path"] for row in rows] == GOOD
    for row in rows:
        assert row["status"] == "ok"
        chances = {name: float(row[f"prob_{name}"]) for name in ("covid", "pneumonia", "normal")}
        assert sum(chances.values()) == pytest.approx(1, abs=2e-6)
        assert row["label"] == max(chances, key=chances.get)
        assert float(row["confidence"]) == max(chances.values())
        assert row["model_sha256"] == find_model(tiny_onnx).digest
    assert "6 classified" in result.stderr
    assert "2 other files were skipped" in result.stderr
    assert "not for diagnosis" in result.stderr


def test_bad_files_cost_their_own_rows_only(folder, tiny_onnx, tmp_path, xray):
    (folder / "a truncated.jpg").write_bytes(jpeg(xray)[:2000])
    (folder / "b empty.png").write_bytes(b"")
    (folder / "c text.png").write_text("this is no picture")
    (folder / "d deep.png").write_bytes(png(xray.astype(np.uint16) * 16))
    os.mkfifo(folder / "e pipe.png")
    (folder / "f dangling.png").symlink_to(folder / "nowhere.png")
    (folder / "g folder.png").mkdir()
    out = tmp_path / "results.csv"
    result = run(folder, "--model", tiny_onnx, "--out", out)
    assert result.exit_code == 1
    rows = {row["path"]: row for row in rows_of(out)}
    assert len(rows) == 6 + 6
    reasons = {path: row["reason"] for path, row in rows.items() if row["status"] == "error"}
    assert reasons == {
        "a truncated.jpg": SAYS["truncated-jpeg-the-end"],
        "b empty.png": "the file is empty",
        "c text.png": SAYS["not-an-image-of"],
        "e pipe.png": "not a regular file",
        "f dangling.png": SAYS["cannot-be-opened-no"],
    }
    assert all(row["label"] == row["prob_covid"] == "" for row in rows.values() if row["status"] == "error")
    assert all(rows[path]["status"] == "ok" for path in [*GOOD, "d deep.png"])


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="POSIX permissions")
def test_files_without_permission_as_an_ordinary_user(folder, tiny_onnx, tmp_path):
    (folder / "locked.png").write_bytes((folder / "film0.png").read_bytes())
    (folder / "locked.png").chmod(0)
    (folder / "vault").mkdir()
    (folder / "vault").chmod(0)
    out = tmp_path / "out" / "results.csv"
    out.parent.mkdir()
    run(folder / "film0.png", "--model", tiny_onnx)  # loads what an ordinary user may not be able to load
    with ordinary_user(tiny_onnx, out.parent):
        result = run(folder, "--model", tiny_onnx, "--out", out)
    assert result.exit_code == 1, result.stderr
    rows = {row["path"]: row for row in rows_of(out)}
    errors = {path: row["reason"] for path, row in rows.items() if row["status"] == "error"}
    assert errors == {
        "locked.png": SAYS["cannot-be-opened-permission"],
        "vault": SAYS["a-folder-that-cannot"],
    }
    assert all(rows[path]["status"] == "ok" for path in GOOD)


def test_a_rejected_image_is_read_and_no_failure(folder, tiny_onnx, tmp_path, monkeypatch):
    from xray_infer.errors import RejectedError
    from xray_infer.run.sources.folder import FileItem

    def reject(item, limits):
        raise RejectedError("not a radiograph: modality CT")

    monkeypatch.setattr(FileItem, "read", reject)
    result = run(folder, "--model", tiny_onnx, "--out", tmp_path / "r.csv")
    assert result.exit_code == 0
    assert "6 rejected, not judged" in result.stderr
    assert {(row["status"], row["reason"]) for row in rows_of(tmp_path / "r.csv")} == {
        ("rejected", SAYS["not-a-radiograph-modality-ct"])
    }
    result = run(folder / "film0.png", "--model", tiny_onnx)
    assert result.exit_code == 0
    assert result.stdout == SAYS["film-png-rejected-not"]


def test_one_file_prints_its_probabilities(folder, tiny_onnx):
    result = run(folder / "film0.png", "--model", tiny_onnx)
    assert result.exit_code == 0
    assert all(name in result.stdout for name in ("covid", "pneumonia", "normal", "%", "not for diagnosis"))


def test_one_bad_file_prints_why(tmp_path, tiny_onnx):
    (tmp_path / "x.png").write_bytes(b"")
    result = run(tmp_path / "x.png", "--model", tiny_onnx)
    assert result.exit_code == 1
    assert result.stdout == SAYS["x-png-error-the"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--out", "r.csv"], "nowhere: No such file or directory"),
        (["empty", "--out", "r.csv"], "empty: no images in this folder (0 other files)"),
        (["films"], "films has more than one image: add --out results.csv"),
        (
            ["films", "--model", "tiny.onnx", "--out", "no/such/r.csv"],
            "no/such/r.csv: cannot write there: No such file or directory",
        ),
        (
            ["films", "--model", "tiny.onnx", "--out", "empty"],
            "empty: cannot write this format; use one of .csv",
        ),
        (
            ["films", "--model", "tiny.onnx", "--out", "r.xlsx"],
            "r.xlsx: cannot write this format; use one of .csv",
        ),
        (["films", "--out", "r.csv", "--model", "none.onnx"], "none.onnx: cannot read the model file"),
        (["films", "--out", "r.csv", "--model", "notes.txt"], "notes.txt: not a model file"),
        (
            ["films", "--out", "r.csv", "--model", "junk.onnx"],
            "junk.onnx: not an ONNX file, or a damaged one",
        ),
        (["films", "--out", "r.csv", "--model", "junk.tflite"], "junk.tflite: no manifest inside"),
        (["films", "--out", "r.csv", "--format", "tflite", "--model", "junk.onnx"], "contradict each other"),
    ],
)
def test_what_cannot_work_is_one_line_and_status_2(
    folder, tiny_onnx, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    for name in ("junk.onnx", "junk.tflite"):
        (tmp_path / name).write_bytes(b"junk")
    (tmp_path / "tiny.onnx").symlink_to(tiny_onnx)
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.glob("r.*"))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (None, "no manifest inside"),
        ("{", "not valid JSON"),
        ("[]", "where a JSON object is expected"),
        (example_manifest(schema_version=99), "schema_version is 99"),
        (example_manifest(preprocessing_version=99), "preprocessing_version is 99"),
        (
            example_manifest(class_names=("normal", "covid"), schema_version=1, output_names=OUTPUTS[1]),
            "class_names is normal, covid; version 1 has covid, pneumonia, normal",
        ),
        (example_manifest(temperature=-1.0), "not a positive number"),
        (example_manifest(temperature=True), "temperature is true where a finite number is expected"),
        (example_manifest().to_json().replace('"recipe"', '"receipt"'), "receipt, recipe"),
    ],
)
def test_a_model_of_another_contract_is_refused(folder, make_tiny_onnx, tmp_path, manifest, message):
    result = run(folder, "--model", make_tiny_onnx(manifest), "--out", tmp_path / "r.csv")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(tmp_path.glob("r.csv*"))


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (3, 1), (2, 4), (1, 64)])
def test_workers_and_batches_change_nothing(folder, tiny_onnx, workers, batch_size):
    (folder / "bad.png").write_bytes(b"")
    items = list(local_source(folder))
    reference = list(classify(items, find_model(tiny_onnx), EngineOptions(workers=1)))
    rows = list(classify(items, find_model(tiny_onnx), EngineOptions(workers=workers, batch_size=batch_size)))
    assert [row.path for row in rows] == [item.name for item in items]
    for row, expected in zip(rows, reference, strict=True):
        assert (row.status, row.label) == (expected.status, expected.label)
        assert row.probabilities == pytest.approx(expected.probabilities, abs=1e-6)


def test_items_are_taken_only_as_they_are_needed(folder, tiny_onnx):
    """Constant memory: the engine must not run ahead of whoever takes its rows."""
    item = next(iter(local_source(folder)))
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield item

    rows = classify(endless(), find_model(tiny_onnx), EngineOptions(workers=2))
    for _ in range(5):
        next(rows)
    rows.close()
    assert taken <= 5 + 2 * 4


def test_names_that_are_not_utf8_or_hold_newlines_and_quotes(folder, tiny_onnx, tmp_path):
    data = (folder / "film0.png").read_bytes()
    for name in (b'new\nline "q", x.png', b"latin\xe9.png"):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(data)
    result = run(folder, "--model", tiny_onnx, "--out", tmp_path / "r.csv")
    assert result.exit_code == 0, result.stderr
    paths = [row["path"] for row in rows_of(tmp_path / "r.csv")]
    assert 'new\nline "q", x.png' in paths
    assert "latin\\xe9.png" in paths


def test_an_item_can_be_a_single_path(tiny_onnx, folder):
    (row,) = classify([FileItem(folder / "film0.png", "shown name")], find_model(tiny_onnx))
    assert row.path == "shown name"


def test_symlink_loops_end(folder):
    (folder / "loop").symlink_to(folder)
    assert [item.name for item in local_source(folder)] == GOOD

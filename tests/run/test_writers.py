"""Rows to CSV, JSON Lines and Parquet: one schema, exact, safe, atomic."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from approved import approved
from click.testing import CliRunner
from full_disk import fill_disk

from xray_infer.classes import CLASS_NAMES, UNCERTAIN
from xray_infer.cli import main
from xray_infer.errors import MissingExtraError, OutputError
from xray_infer.images.preprocess import Area
from xray_infer.run.results import OK, REJECTED, ROW_SCHEMA, RowMaker, Rules, columns
from xray_infer.run.writers import find_writer

COLUMNS = columns(CLASS_NAMES)

SAYS = approved("xray-infer")

MAKER = RowMaker("tiny", "0" * 64, "onnxruntime 1", Rules(2.5, 0.5))
ROWS = [
    MAKER.judged("plain.png", (0.25, 0.5, 0.25), 1.0),
    MAKER.judged("unsure.png", np.array([0.4, 0.35, 0.25], np.float32), 1.0),
    MAKER.judged("far.png", (0.25, 0.5, 0.25), 2.6),
    MAKER.judged("nan score.png", (0.25, 0.5, 0.25), float("nan")),
    MAKER.judged("nan.png", (float("nan"), 0.5, 0.25), 1.0),
    MAKER.failed("=cmd|' /C calc'!A0.png", "error", "@bad"),
    MAKER.failed("a,b\r\n\"c\"\t'd'.png", "error", "the file is empty"),
    MAKER.failed("latin\udce9 ünïcode 🩻.png", "error", "the file is empty"),
]


def test_the_rules_make_the_rows():
    plain, unsure, far, nan_score, nan, *_ = ROWS
    assert (plain.status, plain.label, plain.raw_label, plain.reason) == (OK, "pneumonia", "pneumonia", "")
    assert (unsure.status, unsure.label, unsure.raw_label) == (OK, UNCERTAIN, "covid")
    assert unsure.reason == "confidence 0.400 is below 0.500"
    assert far.status == nan_score.status == REJECTED
    assert (far.label, far.raw_label, far.probabilities, far.ood_score) == ("", "", (), 2.6)
    assert far.reason == SAYS["unlike-the-training-images"]
    assert (nan.status, nan.reason) == ("error", SAYS["the-model-gave-no"])
    lenient = RowMaker("tiny", "", "", Rules())
    assert lenient.judged("x", (0.25, 0.5, 0.25), 1e9).status == OK


def test_a_model_of_lungs_rejects_what_has_none_unless_nothing_is_to_be_rejected():
    lungs = Area(0.1, 0.2, 0.8, 0.9)
    of_lungs = RowMaker("tiny", "", "", Rules(2.5), preprocessing_version=2)
    found = of_lungs.judged("x", (0.25, 0.5, 0.25), 1.0, lungs)
    assert (found.status, found.lungs) == (OK, "0.1000 0.2000 0.8000 0.9000")
    none = of_lungs.judged("x", (0.25, 0.5, 0.25), 1.0)
    assert (none.status, none.label, none.probabilities, none.lungs) == (REJECTED, "", (), "none")
    assert none.reason == SAYS["no-lungs-were-found-not"]
    assert (none.ood_score, MAKER.judged("x", (0.25, 0.5, 0.25), 1.0).status) == (1.0, OK)  # whole pictures
    assert of_lungs.failed("ct.dcm", REJECTED, "not a radiograph: modality CT").lungs == ""  # nobody looked
    assert of_lungs.failed("x", "error", "the file is empty").lungs == ""
    for limit in (None, float("inf")):
        lenient = RowMaker("tiny", "", "", Rules(limit), preprocessing_version=2)
        whole = lenient.judged("x", (0.25, 0.5, 0.25), 1.0)
        assert (whole.status, whole.lungs, whole.reason) == (OK, "none", "")
        assert lenient.judged("x", (0.25, 0.5, 0.25), float("nan")).status == OK  # a score of no number, too


def test_a_reason_is_one_line_of_bounded_length():
    reason = MAKER.failed("x", "error", "damaged:\n\x1b[31m " + "a" * 5000).reason
    assert reason.startswith("damaged: [31m aaa")
    assert len(reason) == 300
    assert reason.isprintable()


def write(path: Path, rows=ROWS) -> Path:
    with find_writer(path)(path, COLUMNS) as writer:
        for row in rows:
            writer.write(row)
        writer.finish()
    return path


def test_csv_has_every_column_and_is_exact(tmp_path):
    with write(tmp_path / "r.csv").open(newline="", encoding="utf-8") as stream:
        header, *lines = csv.reader(stream)
    assert header == list(COLUMNS)
    assert len(lines) == len(ROWS)
    first = dict(zip(header, lines[0], strict=True))
    assert [first[f"prob_{name}"] for name in CLASS_NAMES] == ["0.250000", "0.500000", "0.250000"]
    assert (first["confidence"], first["ood_score"]) == ("0.500000", "1.000000")
    assert first["row_schema"] == str(ROW_SCHEMA)
    failed = dict(zip(header, lines[6], strict=True))
    assert failed["path"] == "a,b\r\n\"c\"\t'd'.png"
    assert all(failed[name] == "" for name in ("label", "prob_covid", "confidence", "raw_label", "ood_score"))


def test_no_csv_cell_begins_like_a_formula(tmp_path):
    rows = [MAKER.failed(f"{start}x.png", "error", f"{start}y") for start in "=+-@\t\r\n＝"]
    with write(tmp_path / "r.csv", rows).open(newline="", encoding="utf-8") as stream:
        found = list(csv.DictReader(stream))
    for row, written in zip(rows, found, strict=True):
        assert written["path"] == f"'{row.path}"
        # A reason has no line breaks and tabs of its own.
        assert written["reason"] == (row.reason if row.reason == "y" else f"'{row.reason}")


def test_jsonl_holds_the_same_values(tmp_path):
    lines = write(tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line, parse_constant=lambda name: pytest.fail(name)) for line in lines]
    assert all(list(row) == list(COLUMNS) for row in found)
    assert found[0] == ROWS[0].values()
    assert found[3]["ood_score"] is None  # JSON has no NaN
    assert found[5]["path"] == "=cmd|' /C calc'!A0.png"
    assert found[6]["prob_covid"] is None
    assert found[7]["path"] == SAYS["latine-n-code-png"]


# In a process of its own: pyarrow and TensorFlow, loaded into one by other tests, have crashed each other.
READ_PARQUET = """
import json, sys
import pyarrow.parquet
file = pyarrow.parquet.ParquetFile(sys.argv[1])
schema = {field.name: [str(field.type), field.nullable] for field in file.schema_arrow}
metadata = {key.decode(): value.decode() for key, value in file.metadata.metadata.items()}
print(json.dumps([schema, file.num_row_groups, metadata, file.read().to_pylist()]))
"""


def python(*arguments: object) -> str:
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def test_parquet_has_a_fixed_schema_and_the_same_values(folder, tiny_onnx, tmp_path):
    pytest.importorskip("importlib.metadata").version("pyarrow")
    (folder / "=bad.png").write_bytes(b"")
    command = ["-m", "xray_infer", folder, "--model", tiny_onnx, "--out"]
    python(*command, tmp_path / "r.parquet")
    python(*command, tmp_path / "r.jsonl")
    schema, groups, metadata, rows = json.loads(python("-c", READ_PARQUET, tmp_path / "r.parquet"))
    kinds = {str: ["string", False], float: ["double", True], int: ["int32", False]}
    assert schema == {name: kinds[kind] for name, kind in COLUMNS.items()}
    assert groups == 1
    assert metadata["xray_infer.row_schema"] == str(ROW_SCHEMA)
    lines = (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()
    assert rows == [json.loads(line) for line in lines]
    assert {row["status"] for row in rows} == {"ok", "error"}


def test_parquet_is_written_a_row_group_at_a_time(tmp_path):
    code = """
import sys
from pathlib import Path
import xray_infer.run.writers.parquet_file as parquet
from xray_infer.run.results import RowMaker, Rules, columns
parquet.ROWS_A_GROUP = 10
maker = RowMaker("tiny", "", "", Rules())
with parquet.ParquetWriter(Path(sys.argv[1]), columns(maker.class_names)) as writer:
    for number in range(25):
        writer.write(maker.failed(f"{number}.png", "error", "bad"))
        assert len(writer._rows) < 10
    writer.finish()
"""
    python("-c", code, tmp_path / "r.parquet")
    _, groups, _, rows = json.loads(python("-c", READ_PARQUET, tmp_path / "r.parquet"))
    assert groups == 3
    assert [row["path"] for row in rows] == [f"{number}.png" for number in range(25)]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_the_output_appears_whole_or_not_at_all(tmp_path, suffix, monkeypatch):
    out = tmp_path / f"r{suffix}"
    out.write_text("an older result")
    with find_writer(out)(out, COLUMNS) as writer:
        writer.write(ROWS[0])
        assert out.read_text() == "an older result"
        assert "plain.png" in (tmp_path / f"r{suffix}.partial").read_text()
    assert out.read_text() == "an older result"
    fill_disk(monkeypatch, tmp_path, room=300)
    with pytest.raises(OutputError, match=SAYS["cannot-write-no-space"]):
        write(out)
    assert out.read_text() == "an older result"


@pytest.mark.parametrize(
    ("name", "message"), [("r.xlsx", "use one of .csv, .jsonl, .parquet"), ("d.csv", "folder")]
)
def test_what_cannot_be_written_is_told_before_the_model_is_loaded(folder, tmp_path, name, message):
    (tmp_path / "d.csv").mkdir()
    result = CliRunner().invoke(main, [str(folder), "--model", "none.onnx", "--out", str(tmp_path / name)])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_parquet_without_its_extra_names_the_pip_command(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "xray_infer.run.writers.parquet_file", raising=False)
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"xray-infer\[parquet\]"):
        find_writer(tmp_path / "r.parquet")


def test_standard_output_is_json_lines_and_nothing_else(folder, tiny_onnx):
    (folder / "bad.png").write_bytes(b"")
    result = CliRunner().invoke(main, [str(folder), "--model", str(tiny_onnx), "--out", "-"])
    assert result.exit_code == 1
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) == 7
    assert all(list(row) == list(COLUMNS) for row in rows)
    assert "1 could not be read" in result.stderr


def test_a_reader_that_goes_away_is_one_line(folder, tiny_onnx):
    command = [sys.executable, "-m", "xray_infer", str(folder), "--model", str(tiny_onnx), "--out", "-"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read().splitlines() == [SAYS["xray-infer-standard-output"]]
    assert process.wait() == 2


def test_quiet_says_nothing(folder, tiny_onnx, tmp_path):
    out = tmp_path / "r.csv"
    result = CliRunner().invoke(main, [str(folder), "--model", str(tiny_onnx), "--out", str(out), "--quiet"])
    assert (result.exit_code, result.output) == (0, "")
    assert out.exists()

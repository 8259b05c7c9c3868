"""Bad files given to `xray-export inspect`: one line each, and never a crash."""

import json
import random

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")

from click.testing import CliRunner
from model_files import CODES, KINDS, SHIPPED, qdq_onnx, save_onnx, save_tflite, tflite_tensor
from onnx import TensorProto, helper
from specimens import example_manifest

from xray_infer.errors import ModelError
from xray_infer.export import inspection
from xray_infer.export.cli import main
from xray_infer.export.inspection import NO_MANIFEST, inspect_file
from xray_infer.export.inspection.report_text import to_text
from xray_infer.model.embedding import append_tflite_manifest


def assert_refused(path, reason):
    result = CliRunner().invoke(main, ["inspect", str(path)])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"xray-export: {path}: ")
    assert result.stderr.count("\n") == 1
    assert reason in result.stderr


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"A text, not a model.\n" * 50, "it does not begin like one"),
        (b"\0" * 5000, "it does not begin like one"),
        (random.Random(0).randbytes(5000), "it does not begin like one"),
        (b"\x08\0\0\0TFL3" + random.Random(1).randbytes(5000), "or a damaged one"),
        (b"\x08\0\0\0TFL3", "or a damaged one"),
    ],
    ids=["empty", "text", "zeros", "random", "random-after-its-magic", "magic-alone"],
)
def test_what_is_no_model_is_one_line(tmp_path, suffix, data, reason):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(data)
    assert_refused(path, reason)
    assert_refused(path, "copy the file again or export the model again")


@pytest.mark.parametrize("path", SHIPPED[:2], ids=lambda path: path.suffix)
@pytest.mark.parametrize("share", [0.0001, 0.01, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_one_line(tmp_path, path, share):
    data = path.read_bytes()
    damaged = tmp_path / f"short{path.suffix}"
    damaged.write_bytes(data[: int(share * len(data))])
    assert_refused(damaged, "or a damaged one")


def test_a_tail_cut_off_a_tflite_file_is_a_missing_manifest(tmp_path):
    path = tmp_path / "short.tflite"
    path.write_bytes(SHIPPED[1].read_bytes()[:-10])
    report = inspect_file(path)
    assert report.manifest_problem == NO_MANIFEST
    assert report.contents.size.total == path.stat().st_size


def test_contradicting_shapes_are_no_crash(tmp_path):
    path = save_onnx(
        tmp_path / "odd.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [("x", TensorProto.FLOAT, ["batch", 5])],
        [("y", TensorProto.INT8, ["batch", 7])],
        {"w": np.ones((6, 7), np.float32)},
    )
    assert "MatMul" in {one.op_type for one in inspect_file(path).contents.operations}


def test_flipped_bytes_never_crash(tmp_path, float_onnx):
    """Whatever a damaged file says, there is a report whose parts add up, or a ModelError."""
    tflite = save_tflite(
        tmp_path / "tiny.tflite",
        [
            tflite_tensor("x", KINDS.FLOAT32, (1, 6), 1),
            tflite_tensor("w", KINDS.INT8, (7, 6), 2, scales=7),
            tflite_tensor("y", KINDS.FLOAT32, (1, 7), 3),
        ],
        [(CODES.FULLY_CONNECTED, (0, 1, -1), (2,))],
        {2: np.ones((7, 6), np.int8)},
    )
    tflite.write_bytes(append_tflite_manifest(tflite.read_bytes(), example_manifest()))
    generator = random.Random(0)
    outcomes = set()
    for original in (float_onnx, qdq_onnx(tmp_path / "q.onnx"), tflite):
        data = original.read_bytes()
        damaged = tmp_path / f"damaged{original.suffix}"
        for _ in range(300):
            changed = bytearray(data)
            for _ in range(generator.randint(1, 3)):
                changed[generator.randrange(8, len(data))] = generator.randrange(256)
            damaged.write_bytes(changed)
            try:
                report = inspect_file(damaged)
            except ModelError as error:
                outcomes.add((original.suffix, "refused", str(error).count("\n")))
            else:
                size = report.contents.size
                assert size.total == len(data)
                assert min(size.scales, size.graph, size.manifest, size.rest) >= 0
                assert json.dumps(report.to_dict()).isascii()
                outcomes.add((original.suffix, "read", to_text(report).count("\n") // 1000))
    assert outcomes == {
        (suffix, outcome, 0) for suffix in (".onnx", ".tflite") for outcome in ("refused", "read")
    }


def test_folders_and_missing_files_and_other_suffixes_are_one_line(tmp_path, monkeypatch, float_onnx):
    folder = tmp_path / "folder.onnx"
    folder.mkdir()
    assert_refused(folder, "Is a directory")
    assert_refused(tmp_path / "missing.tflite", "No such file")
    other = tmp_path / "model.keras"
    other.write_bytes(b"x")
    assert_refused(other, "expected one of .onnx, .tflite")
    monkeypatch.setattr(inspection, "SIZE_LIMIT", 100)
    assert_refused(float_onnx, "larger than 2 GiB")

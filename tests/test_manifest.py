"""The manifest inside an ONNX file, read without a runtime; what is no such file is refused in one line."""

import numpy as np
import pytest
from specimens import example_manifest

from xray_infer.errors import ModelError
from xray_infer.manifest import read_onnx_manifest


def test_a_truncated_file_is_refused(tiny_onnx, tmp_path):
    whole = tiny_onnx.read_bytes()
    manifest = read_onnx_manifest(tiny_onnx)
    assert manifest == example_manifest()
    path = tmp_path / "cut.onnx"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError, match=r"no manifest inside|or a damaged one"):
            read_onnx_manifest(path)


@pytest.mark.parametrize("seed", range(200))
def test_random_bytes_are_no_model(tmp_path, seed):
    path = tmp_path / "random.onnx"
    path.write_bytes(np.random.default_rng(seed).bytes(500))
    with pytest.raises(ModelError, match=r"no manifest inside|or a damaged one"):
        read_onnx_manifest(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no manifest inside"),
        (b"\x08\x0a", "no manifest inside"),  # an IR version and nothing else
        (b"\x00\x00", "no field begins at byte 0"),
        (b"\x08\x0a\x0b\x0c", "no field begins at byte 2"),  # a group
        (b"\x72\x05ab", "ends within the field at byte 0"),
        (b"\x72" + b"\xff" * 9 + b"\x7f", "ends within the field at byte 0"),  # a length of 2^69
        (b"\x72" + b"\xff" * 11, "a number of more than 10 bytes"),
        (b"\x72", "ends within a number"),
        (b"\x72\x03\x0a\x01\xff", "utf-8"),  # an entry whose key is not text
        (b"\x72\x04\x0a\x09ab", "ends within the field"),  # an entry whose key is longer than the entry
    ],
)
def test_what_is_no_onnx_file_is_refused(tmp_path, data, message):
    path = tmp_path / "hostile.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=message):
        read_onnx_manifest(path)


def test_the_manifest_is_found_among_other_metadata(tiny_onnx, tmp_path):
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(tiny_onnx)
    for key, value in (("author", "somebody"), ("note", "ä" * 300)):
        proto.metadata_props.add(key=key, value=value)
    onnx.save(proto, tmp_path / "more.onnx")
    assert read_onnx_manifest(tmp_path / "more.onnx") == example_manifest()
